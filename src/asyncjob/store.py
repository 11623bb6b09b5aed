"""What a store is told, and what it tells: records that know nothing of how jobs are kept."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Error, Status


class Lost(NamedTuple):
    """A job that was running when the server ended.

    Attributes:
        interruptions: how many of its attempts had ended with a server before.
    """

    job_id: str
    attempt: int
    type: str
    losses: int
    group_limit: int | None
    interruptions: int


class Suspect(NamedTuple):
    """A job that waits to run apart from others, since a process died that it was in; see quarantine.py.

    Attributes:
        group_limit: how many jobs at most may share a process with it.
    """

    job_id: str
    attempt: int
    group_limit: int
    interruptions: int = 0


class Success(NamedTuple):
    """An attempt that succeeded; `results` is JSON text."""

    job_id: str
    attempt: int
    results: str


class Attempt(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An attempt of a job: how it ended, Pending where it was put back; or the status of one that goes on."""

    attempt: int
    status: Status
    started_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class Change(NamedTuple):
    """What became of a request to change a job: its status before, or None where there is no such job."""

    before: Status | None
    attempt: int
    applied: bool


class Claim(NamedTuple):
    """A job that was claimed: run this attempt.

    Attributes:
        losses: how many attempts were lost before.
        due_at: since when it waited, in milliseconds since 1970; 0 for one that was interrupted.
        traceparent: of the trace that the job belongs to.
        group_limit: how many jobs at most may share a process with it; None: any number. See quarantine.py.
    """

    job_id: str
    attempt: int
    type: str
    parameters: str
    losses: int
    due_at: int
    traceparent: str | None
    group_limit: int | None = None


class Claims(NamedTuple):
    """What a transaction claimed.

    Attributes:
        jobs: in the order in which they are to run.
        next_due: when the next waiting job is due, in milliseconds since 1970; None: not known, or there is none.
        none_left: True when no job waits, neither now nor for a later time.
        go_on: True when more may wait than one transaction claims, and slots are free.
    """

    jobs: list[Claim]
    next_due: int | None = None
    none_left: bool = False
    go_on: bool = False
