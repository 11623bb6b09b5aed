"""An engine in memory: it runs job functions in the test itself, at once or when told, by a clock of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw

from asyncjob import durations
from asyncjob.context import MAX_POSTPONEMENTS, JobContext, WorkerContext
from asyncjob.contract import ApiError, Submission, same_request
from asyncjob.encoding import encode
from asyncjob.job import Error, Status, new_job_id, now_ms
from asyncjob.policies import Backoff, Unique
from asyncjob.registry import JobFunction, Jobs, registered
from asyncjob.runner import Outcome, Postponed, Succeeded, Unfinished, failed, finish, run
from asyncjob.testing.kept import LOSSES, Kept, Submitted, new

MAX_ATTEMPTS = 10_000  # of one `drain`: a job that submits itself again would never end it
BACKOFF = Backoff(first=1, factor=2, most=300, jitter=0)
log = logging.getLogger("asyncjob")  # what a server logs to, too


class StillWaiting(AssertionError):
    """The test waits for a job that will not end by itself; the message says what to do."""


class Engine:
    """Keeps jobs in memory and runs them in the test's own thread, one after the other.

    Args:
        jobs: the registry.
        at_once: run each job in its submission, and what becomes due in `advance`; otherwise jobs run in `drain`, and
            when the test waits for one.
        now: where its clock begins; by default the time at which the engine is made.
        resources: what functions get as `context.resources`, in place of what a lifespan yields.

    Attributes:
        jobs: the registry.
        kept: the jobs by their ids, in the order of submission.
    """

    def __init__(
        self, jobs: Jobs, *, at_once: bool = False, now: datetime | None = None, resources: Any = None
    ) -> None:
        self.jobs = jobs
        self._process = WorkerContext()
        self._process.resources = resources
        self.kept: dict[str, Kept] = {}
        self._at_once = at_once
        self._now = now_ms() if now is None else round(now.timestamp() * 1000)
        self._submitted: list[Submitted] = []
        self._failures: dict[tuple[str, int], Exception] = {}

    # -- what a test does ----------------------------------------------------------------------------------------

    def drain(self) -> int:
        """Run jobs until none is left that may run now; how many attempts that were.

        Raises:
            AssertionError: after 10,000 attempts there still is one.
        """
        for attempts in range(MAX_ATTEMPTS):
            kept = self._next()
            if kept is None:
                return attempts
            self._run(kept)
        raise AssertionError(f"{MAX_ATTEMPTS:,} attempts, and jobs still wait: do they submit each other for ever?")

    def advance(self, length: float | str) -> None:
        """Let time pass: seconds, or text such as `"1h30m"`. What becomes due runs in the next `drain`."""
        self._now += round(durations.seconds(length) * 1000)
        if self._at_once:
            self.drain()

    @property
    def now(self) -> datetime:
        """The time by its clock."""
        return datetime.fromtimestamp(self._now / 1000, UTC)

    def fail(self, function: Callable[..., Any] | str, error: Exception, *, attempt: int = 1) -> None:
        """Make an attempt of every job of a function fail in place of running it.

        Args:
            function: or its name.
            error: what it raises; WorkerLost or TimedOut for what no function can answer.
            attempt: which one.
        """
        self._failures[self._name(function), attempt] = error

    def submitted(self, function: Callable[..., Any] | str | None = None) -> list[Submitted]:
        """What was submitted, in that order: all of it, or of one function."""
        name = None if function is None else self._name(function)
        return [one for one in self._submitted if name in (None, one.type)]

    def assert_submitted(self, function: Callable[..., Any] | str, **parameters: Any) -> Submitted:
        """Return the newest submission of a function that has these parameters, among others.

        Raises:
            AssertionError: there is none; it says what was submitted.
        """
        wanted: dict[str, Any] = msgspec.json.decode(encode(parameters))
        for one in self.submitted(function)[::-1]:
            if {**one.parameters, **wanted} == one.parameters:
                return one
        others = ", ".join(f"{one.type}({one.parameters})" for one in self._submitted) or "nothing"
        raise AssertionError(f"no {self._name(function)} with {wanted} was submitted, but {others}")

    def assert_nothing_submitted(self, function: Callable[..., Any] | str | None = None) -> None:
        """Check that nothing was submitted, or nothing of one function."""
        found = self.submitted(function)
        assert not found, f"submitted: {', '.join(f'{one.type}({one.parameters})' for one in found)}"

    def _name(self, function: Callable[..., Any] | str) -> str:
        name = function if isinstance(function, str) else registered(function).name
        return self.jobs[name].name

    # -- what its API does ---------------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> tuple[str, bool]:
        """Keep a job; its id, and whether it is one that was there already and is the same.

        Raises:
            ApiError: 409, the id belongs to another job.
        """
        function = self.jobs[submission.type]
        job_id = submission.job_id if isinstance(submission.job_id, str) else new_job_id()
        earlier = self.kept.get(job_id)
        if earlier is not None:
            if not same_request(earlier.submission, submission):
                raise ApiError(409, f"there is already a job {job_id} with another type, parameters or options")
            return job_id, False
        kept = new(len(self._submitted), job_id, submission, function, self._now)
        same = None if function.unique is None else self._same(function.unique, kept)
        if same is not None:
            return same.job.job_id, True
        self.kept[job_id] = kept
        given = msgspec.json.decode(submission.parameters)
        self._submitted.append(Submitted(function.name, given, submission.options, job_id))
        if self._at_once:
            self.drain()
        return job_id, False

    def find(self, job_id: str) -> Kept:
        """A job.

        Raises:
            ApiError: 404.
        """
        if job_id not in self.kept:
            raise ApiError(404, "Not found")
        return self.kept[job_id]

    def wait(self, job_id: str) -> Kept:
        """A job, once it has ended; what may run until then is run.

        Raises:
            StillWaiting: it waits for a time, and no time passes.
        """
        kept = self.find(job_id)
        if not kept.job.status.is_final:
            self.drain()
        if not kept.job.status.is_final:
            raise StillWaiting(f"job {job_id} waits until {kept.job.run_at}: let time pass, with engine.advance(...)")
        return kept

    def cancel(self, job_id: str) -> Kept:
        """Cancel a job; twice is the same as once."""
        kept = self.find(job_id)
        if kept.job.status is not Status.CANCELED:
            kept.move("cancel", self._now)
        return kept

    def retry(self, job_id: str) -> None:
        """Have a job that has ended run again."""
        kept = self.find(job_id)
        unique = self.jobs[kept.job.type].unique
        if kept.job.status.is_final and unique is not None and unique.while_ == "unfinished":
            same = self._same(unique, kept)
            if same is not None:
                other = same.job.job_id
                raise ApiError(409, f"cannot retry job {job_id}: job {other} is the same and has not ended")
        kept.move("retry", self._now)
        kept.losses = kept.postponements = 0
        kept.wait(self._now, self._now)
        if self._at_once:
            self.drain()

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended."""
        kept = self.find(job_id)
        if not kept.job.status.is_final:
            raise ApiError(409, f"cannot delete job {job_id}: it is {kept.job.status}")
        del self.kept[job_id]

    def run_now(self, job_id: str) -> Kept:
        """Have a job that waits for a time wait no more."""
        kept = self.find(job_id)
        waits = kept.job.status is Status.PENDING
        if not waits or kept.waits_until <= self._now:
            why = "does not wait for a time" if waits else f"is {kept.job.status}"
            raise ApiError(409, f"cannot run job {job_id} now: it {why}")
        kept.wait(self._now, self._now)
        return kept

    # -- inside --------------------------------------------------------------------------------------------------

    def _same(self, unique: Unique, kept: Kept) -> Kept | None:
        """Another job that is in the way of this one; one that is too late to begin ends instead."""
        for other in reversed(self.kept.values()):
            if other.unique != kept.unique or other is kept:
                continue
            self._expire_if_late(other)
            status = other.job.status
            if unique.within is not None:
                created = round(datetime.fromisoformat(other.job.created_at).timestamp() * 1000)
                young = self._now - created < unique.within * 1000
                is_same = young and status not in (Status.FAILURE, Status.CANCELED)
            elif unique.while_ == "waiting":
                is_same = status is Status.PENDING and other.job.attempt == 1
            else:
                is_same = not status.is_final
            if is_same:
                return other
        return None

    def _next(self) -> Kept | None:
        waiting = [kept for kept in self.kept.values() if kept.job.status is Status.PENDING]
        for kept in waiting:
            self._expire_if_late(kept)
        ready = [kept for kept in waiting if kept.job.status is Status.PENDING and kept.waits_until <= self._now]
        return min(ready, key=lambda kept: kept.rank, default=None)

    def _expire_if_late(self, kept: Kept) -> None:
        start_by, waits = kept.submission.options.start_by_ms, kept.job.status is Status.PENDING
        if waits and kept.job.attempt == 1 and start_by is not None and start_by < self._now:
            kept.move("expire", self._now, error=Error("Expired", f"it had not begun by {kept.job.start_by}"))

    def _run(self, kept: Kept) -> None:
        function, job = self.jobs[kept.job.type], kept.job
        kept.move("claim", self._now)
        error = self._failures.get((job.type, job.attempt))
        if error is None:
            context = JobContext(job.job_id, job.attempt, kept.tell, self._process)
            self._end(function, kept, _complete(function, run(function, context, kept.submission.parameters)))
        elif type(error) in LOSSES:
            self._lose(function, kept, LOSSES[type(error)])
        else:
            self._end(function, kept, failed(function, error))

    def _end(self, function: JobFunction, kept: Kept, outcome: Outcome) -> None:
        if not isinstance(outcome, Succeeded) and outcome.traceback:  # the one place that says which line it was
            job, error = kept.job, outcome.error
            told = (job.job_id, job.type, job.attempt, error.type, error.message, outcome.traceback)
            log.warning("job %s, %s, attempt %d: %s: %s\n%s", *told)
        if kept.job.status is not Status.RUNNING:  # it was canceled meanwhile
            return
        if isinstance(outcome, Succeeded):
            kept.move("succeed", self._now, results=Raw(outcome.results))
        elif isinstance(outcome, Postponed):
            self._postpone(kept, outcome)
        elif outcome.retryable:
            self._lose(function, kept, outcome.error)
        else:
            kept.move("fail", self._now, error=outcome.error)

    def _postpone(self, kept: Kept, outcome: Postponed) -> None:
        if kept.postponements >= MAX_POSTPONEMENTS:
            said = f"it was postponed {MAX_POSTPONEMENTS:,} times; last: {outcome.error.message}"
            kept.move("fail", self._now, error=Error("RetryLater", said))
            return
        kept.postponements += 1
        kept.move("postpone", self._now, error=outcome.error)
        kept.wait(self._now + round(outcome.seconds * 1000), self._now)

    def _lose(self, function: JobFunction, kept: Kept, error: Error) -> None:
        if kept.losses >= function.retries:
            kept.move("fail", self._now, error=error)
            return
        pause = (function.backoff or BACKOFF).longest(kept.losses)
        kept.losses += 1
        kept.move("repeat", self._now, error=error)
        kept.wait(self._now + round(pause * 1000), self._now)


def _complete(function: JobFunction, outcome: Outcome | Unfinished) -> Outcome:
    """The outcome, of an awaitable once it was awaited on an event loop of its own."""
    if not isinstance(outcome, Unfinished):
        return outcome
    ended: list[Outcome] = []

    def complete() -> None:
        ended.append(asyncio.run(finish(function, outcome)))

    thread = threading.Thread(target=complete)  # the test's own thread may run an event loop already
    thread.start()
    thread.join()
    return ended[0]
