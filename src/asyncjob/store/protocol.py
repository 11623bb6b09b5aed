"""What a store does, a verb at a time: what is durable when it returns, what is guarded, what is raised."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncjob.contract import ListQuery, Submission
from asyncjob.job import Error, Job, Progress, Status
from asyncjob.store.deliveries import Deliveries
from asyncjob.store.records import FIRST, Attempt, Change, Claims, Lost, NotSaved, Success, Suspect


@dataclass(frozen=True)
class Observer:
    """What a store calls to tell its server what happens; by default, nobody is told.

    Attributes:
        claimed: in the event loop, after the futures of the same transaction resolved: what it claimed.
        saved: in any thread: a transaction was saved; the seconds that it took, and how many writes it held.
        not_saved: in any thread: a transaction was rolled back.
        trying_again: in the event loop: a write that must not be given up was not saved and will be written again;
            the verb, the ids of the jobs, and why.
    """

    claimed: Callable[[Claims], None] = lambda claims: None
    saved: Callable[[float, int], None] = lambda seconds, writes: None
    not_saved: Callable[[], None] = lambda: None
    trying_again: Callable[[str, Sequence[str], NotSaved], None] = lambda verb, jobs, error: None


class Store(Protocol):
    """Keeps jobs.

    The verbs that say "until it is saved" are never given up: while nothing can be saved, the store writes again until
    it can, and tells its observer. They raise NotSaved only once the store is closed.
    """

    @property
    def place(self) -> str:
        """Where the jobs are, for people: a path, an address without secrets."""

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
        """What has happened to the store that makes it wrong to save anything more; None while all is well.

        The server asks every second, refuses submissions once there is a fault, and stops. So it must be cheap.
        """

    async def close(self) -> None:
        """Save what was asked for, and let go of the store. Called once, whether or not `start` was.

        Raises:
            Unusable: to let go would harm what belongs to somebody else; end the process without another word to it.
        """

    # -- claims --------------------------------------------------------------------------------------------------

    def offer(self, slots: int) -> None:
        """Let that many more jobs be claimed for this server, or fewer if negative, from the next transaction on.

        Every transaction ends by claiming: as many jobs that are due as there are slots, the earliest due first, those
        due at the same time in the order of submission. Each takes a slot. Pending → Running, by one server alone.
        """

    @property
    def slots(self) -> int:
        """How many more jobs may be claimed for this server."""

    def wake(self) -> None:
        """Run a transaction, if only to claim, until it is saved. Needed after `offer`, and when a job becomes due."""

    async def stop_claiming(self) -> None:
        """Claim nothing more, whatever is offered. The observer has been told of every claim when this returns.

        Raises:
            NotSaved: nothing can be saved at the moment. Nothing more is claimed all the same.
        """

    def admit(self, suspects: Sequence[Suspect]) -> "asyncio.Future[list[bool]]":
        """Let waiting suspects be claimed, next of all, until it is saved.

        Returns:
            For each, whether it was Pending in that attempt.
        """

    # -- what clients ask for ------------------------------------------------------------------------------------

    async def submit(self, job_id: str, submission: Submission, traceparent: str | None = None) -> Submission | None:
        """Save a new job as Pending, due now, in its first attempt; write nothing if there is a job of that id.

        Returns:
            None when it was saved; the earlier submission when there was a job of that id.

        Raises:
            NotSaved: it could not be saved.
        """

    def cancel(self, job_id: str) -> "asyncio.Future[Change]":
        """Pending or Running → Canceled, in whichever attempt it is.

        Raises:
            NotSaved: in the future.
        """

    def retry(self, job_id: str) -> "asyncio.Future[Change]":
        """Final → Pending, due now, with the next attempt, no losses, no interruptions and no suspicion.

        Raises:
            NotSaved: in the future.
        """

    # -- what becomes of attempts --------------------------------------------------------------------------------

    def progress(self, job_id: str, attempt: int, progress: Progress) -> "asyncio.Future[bool]":
        """Save how far a running attempt is.

        Returns:
            False when the attempt does not run any more.

        Raises:
            NotSaved: in the future; it is not tried again, since a newer progress follows.
        """

    def succeed(self, successes: Sequence[Success]) -> "asyncio.Future[list[bool]]":
        """Running → Success, until it is saved.

        Returns:
            For each, False where the guard refused it; the others are saved.
        """

    def fail(self, job_id: str, attempt: int, error: Error) -> "asyncio.Future[bool]":
        """Running → Failure, until it is saved.

        Returns:
            False where the guard refused it.
        """

    def repeat(
        self, job_id: str, attempt: int, due_at: int | None, error: Error, group_limit: int | None = None
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with the next attempt and one loss more, until it is saved.

        Args:
            job_id: the job's.
            attempt: the one that was lost; it is kept among the earlier ones, as a Failure.
            due_at: not before, in milliseconds since 1970; None: wait until a server knows the function again.
            error: how it was lost.
            group_limit: not None for a suspect, which waits until it is admitted.

        Returns:
            False where the guard refused it.
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
        """Running → Pending, with the next attempt and no further loss, until it is saved.

        Args:
            job_id: the job's.
            attempt: the one that ended; it is kept among the earlier ones, as Pending.
            error: how it ended.
            due_at: as in `repeat`; unless it is given, the job is the next to run.
            group_limit: as in `repeat`.
            interrupted: whether it ended because a server did; these are counted.

        Returns:
            False where the guard refused it.
        """

    def hand_back(self, job_id: str, attempt: int, group_limit: int | None = None) -> "asyncio.Future[bool]":
        """Release an attempt because the server stops: as `release`, without an error, due FIRST, and tried once.

        Raises:
            NotSaved: in the future. The job stays Running and is `lost` to the next server.
        """

    # -- reads ---------------------------------------------------------------------------------------------------
    # All of them raise Unreadable. Those that are no coroutines answer within a fraction of a millisecond.

    @property
    def pending(self) -> int:
        """How many jobs wait, those that are not due included, as far as this server knows.

        What this server asks for is counted at once, so that a burst of submissions cannot pass a limit. What other
        servers do to a store that they share may be counted later.
        """

    def find(self, job_id: str) -> Job | None:
        """The job as it was last saved."""

    def find_submission(self, job_id: str) -> Submission | None:
        """What a job was submitted with."""

    def earlier_attempts(self, job_id: str, after: int, limit: int) -> tuple[list[Attempt], bool]:
        """The attempts before the current one, the first one first.

        Args:
            job_id: the job's.
            after: begin behind the attempt of this number.
            limit: how many at most; fewer are returned where their errors are long.

        Returns:
            They, and whether to ask again behind the last of them; otherwise only the current attempt follows.
        """

    async def page(self, query: ListQuery) -> tuple[list[Job], int | None]:
        """A page of jobs, the last one submitted first, and the cursor of the next page if there is one.

        A page has `query.limit` jobs, or fewer, even none, where they are large or the search takes long. To cancel
        this ends the search.
        """

    @property
    def waiting_pages(self) -> int:
        """How many pages were asked for and are not read yet."""

    async def counts(self) -> dict[Status, int]:
        """How many jobs there are of each status. Of very many, the counts may be some seconds old."""

    # -- taking over, tidying up ---------------------------------------------------------------------------------

    async def park(self, types: Iterable[str], latest_due: int) -> dict[str, int]:
        """Say which types this server runs: waiting jobs of other types are not claimed for it.

        Also lets waiting jobs of these types be claimed again that were set aside, and holds suspects until they are
        admitted again.

        Args:
            types: the registered ones.
            latest_due: milliseconds since 1970; what waits for a later time (the clock was wrong) becomes due now.

        Returns:
            How many waiting jobs no server runs, by type.

        Raises:
            NotSaved: it could not be saved.
        """

    def lost(self) -> list[Lost]:
        """The Running jobs whose server has ended, in the order of submission. Asked at the start, before any claim.

        A store that one server has to itself returns all that are Running; a store that several share, those of servers
        that it knows to have ended, each job to one of the servers that ask.
        """

    def suspects(self, types: Iterable[str]) -> list[Suspect]:
        """The suspects of these types that wait."""

    async def purge(self, before: str, after: int, limit: int) -> tuple[int, int | None]:
        """Delete final jobs that finished before a time, with their earlier attempts and the deliveries that are over.

        Looks at a limited number of jobs, in the order of submission, so that no write lasts long.

        Args:
            before: as `timestamp` writes it.
            after: a cursor; 0 to begin.
            limit: how many jobs to look at.

        Returns:
            How many were deleted, and the cursor to go on with; None once all further jobs are too young.

        Raises:
            NotSaved: nothing was deleted.
        """
