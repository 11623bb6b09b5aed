"""The timer of schedules: begins what is due, and sleeps until the next occurrence.

It sleeps by the monotonic clock, which nobody sets, but for a minute at most: then it looks at the time again. If the
clock was set forward, what it passed over is missed, as if the server had been down. If it was set back, every schedule
is asked again what comes next. What was begun before is there already, under its id, and is not begun twice.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from time import monotonic_ns

from asyncjob.job import now_ms
from asyncjob.options import Options
from asyncjob.plans import Plan
from asyncjob.schedules import newest, occurrence_id, times_of
from asyncjob.server.logs import log, logger
from asyncjob.store import Begin, Fired, Firing, Scheduled, Schedules, StoreError, Unreadable

BATCH = 50  # schedules, and jobs, of one transaction
MAX_SLEEP_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 1.0  # while nothing can be saved, or too many jobs wait
MAX_MISSED = 1_000  # occurrences that missed="all" makes up for
LATE_MS = 60_000  # what is later than this was missed
SET_BACK_MS = 1_000  # a clock that goes back by less has not missed anything


class Timer:
    """Begins what is due.

    Args:
        schedules: the store's.
        types: those that this server runs. Schedules of others wait until a server does.
        room: how many more jobs with such options may wait.
        begun: is called with what was begun.

    Attributes:
        outcomes: how many occurrences were `begun`, `overlapping` or `missed`.
    """

    def __init__(
        self,
        schedules: Schedules,
        types: Collection[str],
        room: Callable[[Options], int],
        begun: Callable[[Plan, Sequence[str]], None],
    ) -> None:
        self.outcomes: Counter[str] = Counter(begun=0, overlapping=0, missed=0)
        self._schedules = schedules
        self._types = types
        self._room = room
        self._begun = begun
        self._woken = asyncio.Event()
        self._is_full = False
        self._clock = _clock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at all schedules, and begin."""
        await self._revise()
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """A schedule has changed."""
        self._woken.set()

    def stop(self) -> None:
        """Begin nothing more."""
        if self._task is not None:
            self._task.cancel()

    @property
    def lateness(self) -> int:
        """For how many seconds the occurrence that has waited longest is due."""
        with suppress(Unreadable):
            next_at = self._schedules.next_at(self._types)
            return 0 if next_at is None else max(0, now_ms() - next_at) // 1_000
        return 0

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            seconds = LOOK_AGAIN_SECONDS
            try:
                seconds = await self._look()
            except StoreError as error:
                log(logging.ERROR, "schedules are not looked after, trying again", error=str(error))
            except Exception:  # whatever one schedule does, the others go on
                logger.exception("schedules are not looked after, trying again")
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()

    async def _look(self) -> float:
        """Begin what is due; the seconds until the next look."""
        before, self._clock = self._clock, _clock()
        if self._clock < before - SET_BACK_MS:
            log(logging.WARNING, "the clock was set back", seconds=(before - self._clock) // 1_000)
            await self._revise()
        while due := self._schedules.due(self._types, now_ms(), BATCH):
            firings = self._steps(due, now_ms())
            if not firings:
                self._say_full(due[0])
                return LOOK_AGAIN_SECONDS
            self._is_full = False
            await self._fire(firings)
        next_at = self._schedules.next_at(self._types)
        return MAX_SLEEP_SECONDS if next_at is None else min(MAX_SLEEP_SECONDS, max(0, next_at - now_ms()) / 1_000)

    def _steps(self, due: Sequence[Scheduled], now: int) -> list[Firing]:
        """What these schedules do next, as far as their jobs may wait."""
        firings: list[Firing] = []
        begun = 0
        for schedule in due:
            room = min(BATCH, self._room(schedule.plan.options)) - begun
            if room > 0:
                firings.append(_step(schedule, now, room))
                begun += len(firings[-1].jobs)
        return firings

    def _say_full(self, first: Scheduled) -> None:
        if not self._is_full:
            log(logging.WARNING, "too many jobs wait, so schedules wait too", schedule=first.schedule_id)
        self._is_full = True

    async def _fire(self, firings: list[Firing]) -> None:
        for firing, fired in zip(firings, await self._schedules.fire(firings), strict=True):
            self._tell(firing, fired)

    def _tell(self, firing: Firing, fired: Fired) -> None:
        schedule, known = firing.schedule, {"schedule": firing.schedule.schedule_id}
        if not fired.applied:
            return
        if fired.overlapping is not None:
            self.outcomes["overlapping"] += len(firing.jobs)
            log(
                logging.INFO,
                "schedule skipped, its last job runs",
                schedule=schedule.schedule_id,
                job_id=fired.overlapping,
            )
        elif not firing.jobs and firing.handled_at != schedule.handled_at:
            self.outcomes["missed"] += 1
            log(logging.WARNING, "schedule missed", **known)
        elif firing.jobs and (late := now_ms() - firing.jobs[-1].at) > LATE_MS and not _goes_on(firing):
            log(logging.WARNING, "schedule is late", **known, seconds=late // 1_000)
        self.outcomes["begun"] += len(fired.begun)
        self._begun(schedule.plan, fired.begun)

    async def _revise(self) -> None:
        """Ask every schedule that is not due what comes next: the clock, or its time zone's rules, may have changed."""
        after: int | None = 0
        while after is not None:
            schedules, after = self._schedules.page(after, BATCH)
            now = now_ms()
            moved = [
                (schedule, next_at)
                for schedule in schedules
                if not schedule.is_paused and (schedule.next_at is None or schedule.next_at > now)
                if (next_at := next_after(schedule.plan, now)) != schedule.next_at
            ]
            if moved:
                await self._schedules.move(moved)
            await asyncio.sleep(0)


def _goes_on(firing: Firing) -> bool:
    """Whether the schedule has more to make up for."""
    return firing.next_at is not None and firing.next_at <= now_ms()


def next_after(plan: Plan, now: int) -> int | None:
    """The next occurrence after now, both in milliseconds since 1970; None if none comes, or none can be known."""
    try:
        found = times_of(plan.timing).after(now // 1_000)
    except ValueError as error:  # it could be read when it was saved: its time zone has gone
        log(logging.ERROR, "a schedule cannot be read", error=str(error))
        return None
    return None if found is None else found * 1_000


def _step(schedule: Scheduled, now: int, room: int) -> Firing:
    """What one schedule does next, with at most `room` jobs."""
    assert schedule.next_at is not None
    plan, handled = schedule.plan, schedule.handled_at
    next_at = next_after(plan, now)
    try:
        times = times_of(plan.timing)
    except ValueError:
        return Firing(schedule, (), next_at, handled)
    after = schedule.next_at - 1
    if handled is not None and handled <= now:  # one that is later was handled before the clock was set back
        after = max(after, handled)
    found = newest(times, after // 1_000, now // 1_000, MAX_MISSED if plan.missed == "all" else 1)
    due = [at * 1_000 for at in found]
    if not due:
        return Firing(schedule, (), next_at, handled)
    if plan.missed == "none" and due[0] < now - LATE_MS:
        return Firing(schedule, (), next_at, due[0])
    jobs = [Begin(occurrence_id(schedule.schedule_id, at // 1_000), at) for at in due[:room]]
    return Firing(schedule, jobs, due[room] if len(due) > room else next_at, jobs[-1].at)


def _clock() -> int:
    """How far the clock on the wall is ahead of the one that nobody sets, in milliseconds."""
    return now_ms() - monotonic_ns() // 1_000_000
