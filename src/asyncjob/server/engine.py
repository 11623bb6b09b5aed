"""The engine: submit, cancel, retry, delete and run now, on a store and on workers. It knows nothing of HTTP.

What clients only ask is in reads.py. What it refuses, it refuses with the exceptions of refusals.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET

from asyncjob.contract import Submission, same_request
from asyncjob.job import Job, Status, new_job_id
from asyncjob.registry import Jobs
from asyncjob.server.admission import Admission, Earlier, Submitted, not_saved
from asyncjob.server.endings import Ending
from asyncjob.server.events import JobEvent
from asyncjob.server.logs import log
from asyncjob.server.purging import purge_for_ever
from asyncjob.server.reads import Reads
from asyncjob.server.refusals import Conflict, NotFound, Refusal, Unavailable
from asyncjob.server.schedules import Schedules
from asyncjob.server.settings import Settings
from asyncjob.server.telling import Telling
from asyncjob.server.webhooks.receivers import NotifyPolicy
from asyncjob.server.workers.supervisor import Supervisor
from asyncjob.store import (
    Change,
    Claims,
    Duplicate,
    NotSaved,
    Observer,
    Store,
    Told,
    Unreadable,
)

if TYPE_CHECKING:
    from asyncjob.server.webhooks.sender import Sender

OPTIONS = ("delay", "runAt", "priority", "startBy", "notify")  # of a submission, that this engine can keep


class Engine(Reads):
    """Keeps jobs and has them run.

    Attributes:
        jobs: the registry.
        events: of all jobs, for whoever listens.
        watchers: who waits for single jobs.
        metrics: what happens, counted.

    Args:
        jobs: the registry.
        settings: how many workers there are, how many jobs may wait, and so on.
        store: where the jobs are kept; the engine starts and closes it.
    """

    def __init__(self, jobs: Jobs, settings: Settings, store: Store) -> None:
        self._tell = Telling(jobs)
        super().__init__(store, self._tell.watchers, self._tell.throughput)
        self.jobs = jobs
        self.events, self.metrics = self._tell.events, self._tell.metrics
        self._settings = settings
        self._supervisor = Supervisor(
            jobs,
            settings,
            store,
            self._tell,
            self._tell.succeeded,
            self.metrics.waiting.observe,
            self.metrics.running.observe,
            self.watchers.wake_for_logs,
        )
        self._policy = NotifyPolicy(settings.notify_allow)
        self._sender: Sender | None = None
        self._tries = Counter(delivered=0, again=0, failed=0)
        self._purging: asyncio.Task[None] | None = None
        self._admission = Admission(settings, store)
        self.schedules = Schedules(jobs, store, self._policy, self._admission, self._tell.submitted)
        self.metrics.measure(settings, store, self._supervisor, lambda: self._tries)
        self.metrics.measure_schedules(lambda: self.schedules.outcomes, lambda: self.schedules.lateness)

    async def start(self) -> None:
        """Start the workers, and go on with what an earlier server left.

        Raises:
            StoreError: the store cannot be used.
        """
        commits = self.metrics.commits
        await self._store.start(Observer(self._assign, commits.saved, commits.failed, _trying_again))
        await self._supervisor.start()
        if self._settings.notify_secret is not None and self._policy.allows_any:
            from asyncjob.server.webhooks.sender import Sender  # httpx costs time and memory that most servers save

            self._sender = Sender(
                self._store.deliveries,
                self._policy,
                self._settings.notify_secret,
                self._settings.backoff,
                self._tries,
            )
            self._tell.wake_sender = self._sender.wake
        await self.schedules.start()
        if self._settings.keep is not None:
            self._purging = asyncio.create_task(purge_for_ever(self._store, self._settings.keep))

    @property
    def options(self) -> list[str]:
        """The names of the options that a submission may have here."""
        return [name for name in OPTIONS if name != "notify" or self._policy.allows_any]

    @property
    def running(self) -> int:
        """How many jobs are running."""
        return self._supervisor.running

    async def stop(self, hurry: asyncio.Event) -> None:
        """Let running jobs end within the grace period, or until `hurry` is set, and put the others back."""
        self.schedules.stop()
        await self._supervisor.stop(hurry)
        self._stopping.set()
        self.events.stop()
        self.watchers.stop()

    def refuse(self, fault: str) -> None:
        """Accept nothing more, since it would be lost; running jobs may end.

        Args:
            fault: why; whoever submits is told.
        """
        self._admission.fault = fault
        self.schedules.stop()

    async def close(self) -> None:
        """Close the store; the engine can do nothing more.

        Raises:
            Unusable: it must not be closed; see `Store.close`.
        """
        self.schedules.stop()
        if self._purging is not None:
            self._purging.cancel()
        if self._sender is not None:
            await self._sender.stop()
        await self._store.close()

    # -- the contract --------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission, traceparent: str | None = None) -> Submitted:
        """Save a job; it runs as soon as its options and limits allow and a place is free.

        Args:
            submission: what to run.
            traceparent: of the trace that the job belongs to.

        Returns:
            The job's id, once the job is on the disk; or that of a job that is the same.

        Raises:
            NotAllowed: its `options.notify` names a URL that this server does not notify.
            Conflict: there is another job with that id.
            Full: too many jobs are waiting, for their turn or for their time.
            Unavailable: it cannot be saved.
        """
        saving: asyncio.Future[Earlier] = asyncio.get_running_loop().create_future()
        job_id = self.save(saving, submission, traceparent)
        try:
            earlier = await saving
        except NotSaved as error:
            raise not_saved(error) from error
        return self.saved(job_id, submission, earlier)

    def save(self, told: Told, submission: Submission, traceparent: str | None = None) -> str:
        """The first half of `submit`: the job's id. If it raises, nothing is written.

        Args:
            told: of the job that was there, for `saved`, once this has returned; or that the job was not saved.
            submission: as in `submit`.
            traceparent: as in `submit`.

        Raises:
            NotAllowed, Full, Unavailable: as `submit` does.
        """
        self._admission.check()
        if submission.options.notify is not None:
            self._policy.check(submission.options.notify)
        job_id = new_job_id() if submission.job_id is UNSET else submission.job_id
        full = self._admission.full(submission.options)
        if full is None:
            self._store.insert(told, job_id, submission, traceparent)
            return job_id
        earlier = self._store.find_submission(job_id) or self._store.find_same(submission)
        if earlier is None:
            raise full
        told.get_loop().call_soon(_tell_of, earlier, told)
        return job_id

    def saved(self, job_id: str, submission: Submission, earlier: Earlier) -> Submitted:
        """The second half of `submit`, once that is known; raises Conflict as `submit` does."""
        if earlier is None:
            self._tell.submitted(job_id, submission.type)
        elif isinstance(earlier, Duplicate):
            return Submitted(earlier.job_id, is_duplicate=True)
        elif not same_request(earlier, submission):
            raise Conflict(f"there is already a job {job_id} with another type, other parameters or other options")
        return Submitted(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job that is not final. To cancel it again changes nothing.

        Raises:
            NotFound: there is no such job.
            Conflict: it has ended in another way.
            Unavailable: nothing can be saved.
        """
        change = await self._change(self._store.cancel(job_id))
        if change.applied:
            log(logging.INFO, "job canceled", job_id=job_id, attempt=change.attempt)
            self._supervisor.cancel(job_id, change.attempt)
            job = self.get(job_id)
            self._tell(JobEvent(job_id, job.type, Status.CANCELED, change.attempt))
            return job
        if change.before is not Status.CANCELED:
            raise _refused(job_id, change, "cancel")
        return self.get(job_id)

    async def retry(self, job_id: str) -> None:
        """Have a final job run again, with its next attempt.

        Raises:
            NotFound: there is no such job.
            Conflict: it is not final, its function is not registered any more, or a job that is the same has not ended.
            Full: too many jobs are waiting.
            Unavailable: nothing can be saved.
        """
        self._admission.check()
        job = self.get(job_id)
        if job.type not in self.jobs:
            raise Conflict(f"no function {job.type!r} is registered any more")
        if job.status.is_final and (full := self._admission.full()) is not None:
            raise full
        change = await self._change(self._store.retry(job_id))
        if change.duplicate is not None:
            raise Conflict(f"cannot retry job {job_id}: job {change.duplicate} is the same and has not ended")
        if not change.applied:
            raise _refused(job_id, change, "retry")
        log(logging.INFO, "job retried", job_id=job_id, attempt=change.attempt + 1)
        self._tell(JobEvent(job_id, job.type, Status.PENDING, change.attempt + 1))

    async def delete(self, job_id: str) -> None:
        """Delete a final job; its id is free then.

        Raises:
            NotFound: there is no such job.
            Conflict: it is not final, or its function has not stopped yet: what that says must not meet a new job of
                the same id.
            Unavailable: nothing can be saved.
        """
        job = self.get(job_id)
        if job.status.is_final and self._supervisor.has(job_id):
            raise Conflict(f"cannot delete job {job_id} yet: it is {job.status}, but its function has not stopped")
        change = await self._change(self._store.delete(job_id))
        if not change.applied:
            raise _refused(job_id, change, "delete")
        log(logging.INFO, "job deleted", job_id=job_id, attempt=change.attempt)
        self._tell.deleted(job_id, job.type)

    async def run_now(self, job_id: str) -> None:
        """Have a job that waits for its time run as soon as a place is free.

        Raises:
            NotFound: there is no such job.
            Conflict: it does not wait for a time.
            Unavailable: nothing can be saved.
        """
        change = await self._change(self._store.run_now(job_id))
        if change.before is None:
            raise NotFound
        if not change.applied:
            waits = "does not wait for a time" if change.before is Status.PENDING else f"is {change.before}"
            raise Conflict(f"cannot run job {job_id} now: it {waits}")
        log(logging.INFO, "job runs now", job_id=job_id, attempt=change.attempt)
        self.watchers.wake(job_id)

    def check(self) -> None:
        """Check that jobs can be read and run.

        Raises:
            Unavailable: they cannot.
        """
        try:
            self._store.find("")
        except Unreadable as error:
            raise Unavailable(f"the database cannot be read: {error}") from error
        if not self._supervisor.ready_workers:
            raise Unavailable("no worker is ready")

    # -- inside --------------------------------------------------------------------------------------------------

    def _assign(self, claims: Claims) -> None:
        """Wake workers in the next turn of the event loop: in this one, whoever submitted is answered and told of."""
        asyncio.get_running_loop().call_soon(self._hand_out, claims)

    def _hand_out(self, claims: Claims) -> None:
        self._supervisor.assign(claims)
        for late in claims.expired:
            log(logging.WARNING, "job ended", job_id=late.job_id, outcome="Failure", error="Expired")
            self._tell(JobEvent(late.job_id, late.type, Status.FAILURE, late.attempt), Ending("Expired"))
        self._tell.started(claims.jobs)

    async def _change(self, write: "asyncio.Future[Change]") -> Change:
        try:
            return await write
        except NotSaved as error:
            raise not_saved(error) from error


def _tell_of(earlier: Submission | Duplicate, told: Told) -> None:
    if not told.done():
        told.set_result(earlier)


def _trying_again(verb: str, jobs: Sequence[str], error: NotSaved) -> None:
    known = {"job_id": jobs[0]} if len(jobs) == 1 else {"jobs": len(jobs)}
    log(logging.ERROR, "not saved, trying again", write=verb, **known, error=str(error))


def _refused(job_id: str, change: Change, verb: str) -> Refusal:
    if change.before is None:
        return NotFound()
    return Conflict(f"cannot {verb} job {job_id}: it is {change.before}")
