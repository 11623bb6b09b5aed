"""The records that a store takes and returns, and its errors."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Error, Status

FIRST = 0  # a rank before all others: a job that was interrupted has already waited its turn
LEVEL_MS = 600_000  # what a level of priority is worth in waiting: so what waits rises, and nothing starves


class StoreError(Exception):
    """A fault of a store."""


class Unusable(StoreError):
    """The store cannot be opened, or cannot be trusted any more; the message says why, and what to do."""


class InUse(Unusable):
    """Another server has the store."""


class NotSaved(StoreError):
    """Nothing of a write was saved, because the disk is full, for example. The same write may succeed later."""


class Unreadable(StoreError):
    """A read failed. The same read may succeed later."""


class Lost(NamedTuple):
    """A job that is Running although the server that claimed it has ended.

    Attributes:
        losses: how many earlier attempts counted against `retries`.
        group_limit: as in `Claim`.
        interruptions: how many earlier attempts ended because their server did.
    """

    job_id: str
    attempt: int
    type: str
    losses: int
    group_limit: int | None
    interruptions: int


class Shown(NamedTuple):
    """A job as `GET /jobs/{jobId}` shows it: its JSON, whether it has ended, and since when it is there."""

    text: bytes
    is_final: bool
    created_at: str


class Suspect(NamedTuple):
    """A waiting job that must run apart from others, because a process died while it ran there; see quarantine.py.

    Attributes:
        group_limit: how many jobs at most may share its process, itself included.
        interruptions: as in `Lost`.
    """

    job_id: str
    attempt: int
    group_limit: int
    interruptions: int = 0


class Duplicate(NamedTuple):
    """A job that is the same as one that was submitted, as its function defines it with `Unique`."""

    job_id: str


class Success(msgspec.Struct, frozen=True):
    """An attempt that succeeded; `results` is JSON text in UTF-8."""

    job_id: str
    attempt: int
    results: bytes


class Attempt(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An attempt as the API shows it. `status` is how it ended, Pending if it was put back, or what it is now."""

    attempt: int
    status: Status
    started_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class Change(NamedTuple):
    """What became of a request to cancel, retry or delete a job, or to run it now.

    Attributes:
        before: the job's status before; None if there is no such job.
        attempt: the job's attempt before.
        applied: False if the guard refused the change.
        duplicate: the id of a job that is the same (see `Unique`) and has not ended, if that refused a retry.
    """

    before: Status | None
    attempt: int
    applied: bool
    duplicate: str | None = None


class Claim(msgspec.Struct, frozen=True):
    """A claimed job, with the attempt to run.

    Attributes:
        parameters: the submitted JSON object, in UTF-8.
        losses: how many earlier attempts counted against `retries`.
        due_at: when it became ready to run, in milliseconds since 1970; FIRST if it was interrupted.
        traceparent: the trace that the job belongs to, as W3C Trace Context writes it.
        group_limit: given for a suspect: how many jobs at most may share its process, itself included.
    """

    job_id: str
    attempt: int
    type: str
    parameters: bytes
    losses: int
    due_at: int
    traceparent: str | None
    group_limit: int | None = None


class Expired(NamedTuple):
    """A job that was not claimed, because its `start_by` had passed; it is a Failure now.

    Attributes:
        was_scheduled: whether it was still waiting for its time.
    """

    job_id: str
    attempt: int
    type: str
    was_scheduled: bool = False


class Claims(NamedTuple):
    """What one transaction claimed.

    Attributes:
        jobs: in the order in which they should run.
        next_due: when to wake the store again, in milliseconds since 1970, because a job's time will have come; None if
            that is not known or none waits for a time.
        expired: the jobs that it was too late for.
        suspects: those whose pause is over, which wait to be admitted now.
        wanting: how many jobs of each function only its cap has held back; None if that is not known.
    """

    jobs: list[Claim]
    next_due: int | None = None
    expired: Sequence[Expired] = ()
    suspects: Sequence[Suspect] = ()
    wanting: Mapping[str, int] | None = None
