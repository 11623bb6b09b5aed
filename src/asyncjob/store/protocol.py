"""The verbs of a store. Each says what is durable when it returns, what it is guarded by and what it raises."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from asyncjob.contract import ListQuery, Submission
from asyncjob.job import Error, Job, Progress, Status
from asyncjob.store.deliveries import Deliveries
from asyncjob.store.records import FIRST, Attempt, Change, Claims, Lost, NotSaved, Shown, Success, Suspect


@dataclass(frozen=True)
class Observer:
    """How a store tells its server what happens. By default it tells nobody.

    Attributes:
        claimed: called in the event loop after each transaction, once its futures have resolved, with what it claimed,
            if only an empty list.
        saved: called in any thread after a transaction, with the seconds that it took and the number of its writes.
        not_saved: called in any thread after a transaction that was rolled back.
        trying_again: called in the event loop when a write that is never given up was not saved and will be tried
            again, with the name of the verb, the ids of the jobs, and the reason.
    """

    claimed: Callable[[Claims], None] = lambda claims: None
    saved: Callable[[float, int], None] = lambda seconds, writes: None
    not_saved: Callable[[], None] = lambda: None
    trying_again: Callable[[str, Sequence[str], NotSaved], None] = lambda verb, jobs, error: None


class Told(Protocol):
    """Whoever is told what became of a write, in the event loop: a future, or what behaves like one."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop in which it is told."""

    def done(self) -> bool:
        """Whether nobody needs to be told any more."""

    def set_result(self, result: Any, /) -> None:
        """The write is over."""

    def set_exception(self, error: Any, /) -> None:
        """Nothing was written."""


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

        Every transaction ends with claims, Pending → Running: it claims as many jobs that are due as there are slots,
        the one due first before the others, and jobs due at the same time in the order of submission. Each takes a
        slot. No two servers ever claim the same attempt.
        """

    @property
    def slots(self) -> int:
        """How many more jobs may be claimed for this server."""

    def wake(self) -> None:
        """Run a transaction, if only to claim, until it is saved. Call it after `offer`, and when a job becomes due."""

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
    ) -> "asyncio.Future[Submission | None]":
        """Save a new job: Pending, due now, in its first attempt. If a job has that id already, write nothing.

        Returns:
            None if the job was saved; the earlier submission if there was one.

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
        """Pending or Running → Canceled, whatever its attempt.

        Raises:
            NotSaved: in the future.
        """

    def retry(self, job_id: str) -> "asyncio.Future[Change]":
        """Final → Pending, due now, with the next attempt. Its losses and interruptions are 0; it is no suspect.

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

    def fail(self, job_id: str, attempt: int, error: Error) -> "asyncio.Future[bool]":
        """Running → Failure, until it is saved.

        Returns:
            False if the guard refused it.
        """

    def repeat(
        self, job_id: str, attempt: int, due_at: int | None, error: Error, group_limit: int | None = None
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with the next attempt and one more loss, until it is saved.

        Args:
            job_id: the job's.
            attempt: the lost one, which is kept among the earlier ones as a Failure.
            due_at: when the next one is due, in milliseconds since 1970; None: once a server knows the function again.
            error: how the attempt was lost.
            group_limit: given for a suspect, which waits until it is admitted.

        Returns:
            False if the guard refused it.
        """

    def release(
        self,
        job_id: str,
        attempt: int,
        error: Error,
        *,
        due_at: int | None = FIRST,
        group_limit: int | None = None,
        interrupted: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with the next attempt and no more losses, until it is saved.

        Args:
            job_id: the job's.
            attempt: the one that ended, which is kept among the earlier ones as Pending.
            error: how it ended.
            due_at: as in `repeat`; by default before all other jobs.
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

    # -- reads ---------------------------------------------------------------------------------------------------
    # All of them raise Unreadable. Those that are not coroutines return within a fraction of a millisecond.

    @property
    def pending(self) -> int:
        """How many jobs are Pending, whether or not they are due, as far as this server knows.

        This server's own submissions are counted before they are saved, so that a burst of them cannot pass a limit.
        If several servers share the store, the changes that others make may be counted later.
        """

    def find(self, job_id: str) -> Job | None:
        """The job as it was last saved."""

    def show(self, job_id: str) -> Shown | None:
        """The same as JSON, to the byte as msgspec writes the job. Every `GET /jobs/{jobId}` waits for this."""

    def find_submission(self, job_id: str) -> Submission | None:
        """What a job was submitted with."""

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

    async def park(self, types: Iterable[str], latest_due: int) -> dict[str, int]:
        """Say which types of job this server runs. Jobs of other types are set aside: they are not claimed for it.

        Waiting jobs of these types that were set aside may be claimed again. Suspects must be admitted again.

        Args:
            types: the registered types.
            latest_due: milliseconds since 1970. A job that is due later, because a clock was wrong, becomes due now.

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
        """Delete final jobs that finished before a time, with their earlier attempts and finished deliveries.

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
