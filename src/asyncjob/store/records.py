"""What a store is told and what it says: its records and its errors."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Error, Status

FIRST = 0  # due before everything else: a job that was interrupted has waited its turn already


class StoreError(Exception):
    """What is wrong with a store; see this file's first lines."""


class Unusable(StoreError):
    """The store cannot be opened, or cannot be trusted any more; the message says why, and what to do."""


class NotSaved(StoreError):
    """Nothing of a write was saved: the disk is full, say. The same write may be saved later."""


class Unreadable(StoreError):
    """A read failed. The same read may succeed later."""


class Lost(NamedTuple):
    """A job that is Running although the server that claimed it has ended.

    Attributes:
        losses: how many attempts were lost before, and counted against `retries`.
        group_limit: as in `Claim`.
        interruptions: how many of its attempts had ended with a server before.
    """

    job_id: str
    attempt: int
    type: str
    losses: int
    group_limit: int | None
    interruptions: int


class Suspect(NamedTuple):
    """A job that waits to run apart from others, since a process died while it ran there; see quarantine.py.

    Attributes:
        group_limit: how many jobs at most may share a process with it.
        interruptions: as in `Lost`.
    """

    job_id: str
    attempt: int
    group_limit: int
    interruptions: int = 0


class Success(NamedTuple):
    """An attempt that succeeded; `results` is JSON text in UTF-8."""

    job_id: str
    attempt: int
    results: bytes


class Attempt(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An attempt of a job: how it ended, Pending where it was put back; or the status of one that goes on."""

    attempt: int
    status: Status
    started_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class Change(NamedTuple):
    """What became of a request to cancel or retry a job.

    Attributes:
        before: its status before; None where there is no such job.
        attempt: its attempt before.
        applied: whether it was changed; False where the guard refused it.
    """

    before: Status | None
    attempt: int
    applied: bool


class Claim(NamedTuple):
    """A job that was claimed: run this attempt.

    Attributes:
        parameters: the JSON object that was submitted, in UTF-8.
        losses: how many attempts were lost before, and counted against `retries`.
        due_at: since when it waited, in milliseconds since 1970; FIRST for one that was interrupted.
        traceparent: of the trace that the job belongs to.
        group_limit: how many jobs at most may share a process with it; None: any number. See quarantine.py.
    """

    job_id: str
    attempt: int
    type: str
    parameters: bytes
    losses: int
    due_at: int
    traceparent: str | None
    group_limit: int | None = None


class Claims(NamedTuple):
    """What one transaction claimed.

    Attributes:
        jobs: in the order in which they are to run.
        next_due: when the next waiting job is due, in milliseconds since 1970; None: not known, or none waits.
    """

    jobs: list[Claim]
    next_due: int | None = None
