"""A job, its status, and the one table of how a status changes.

All engines import this file and it imports none of them. They may keep jobs in SQLite or in DynamoDB, but what a job
is, and what may happen to it, is decided here.
"""

import os
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

import msgspec
from msgspec import UNSET, Raw, UnsetType

from asyncjob.returnable import Returnable


class Status(StrEnum):
    """The status of a job. The values are what the API shows."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILURE = "Failure"
    CANCELED = "Canceled"

    @property
    def is_final(self) -> bool:
        """True if only an explicit retry can still change the job."""
        return self in FINAL


FINAL = frozenset({Status.SUCCESS, Status.FAILURE, Status.CANCELED})


@dataclass(frozen=True)
class Transition:
    """One way in which a status changes. Its write is guarded by `sources` and by the attempt it expects.

    Attributes:
        name: what the engines call it, in code, in SQL and in logs.
        sources: the statuses it may start from; from any other it changes nothing.
        target: the status it leads to.
        next_attempt: True if it begins the job's next attempt.
    """

    name: str
    sources: frozenset[Status]
    target: Status
    next_attempt: bool = False


# A running job that goes back to Pending was *repeated* when the attempt counts against its retries (a lost worker, a
# timeout, an exception it asked to retry on), *postponed* when its function asked to run later, which is counted by
# itself, and *released* when it counts against nothing (the server was told to stop).
TRANSITIONS = {
    transition.name: transition
    for transition in (
        Transition("claim", frozenset({Status.PENDING}), Status.RUNNING),
        Transition("expire", frozenset({Status.PENDING}), Status.FAILURE),
        Transition("succeed", frozenset({Status.RUNNING}), Status.SUCCESS),
        Transition("fail", frozenset({Status.RUNNING}), Status.FAILURE),
        Transition("repeat", frozenset({Status.RUNNING}), Status.PENDING, next_attempt=True),
        Transition("postpone", frozenset({Status.RUNNING}), Status.PENDING, next_attempt=True),
        Transition("release", frozenset({Status.RUNNING}), Status.PENDING, next_attempt=True),
        Transition("cancel", frozenset({Status.PENDING, Status.RUNNING}), Status.CANCELED),
        Transition("retry", FINAL, Status.PENDING, next_attempt=True),
    )
}


class Progress(Returnable, msgspec.Struct, frozen=True):
    """The progress that a running job reports: a fraction from 0 to 1, and a few words."""

    fraction: float
    message: str | UnsetType = UNSET


class Error(msgspec.Struct, frozen=True):
    """Why a job is a Failure: the exception's class name, `Timeout`, `WorkerLost` and so on, and a message."""

    type: str
    message: str


class Job(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as `GET /jobs/{jobId}` shows it, in the order of the contract.

    A field that has no value yet is UNSET and absent from the JSON. `parameters` and `results` stay the JSON text that
    was saved: showing a job never decodes them. Times are UTC, ISO 8601, milliseconds, `Z`. `priority` is absent if it
    is 0, `run_at` unless the job is Pending and waits for that time. Between two attempts, `error` is the last one's.
    """

    job_id: str
    type: str
    status: Status
    parameters: Raw
    progress: Progress | UnsetType = UNSET
    results: Raw | UnsetType = UNSET
    error: Error | UnsetType = UNSET
    attempt: int
    priority: int | UnsetType = UNSET
    created_at: str
    run_at: str | UnsetType = UNSET
    start_by: str | UnsetType = UNSET
    started_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET


def writable(text: str, most: int | None = None) -> str:
    """The first `most` characters of the text, with lone surrogates, which JSON cannot carry, replaced.

    Methods of a subclass of `str` are never called: they are other people's code.
    """
    return str.encode(str.__getitem__(text, slice(most)), errors="replace").decode()


@lru_cache(maxsize=8)  # many jobs are created in the same millisecond
def timestamp(milliseconds: int) -> str:
    """A time, in milliseconds since 1970, as the contract writes it: `2024-06-06T12:34:56.789Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{_second(seconds)}.{rest:03d}Z"


def milliseconds(text: str) -> int:
    """The milliseconds since 1970 of a time that `timestamp` wrote."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def utc_now() -> str:
    """The time, as `timestamp` writes it."""
    return timestamp(now_ms())


_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # a random digit, with the RFC's two bits set in it


def new_job_id() -> str:
    """A job id for a client that chose none: a UUID of version 7 (RFC 9562, section 5.7).

    It begins with the time, so new jobs lie side by side in an index, and ends with 74 random bits, so nobody can
    guess one.
    """
    random = os.urandom(10).hex()
    return f"{_beginning(now_ms())}{random[:3]}-{_VARIANTS[random[3]]}{random[4:7]}-{random[7:19]}"


@lru_cache(maxsize=1)
def _beginning(milliseconds: int) -> str:
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}-7"
