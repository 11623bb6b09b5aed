"""The verbs of a store. Each says what is durable when it returns, what it is guarded by and what it raises."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from asyncjob.contract import ListQuery, Submission
from asyncjob.job import Error, Job, Progress, Status
from asyncjob.registry import JobFunction
from asyncjob.store.deliveries import Deliveries
from asyncjob.store.logs import Logs
from asyncjob.store.observer import Observer, Told
from asyncjob.store.records import Attempt, Change, Duplicate, Lost, Shown, Success, Suspect
from asyncjob.store.schedules import Schedules


class Store(Protocol):
    """Keeps jobs.

    A verb that writes "until it is saved" is never given up: the store tries again, and tells its observer, until it
    can save. Its future fails with NotSaved only if the store is closed before that.

    An attempt that a verb names is what guards it. If the job has another attempt, or a status that the transition does
    not start from, nothing is written and the verb returns False.
    """

    @property
    def place(self) -> str:
        """Where the jobs are, for people to read: a path, or an address without secrets."""

    @property
    def deliveries(self) -> Deliveries:
        """The notifications of ended jobs."""

    @property
    def logs(self) -> Logs:
        """What functions log and print."""

    @property
    def schedules(self) -> Schedules:
        """What begins jobs by itself."""

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self, observer: Observer) -> None:
        """Be ready to read and write.

        Raises:
            Unusable: the jobs cannot be read.
        """

    def fault(self) -> str | None:
        """What has happened to the store, if nothing more should be saved in it; None while all is well.

        The server asks every second, and if there is a fault, it refuses submissions and stops. This must be cheap.
        """

    async def close(self) -> None:
        """Finish all writes so far and close the store. Called once, even if `start` was not.

        Raises:
            Unusable: to close the store would harm data that is not ours. End the process at once.
        """

    # -- claims --------------------------------------------------------------------------------------------------

    def offer(self, slots: int) -> None:
        """Let that many more jobs be claimed for this server, or fewer if negative, from the next transaction on.

        Every transaction ends with claims, Pending → Running: it claims as many jobs that are ready as there are slots.
        A job is ready if its time has come and the limits of its function let it run. The one with the lowest rank goes
        first: the time at which it became ready, less LEVEL_MS for each level of its priority; of those that passed the
        limit of their key, the time at which they did. Jobs of one rank go in the order of submission. Each takes a
        slot. No two servers ever claim the same attempt.

        A job whose `start_by` has passed is not claimed for its first attempt: it becomes a Failure of type `Expired`.
        """

    def cap(self, name: str, count: int) -> None:
        """Let no more than that many jobs of one function run for this server, whatever its limits let run.

        It is for functions with limits, whose jobs need something that the server must have ready. Those that count
        against the limits count here too. `Claims.wanting` says how many the cap holds back.
        """

    @property
    def slots(self) -> int:
        """How many more jobs may be claimed for this server."""

    def wake(self) -> None:
        """Run a transaction, if only to claim, until it is saved. Call it after `offer`, and at `Claims.next_due`."""

    async def stop_claiming(self) -> None:
        """Claim nothing more, whatever is offered. When this returns, the observer knows of every claim.

        Raises:
            NotSaved: nothing can be saved at the moment. Even so, nothing more is claimed.
        """

    def admit(self, suspects: Sequence[Suspect]) -> "asyncio.Future[list[bool]]":
        """Let suspects be claimed before all other jobs, until it is saved.

        Returns:
            For each, whether it was waiting in that attempt.
        """

    # -- what clients ask for ------------------------------------------------------------------------------------

    def submit(
        self, job_id: str, submission: Submission, traceparent: str | None = None
    ) -> "asyncio.Future[Submission | Duplicate | None]":
        """Save a new job: Pending, in its first attempt, ready now or at the time that its options name.

        If a job has that id already, or is the same (see `Unique`), write nothing.

        Returns:
            None if the job was saved; the earlier submission under its id; or the job that is the same.

        Raises:
            NotSaved: in the future.
        """

    def insert(self, told: Told, job_id: str, submission: Submission, traceparent: str | None = None) -> None:
        """The same for one who has no need of a future, which is a tenth of what a small job costs.

        Args:
            told: what `submit` returns or raises, once this has returned.
            job_id: as in `submit`, like the rest.
        """

    def cancel(self, job_id: str) -> "asyncio.Future[Change]":
        """Pending or Running → Canceled, whatever its attempt. One that ran may go on; see `gone`.

        Raises:
            NotSaved: in the future.
        """

    def retry(self, job_id: str) -> "asyncio.Future[Change]":
        """Final → Pending, ready now, with the next attempt. Its losses and other counts are 0; it is no suspect.

        It is refused if another job that is the same has not ended.

        Raises:
            NotSaved: in the future.
        """

    def delete(self, job_id: str) -> "asyncio.Future[Change]":
        """Delete a final job, with its earlier attempts, its log and finished deliveries, as `purge` does.

        Its id is free then. A schedule still knows what became of it, and a rate that it has started.

        Raises:
            NotSaved: in the future.
        """

    def run_now(self, job_id: str) -> "asyncio.Future[Change]":
        """Have a Pending job that waits for its time be ready now. One that does not wait for a time is refused.

        Raises:
            NotSaved: in the future.
        """

    # -- what becomes of attempts --------------------------------------------------------------------------------

    def progress(self, job_id: str, attempt: int, progress: Progress) -> "asyncio.Future[bool]":
        """Save the progress of a running attempt.

        Returns:
            False if the attempt does not run any more.

        Raises:
            NotSaved: in the future. It is not tried again, since newer progress follows.
        """

    def succeed(self, successes: Sequence[Success]) -> "asyncio.Future[list[bool]]":
        """Running → Success, until it is saved.

        Returns:
            For each, False if its guard refused it; the others are saved.
        """

    def fail(self, job_id: str, attempt: int, error: Error, *, goes_on: bool = False) -> "asyncio.Future[bool]":
        """Running → Failure, until it is saved.

        Args:
            job_id: the job's.
            attempt: which one has ended.
            error: why.
            goes_on: whether its function may still run; see `gone`.

        Returns:
            False if the guard refused it.
        """

    def repeat(
        self,
        job_id: str,
        attempt: int,
        pause: int,
        error: Error,
        group_limit: int | None = None,
        *,
        goes_on: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with the next attempt and one more loss, until it is saved.

        Args:
            job_id: the job's.
            attempt: the lost one, which is kept among the earlier ones as a Failure.
            pause: milliseconds until the next one is ready; never longer, even if the clock is set back.
            error: how the attempt was lost. The job shows it until the next attempt begins.
            group_limit: given for a suspect, which waits until it is admitted, whatever its pause.
            goes_on: as in `fail`.

        Returns:
            False if the guard refused it.
        """

    def postpone(self, job_id: str, attempt: int, pause: int, error: Error) -> "asyncio.Future[Status | None]":
        """Running → Pending, with the next attempt and no more losses, because the function asked for it.

        Until it is saved. A job that was postponed MAX_POSTPONEMENTS times becomes a Failure of type `RetryLater`.

        Args:
            job_id: the job's.
            attempt: the one that ended, which is kept among the earlier ones as Pending.
            pause: as in `repeat`.
            error: as in `repeat`: what the function said.

        Returns:
            What the job is now; None if the guard refused it.
        """

    def release(
        self,
        job_id: str,
        attempt: int,
        error: Error,
        *,
        group_limit: int | None = None,
        interrupted: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending, before all other jobs, with the next attempt and no more losses, until it is saved.

        Args:
            job_id: the job's.
            attempt: the one that ended, which is kept among the earlier ones as Pending.
            error: how it ended.
            group_limit: as in `repeat`.
            interrupted: True if the attempt ended because its server did; the store counts these.

        Returns:
            False if the guard refused it.
        """

    def hand_back(self, job_id: str, attempt: int, group_limit: int | None = None) -> "asyncio.Future[bool]":
        """Release an attempt because the server stops. As `release`, but without an error, and tried only once.

        Returns:
            False if the guard refused it.

        Raises:
            NotSaved: in the future. The job stays Running, and the next server finds it among `lost`.
        """

    def gone(self, job_id: str, attempt: int) -> None:
        """Say that nothing of an attempt runs any more, and run a transaction, as `wake` does.

        An attempt that was canceled while it ran, or has ended while it `goes_on`, counts against the limits of its
        function until this is said of it, or its server ends. Of other attempts this says nothing new.
        """

    # -- reads ---------------------------------------------------------------------------------------------------
    # All of them raise Unreadable. Those that are not coroutines return within a fraction of a millisecond.

    @property
    def pending(self) -> int:
        """How many jobs are Pending and do not wait for a time, as far as this server knows.

        This server's own submissions are counted before they are saved, so that a burst of them cannot pass a limit.
        If several servers share the store, the changes that others make may be counted later.
        """

    @property
    def scheduled(self) -> int:
        """How many jobs are Pending and wait for a time: a delayed start, or the pause between two attempts."""

    @property
    def limited(self) -> int:
        """How many jobs are Pending and wait for a limit of their function."""

    @property
    def lingering(self) -> int:
        """How many attempts have ended and count against a limit, because they are not `gone`."""

    def find(self, job_id: str) -> Job | None:
        """The job as it was last saved."""

    def show(self, job_id: str) -> Shown | None:
        """The same as JSON, to the byte as msgspec writes the job. Every `GET /jobs/{jobId}` waits for this."""

    def find_submission(self, job_id: str) -> Submission | None:
        """What a job was submitted with."""

    def find_same(self, submission: Submission) -> Duplicate | None:
        """The job that is the same as this one would be (see `Unique`), if it was saved now."""

    def earlier_attempts(self, job_id: str, after: int, limit: int) -> tuple[list[Attempt], bool]:
        """The attempts before the current one, the first one first.

        Args:
            job_id: the job's.
            after: begin after the attempt with this number.
            limit: how many at most. Fewer are returned if their errors are long.

        Returns:
            The attempts, and True if more may follow the last of them; otherwise only the current attempt does.
        """

    async def page(self, query: ListQuery) -> tuple[list[Job], int | None]:
        """A page of jobs, the newest first, and the cursor of the next page if there is one.

        A page has `query.limit` jobs, or fewer, even none, if they are large or the search takes long. To cancel this
        ends the search.
        """

    @property
    def waiting_pages(self) -> int:
        """How many pages were asked for and are not read yet."""

    async def counts(self, of_type: str | None = None) -> dict[Status, int]:
        """How many jobs there are of each status, of one type or of all.

        If there are very many, the counts may be some seconds old.
        """

    # -- taking over, tidying up ---------------------------------------------------------------------------------

    async def take_over(self, functions: Iterable[JobFunction]) -> dict[str, int]:
        """Say which job functions this server runs, with their limits. Asked at the start, before any claim.

        Waiting jobs are sorted anew: those of other types are set aside and not claimed for this server; those of these
        types may be claimed again, as far as the limits allow. Suspects must be admitted again.

        Returns:
            How many waiting jobs no server runs, by type.

        Raises:
            NotSaved: nothing was changed.
        """

    def lost(self) -> list[Lost]:
        """The Running jobs whose server has ended, in the order of submission. Asked at the start, before any claim.

        If one server has the store to itself, these are all Running jobs. If several share it, these are the jobs of
        servers that are known to have ended, and each is returned to only one server.
        """

    def suspects(self, types: Iterable[str]) -> list[Suspect]:
        """The waiting suspects of these types."""

    async def purge(self, before: str, after: int, limit: int) -> tuple[int, int | None]:
        """Delete final jobs that finished before a time, with their earlier attempts, logs and finished deliveries.

        This looks at a limited number of jobs, in the order of submission, so that no write lasts long.

        Args:
            before: the time, as `timestamp` writes it.
            after: the cursor; 0 to begin.
            limit: how many jobs to look at.

        Returns:
            How many were deleted, and the cursor to continue with; None if all further jobs are too young.

        Raises:
            NotSaved: nothing was deleted.
        """
