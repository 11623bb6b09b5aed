"""Schedules: their records, and what a store does with them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from asyncjob.job import Error, Status
from asyncjob.plans import Plan


class LastJob(NamedTuple):
    """The job that a schedule has begun last.

    Attributes:
        job_id: the job's.
        at: the time that it was begun for, in milliseconds since 1970.
        status: what has become of it. A store knows it even after the job was purged.
        error: given if it is a Failure.
    """

    job_id: str
    at: int
    status: Status
    error: Error | None


class Scheduled(NamedTuple):
    """A schedule, and how far it is. Times are milliseconds since 1970.

    Attributes:
        schedule_id: its id.
        plan: what it does and when.
        created_ms: when it was made.
        is_paused: whether it waits until it is resumed.
        next_at: the next occurrence; None if it is paused, or if none ever comes.
        handled_at: the last occurrence that was begun or left out; None if there was none.
        last: the job that it has begun last.
    """

    schedule_id: str
    plan: Plan
    created_ms: int
    is_paused: bool = False
    next_at: int | None = None
    handled_at: int | None = None
    last: LastJob | None = None


class Begin(NamedTuple):
    """A job to begin, and the time that it is begun for, in milliseconds since 1970."""

    job_id: str
    at: int


class Firing(NamedTuple):
    """A step of a schedule: jobs to begin, if any, and what comes next.

    Attributes:
        schedule: as it is expected to be. If its plan or its next time is another by now, nothing is written.
        jobs: the oldest first.
        next_at: the next occurrence after that.
        handled_at: the last occurrence that this deals with.
    """

    schedule: Scheduled
    jobs: Sequence[Begin]
    next_at: int | None
    handled_at: int | None


class Fired(NamedTuple):
    """What became of a firing.

    Attributes:
        applied: False if the guard refused it.
        begun: the ids of the jobs that were saved.
        there: the ids of the jobs that were there already, or were the same, in place of which nothing was saved.
        overlapping: the job that has not ended, which is why none was begun.
    """

    applied: bool
    begun: Sequence[str] = ()
    there: Sequence[str] = ()
    overlapping: str | None = None


class Schedules(Protocol):
    """What a store does with schedules.

    Reads raise Unreadable, and return within a millisecond. Writes are tried once: they raise NotSaved if nothing was
    changed.
    """

    def find(self, schedule_id: str) -> Scheduled | None:
        """The schedule as it was last saved."""

    def page(self, after: int, limit: int) -> tuple[list[Scheduled], int | None]:
        """A page of schedules in the order in which they were made, and the cursor of the next page if there is one.

        Args:
            after: the cursor; 0 for the first page.
            limit: how many at most. Fewer are returned if their parameters are large.
        """

    def count(self) -> int:
        """How many there are."""

    def due(self, types: Collection[str], now: int, limit: int) -> list[Scheduled]:
        """Some schedules of these types whose next occurrence is not after now, the one that is due first in front."""

    def next_at(self, types: Collection[str]) -> int | None:
        """The next occurrence of all schedules of these types."""

    async def declare(self, plans: Mapping[str, tuple[Plan, int | None]]) -> list[str]:
        """Save what the code declares, with the next occurrences, and delete what it declared before and does not now.

        One that was there stays paused if it was, and keeps its next occurrence unless its timing has changed. One that
        a client has made under such an id is the code's from now on.

        Returns:
            The ids of those that were deleted.
        """

    async def put(self, schedule_id: str, plan: Plan, next_at: int | None, most: int) -> bool | None:
        """Save a client's schedule, as `declare` does, unless the code declares that id or there are `most` already.

        Returns:
            True if it was saved; False if the code declares it; None if there are too many.
        """

    async def remove(self, schedule_id: str) -> bool | None:
        """Delete a schedule, unless the code declares it. Jobs that it has begun stay.

        Returns:
            True if it was deleted; False if the code declares it; None if there is none.
        """

    async def pause(self, schedule_id: str) -> bool:
        """Have it begin nothing until it is resumed. False if there is none."""

    async def resume(self, schedule_id: str, next_at: int | None) -> bool:
        """Have a paused one go on, with that next occurrence. False if there is none."""

    async def move(self, schedules: Sequence[tuple[Scheduled, int | None]]) -> None:
        """Give each another next occurrence, unless its plan or the one it had is another by now."""

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        """Begin jobs and save what comes next, all in one transaction.

        A job is saved as `Store.submit` saves one: if its id is taken, that job is the one. If the plan's overlap is
        `skip` and the last job has not ended, none is begun.
        """
