"""The engine: submit, get, wait, list, cancel and retry, on a store and on workers. It knows nothing of HTTP.

What it refuses, it refuses with the exceptions of refusals.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET

from asyncjob.contract import ListQuery, PageQuery, Submission, same_request
from asyncjob.job import Job, Status, new_job_id
from asyncjob.registry import Jobs
from asyncjob.server.events import JobEvent
from asyncjob.server.logs import log
from asyncjob.server.purging import purge_for_ever
from asyncjob.server.refusals import Conflict, Full, NotFound, Refusal, Unavailable
from asyncjob.server.settings import Settings
from asyncjob.server.telling import Telling
from asyncjob.server.throughput import MOMENT_SECONDS
from asyncjob.server.webhooks.receivers import NotifyPolicy
from asyncjob.server.workers.supervisor import Supervisor
from asyncjob.store import Attempt, Change, Claims, Delivery, NotSaved, Observer, Shown, Store, Told, Unreadable

if TYPE_CHECKING:
    from asyncjob.server.webhooks.sender import Sender

MAX_WAITING_PAGES = 128  # lists that may wait to be read
PAGE_WAIT_SECONDS = 10.0  # for a list to be read
OPTIONS = ("notify",)  # of a submission, that this engine can keep


class Engine:
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
        self.jobs = jobs
        self._settings = settings
        self._store = store
        self._tell = Telling(jobs)
        self.events, self.watchers, self.metrics = self._tell.events, self._tell.watchers, self._tell.metrics
        self._supervisor = Supervisor(
            jobs,
            settings,
            store,
            self._tell,
            self._tell.succeeded,
            self.metrics.waiting.observe,
            self.metrics.running.observe,
        )
        self._policy = NotifyPolicy(settings.notify_allow)
        self._sender: Sender | None = None
        self._tries = Counter(delivered=0, again=0, failed=0)
        self._stopping = asyncio.Event()
        self._purging: asyncio.Task[None] | None = None
        self._fault: str | None = None
        self._measure()

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
        await self._supervisor.stop(hurry)
        self._stopping.set()
        self.events.stop()
        self.watchers.stop()

    def refuse(self, fault: str) -> None:
        """Accept nothing more, since it would be lost; running jobs may end.

        Args:
            fault: why; whoever submits is told.
        """
        self._fault = fault

    async def close(self) -> None:
        """Close the store; the engine can do nothing more.

        Raises:
            Unusable: it must not be closed; see `Store.close`.
        """
        if self._purging is not None:
            self._purging.cancel()
        if self._sender is not None:
            await self._sender.stop()
        await self._store.close()

    # -- the contract --------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission, traceparent: str | None = None) -> str:
        """Save a job; it runs as soon as a place is free.

        Args:
            submission: what to run.
            traceparent: of the trace that the job belongs to.

        Returns:
            The job's id, once the job is on the disk.

        Raises:
            NotAllowed: its `options.notify` names a URL that this server does not notify.
            Conflict: there is another job with that id.
            Full: too many jobs are waiting.
            Unavailable: it cannot be saved.
        """
        saving: asyncio.Future[Submission | None] = asyncio.get_running_loop().create_future()
        job_id = self.save(saving, submission, traceparent)
        try:
            earlier = await saving
        except NotSaved as error:
            raise not_saved(error) from error
        self.saved(job_id, submission, earlier)
        return job_id

    def save(self, told: Told, submission: Submission, traceparent: str | None = None) -> str:
        """The first half of `submit`: the job's id. If it raises, nothing is written.

        Args:
            told: of the earlier submission, for `saved`, once this has returned; or that the job was not saved.
            submission: as in `submit`.
            traceparent: as in `submit`.

        Raises:
            NotAllowed, Full, Unavailable: as `submit` does.
        """
        self._check_file()
        if submission.options.notify is not None:
            self._policy.check(submission.options.notify)
        job_id = new_job_id() if submission.job_id is UNSET else submission.job_id
        if not self._is_full:
            self._store.insert(told, job_id, submission, traceparent)
            return job_id
        earlier = self._store.find_submission(job_id)
        if earlier is None:
            raise self._refused_as_full()
        told.get_loop().call_soon(_tell_of, earlier, told)
        return job_id

    def saved(self, job_id: str, submission: Submission, earlier: Submission | None) -> None:
        """The second half of `submit`, once that is known; raises Conflict as `submit` does."""
        if earlier is None:
            self._tell.submitted(job_id, submission.type)
        elif not same_request(earlier, submission):
            raise Conflict(f"there is already a job {job_id} with another type, other parameters or other options")

    def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            NotFound: there is none.
        """
        job = self._store.find(job_id)
        if job is None:
            raise NotFound
        return job

    def show(self, job_id: str) -> Shown:
        """The same as JSON, which costs half as much; raises what `get` raises."""
        shown = self._store.show(job_id)
        if shown is None:
            raise NotFound
        return shown

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job, as soon as it is final or the seconds are over.

        Raises:
            NotFound: there is none, or it was deleted meanwhile.
        """
        try:
            with self.watchers.watching(job_id) as changed:
                async with asyncio.timeout(seconds):
                    while not (job := self.get(job_id)).status.is_final and not self._stopping.is_set():
                        changed.clear()
                        await changed.wait()
                    return job
        except TimeoutError:
            return self.get(job_id)

    def stream(self, job_id: str, last_id: str | None) -> AsyncGenerator[bytes, None]:
        """The events of a job, until it is final; see `Watchers.stream`."""
        return self.watchers.stream(job_id, last_id, self._store.find)

    def attempts(self, job_id: str, query: PageQuery) -> tuple[list[Attempt], int | None]:
        """A page of a job's attempts, oldest first, and the cursor of the next page if there is one.

        Raises:
            NotFound: there is no such job.
        """
        job = self.get(job_id)
        attempts, is_full = self._store.earlier_attempts(job_id, query.after, query.limit)
        if is_full:
            return attempts, attempts[-1].attempt
        now = Attempt(job.attempt, job.status, job.started_at, job.finished_at, job.error)
        return [*attempts, *([now] if query.after < job.attempt else [])], None

    def deliveries(self, job_id: str, query: PageQuery) -> tuple[list[Delivery], int | None]:
        """A page of a job's notifications, one for each time that it ended, and the cursor of the next page.

        Raises:
            NotFound: there is no such job.
        """
        self.get(job_id)
        return self._store.deliveries.of_job(job_id, query.after, query.limit)

    async def stats(self, of_type: str | None = None) -> dict[str, object]:
        """How many jobs, of one type or of all, have each status, and how many ended in each of the last moments."""
        return {
            "jobs": await self._store.counts(of_type),
            "ended": {"seconds": MOMENT_SECONDS, "counts": self._tell.throughput.last(of_type)},
        }

    async def page(self, query: ListQuery) -> tuple[list[Job], int | None]:
        """A page of jobs, newest first, and the cursor of the next page if there is one.

        Raises:
            Unavailable: so many lists are waiting that this one is not reached soon.
        """
        if self._store.waiting_pages >= MAX_WAITING_PAGES:
            raise Unavailable(f"{MAX_WAITING_PAGES} lists are waiting already; try again later")
        try:
            async with asyncio.timeout(PAGE_WAIT_SECONDS):
                return await self._store.page(query)
        except TimeoutError:
            message = f"so many lists are waiting that this one was not read within {PAGE_WAIT_SECONDS:g} seconds"
            raise Unavailable(f"{message}; try again later") from None

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
            Conflict: it is not final, or its function is not registered any more.
            Full: too many jobs are waiting.
            Unavailable: nothing can be saved.
        """
        self._check_file()
        job = self.get(job_id)
        if job.type not in self.jobs:
            raise Conflict(f"no function {job.type!r} is registered any more")
        if job.status.is_final and self._is_full:
            raise self._refused_as_full()
        change = await self._change(self._store.retry(job_id))
        if not change.applied:
            raise _refused(job_id, change, "retry")
        log(logging.INFO, "job retried", job_id=job_id, attempt=change.attempt + 1)
        self._tell(JobEvent(job_id, job.type, Status.PENDING, change.attempt + 1))

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

    def _measure(self) -> None:
        gauge, count, workers = self.metrics.gauge, self.metrics.count, self._supervisor
        places = workers.places
        gauge("asyncjob_waiting", "Jobs that wait, those between two attempts included.", lambda: self._store.pending)
        gauge("asyncjob_waiting_limit", "Jobs that may wait: --max-pending.", lambda: self._settings.max_pending)
        gauge("asyncjob_running", "Jobs that run.", lambda: self.running)
        gauge("asyncjob_running_limit", "Jobs that may run at once: --concurrency.", lambda: self._settings.concurrency)
        gauge("asyncjob_awaiting", "Running jobs without a place: they wait for others.", lambda: places.awaiting)
        gauge("asyncjob_workers", "Worker processes that take jobs.", lambda: workers.ready_workers)
        ended = workers.processes.ended
        count("asyncjob_worker_restarts", "Workers that ended while the server ran.", ["reason"], lambda: ended)
        count(
            "asyncjob_worker_messages_ignored",
            "Messages from workers about attempts that had ended, or were not theirs.",
            [],
            lambda: workers.ignored,
        )
        count("asyncjob_deliveries", "Tries to notify of a job's end.", ["outcome"], lambda: self._tries)

    @property
    def _is_full(self) -> bool:
        return self._store.pending >= self._settings.max_pending

    def _check_file(self) -> None:
        if self._fault is not None:
            raise Unavailable(self._fault)

    def _refused_as_full(self) -> Full:
        return Full(f"{self._store.pending:,} jobs are waiting already; try again later")

    def _assign(self, claims: Claims) -> None:
        """Wake workers in the next turn of the event loop: in this one, whoever submitted is answered and told of."""
        asyncio.get_running_loop().call_soon(self._hand_out, claims)

    def _hand_out(self, claims: Claims) -> None:
        self._supervisor.assign(claims)
        self._tell.started(claims.jobs)

    async def _change(self, write: "asyncio.Future[Change]") -> Change:
        try:
            return await write
        except NotSaved as error:
            raise not_saved(error) from error


def _tell_of(earlier: Submission, told: Told) -> None:
    if not told.done():
        told.set_result(earlier)


def _trying_again(verb: str, jobs: Sequence[str], error: NotSaved) -> None:
    known = {"job_id": jobs[0]} if len(jobs) == 1 else {"jobs": len(jobs)}
    log(logging.ERROR, "not saved, trying again", write=verb, **known, error=str(error))


def not_saved(error: NotSaved) -> Unavailable:
    """What a client is told whose write was not saved."""
    log(logging.ERROR, "not saved", error=str(error))
    return Unavailable(f"nothing can be saved at the moment: {error}")


def _refused(job_id: str, change: Change, verb: str) -> Refusal:
    if change.before is None:
        return NotFound()
    return Conflict(f"cannot {verb} job {job_id}: it is {change.before}")
