"""What the store in memory keeps: jobs and where they wait, notifications, schedules. It outlives a server."""

from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from asyncjob import job_log
from asyncjob.contract import Submission
from asyncjob.job import Job
from asyncjob.store import (
    LEVEL_MS,
    Attempt,
    Claim,
    DeliveryStatus,
    KeptLine,
    Lost,
    Notification,
)
from tests.store import memory_schedules


class Place(NamedTuple):
    """Where a job waits: at a rank, in the queue or before a gate, or for its time."""

    rank: int | None = None
    run_at: int | None = None
    pause: int | None = None
    stage: int | None = None  # before which gate, if its function has limits


NOWHERE = Place()


@dataclass
class Row:
    """A job, and what the API does not show of it."""

    sequence: int
    job: Job
    submission: Submission
    traceparent: str | None
    priority: int = 0
    place: Place = NOWHERE
    key: str | None = None  # that the limits of its function count it under
    same: str | None = None  # equal in jobs that are the same
    losses: int = 0
    postponements: int = 0
    interruptions: int = 0
    group_limit: int | None = None
    earlier: list[Attempt] = field(default_factory=list)
    log: dict[job_log.Place, KeptLine] = field(default_factory=dict)

    def claim(self, rank: int) -> Claim:
        ready_at = rank and rank + self.priority * LEVEL_MS
        job, told = self.job, (self.losses, ready_at, self.traceparent, self.group_limit)
        return Claim(job.job_id, job.attempt, job.type, self.submission.parameters, *told)

    def lost(self) -> Lost:
        job = self.job
        return Lost(job.job_id, job.attempt, job.type, self.losses, self.group_limit, self.interruptions)


@dataclass
class Sent:
    """A notification, and what became of it."""

    sequence: int
    new: Notification
    due_at: int
    status: DeliveryStatus = DeliveryStatus.WAITING
    tries: int = 0
    finished_at: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Kept:
    """The jobs and notifications, which outlive a server."""

    def __init__(self) -> None:
        self.jobs: dict[str, Row] = {}
        self.told: dict[str, Sent] = {}
        self.waiting: dict[str, Row] = {}  # the jobs that are Pending
        self.starts: dict[tuple[str, str | None], list[int]] = {}  # of functions and keys with a rate
        self.count = 0
        self.schedules: dict[str, memory_schedules.Kept] = {}
