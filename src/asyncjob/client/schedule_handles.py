"""The handles of schedules, for threads and for an event loop."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from asyncjob.client.core import Following, Operation
from asyncjob.client.schedules import ScheduleSnapshot, Scheduling
from asyncjob.schedules import Cron, Every

Handle = TypeVar("Handle")  # of a job


class ScheduleHandle(Generic[Handle]):
    """A schedule to make, change, delete, pause or run. `Client.schedule` makes it.

    Attributes:
        id: the schedule's id.
    """

    def __init__(
        self, schedule: Scheduling, run: Callable[[Operation[Any]], Any], job: Callable[[Following], Handle]
    ) -> None:
        self.id = schedule.schedule_id
        self._schedule = schedule
        self._run = run
        self._job = job

    def get(self) -> ScheduleSnapshot:
        """The schedule as it is now.

        Raises:
            NotFound: there is none.
        """
        found: ScheduleSnapshot = self._run(self._schedule.get())
        return found

    def put(self, schedule: Cron | Every, job: Callable[..., Any] | str | None = None) -> ScheduleSnapshot:
        """Make the schedule, or have it do something else.

        >>> client.schedule("nightly").put(Cron("0 3 * * *", tz="Europe/Berlin", parameters={"width": 640}), "resize")

        Args:
            schedule: when it is due, and with which parameters.
            job: the job function, or its name; optional if the API has only one.

        Raises:
            Refused: the parameters are wrong (400), or the code declares it (409).
        """
        found: ScheduleSnapshot = self._run(self._schedule.put(schedule, job))
        return found

    def delete(self) -> None:
        """Delete the schedule. Jobs that it has begun stay.

        Raises:
            NotFound: there is none.
            Refused: the code declares it (409).
        """
        self._run(self._schedule.delete())

    def pause(self) -> ScheduleSnapshot:
        """Have it begin nothing until it is resumed.

        Raises:
            NotFound: there is none.
        """
        found: ScheduleSnapshot = self._run(self._schedule.pause())
        return found

    def resume(self) -> ScheduleSnapshot:
        """Have it go on with its next time. Times that have passed meanwhile are not made up for.

        Raises:
            NotFound: there is none.
        """
        found: ScheduleSnapshot = self._run(self._schedule.resume())
        return found

    def run_now(self) -> Handle:
        """Begin a job beside its times, paused or not.

        Raises:
            NotFound: there is none.
            Refused: its last job has not ended, and it must not overlap (409).
            Unreachable: there was no answer, and asking again could begin two jobs: look whether one runs.
        """
        return self._job(self._run(self._schedule.run_now()))

    def __repr__(self) -> str:
        return f"<ScheduleHandle {self.id}>"


class AsyncScheduleHandle(Generic[Handle]):
    """`ScheduleHandle` with an `await` before each call.

    Attributes:
        id: the schedule's id.
    """

    def __init__(
        self,
        schedule: Scheduling,
        run: Callable[[Operation[Any]], Awaitable[Any]],
        job: Callable[[Following], Handle],
    ) -> None:
        self.id = schedule.schedule_id
        self._schedule = schedule
        self._run = run
        self._job = job

    async def get(self) -> ScheduleSnapshot:
        """See `ScheduleHandle.get`."""
        found: ScheduleSnapshot = await self._run(self._schedule.get())
        return found

    async def put(self, schedule: Cron | Every, job: Callable[..., Any] | str | None = None) -> ScheduleSnapshot:
        """See `ScheduleHandle.put`."""
        found: ScheduleSnapshot = await self._run(self._schedule.put(schedule, job))
        return found

    async def delete(self) -> None:
        """See `ScheduleHandle.delete`."""
        await self._run(self._schedule.delete())

    async def pause(self) -> ScheduleSnapshot:
        """See `ScheduleHandle.pause`."""
        found: ScheduleSnapshot = await self._run(self._schedule.pause())
        return found

    async def resume(self) -> ScheduleSnapshot:
        """See `ScheduleHandle.resume`."""
        found: ScheduleSnapshot = await self._run(self._schedule.resume())
        return found

    async def run_now(self) -> Handle:
        """See `ScheduleHandle.run_now`."""
        return self._job(await self._run(self._schedule.run_now()))

    def __repr__(self) -> str:
        return f"<AsyncScheduleHandle {self.id}>"
