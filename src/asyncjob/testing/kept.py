"""The jobs of an engine in memory, and how each of them changes: by the transition table, as everywhere."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from asyncjob.contract import ApiError, Submission
from asyncjob.job import TRANSITIONS, Error, Job, Progress, Status, timestamp
from asyncjob.keys import unique_key
from asyncjob.options import Options
from asyncjob.registry import JobFunction


class WorkerLost(Exception):
    """For `MemoryEngine.fail`: the process that runs the attempt dies."""


class TimedOut(Exception):
    """For `MemoryEngine.fail`: the attempt runs longer than its timeout."""


LOSSES: dict[type[Exception], Error] = {
    WorkerLost: Error("WorkerLost", "the worker died; this job ran alone in it"),
    TimedOut: Error("Timeout", "it ran longer than its timeout"),
}


class Submitted(NamedTuple):
    """A submission, for a test to look at; `parameters` are JSON values."""

    type: str
    parameters: dict[str, Any]
    options: Options
    job_id: str


@dataclass(eq=False)
class Kept:
    """A job, and what the API does not show of it.

    Attributes:
        sequence: the order of submission.
        waits_until: when it may run, in milliseconds since 1970.
        unique: what it shares with jobs that are the same; None if its function does not say.
    """

    sequence: int
    job: Job
    submission: Submission
    waits_until: int
    unique: str | None = None
    losses: int = 0
    postponements: int = 0
    earlier: list[Job] = field(default_factory=list)

    def move(self, transition: str, now: int, **values: Any) -> None:
        """Make one transition; `values` are further fields of the job.

        Raises:
            ApiError: 409, the job's status does not allow it.
        """
        rule, job = TRANSITIONS[transition], self.job
        if job.status not in rule.sources:
            raise ApiError(409, f"cannot {transition} job {job.job_id}: it is {job.status}")
        fields: dict[str, Any] = {"status": rule.target, "run_at": UNSET}
        if rule.target is Status.RUNNING:
            fields |= {"started_at": timestamp(now), "error": UNSET}
        if rule.target.is_final:
            fields |= {"finished_at": timestamp(now)}
        if rule.next_attempt:
            self.earlier.append(msgspec.structs.replace(job, **values))
            cleared = ("started_at", "finished_at", "progress", "results", "error")
            fields |= dict.fromkeys(cleared, UNSET) | {"attempt": job.attempt + 1}
        self.job = msgspec.structs.replace(job, **(fields | values))

    def wait(self, until: int, now: int) -> None:
        """Let a Pending job wait for a time."""
        self.waits_until = until
        self.job = msgspec.structs.replace(self.job, run_at=timestamp(until) if until > now else UNSET)

    def tell(self, progress: Progress) -> None:
        """Its function has reported progress."""
        if self.job.status is Status.RUNNING:
            self.job = msgspec.structs.replace(self.job, progress=progress)

    @property
    def rank(self) -> tuple[int, int]:
        """What runs first: the highest priority, then what was submitted first."""
        return -(self.job.priority or 0), self.sequence


def new(sequence: int, job_id: str, submission: Submission, function: JobFunction, now: int) -> Kept:
    """A job as it is submitted."""
    options = submission.options
    priority = function.priority if options.priority is None else options.priority
    job = Job(
        job_id=job_id,
        type=function.name,
        status=Status.PENDING,
        parameters=Raw(submission.parameters),
        attempt=1,
        priority=priority or UNSET,
        created_at=timestamp(now),
        start_by=UNSET if options.start_by is None else timestamp(options.start_by_ms or 0),
    )
    kept = Kept(sequence, job, submission, now)
    kept.wait(now + options.pause_ms if options.run_at_ms is None else options.run_at_ms, now)
    kept.unique = unique_key(function, submission.parameters)
    return kept
