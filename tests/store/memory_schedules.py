"""The schedules of the store in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from asyncjob.contract import Submission
from asyncjob.job import Job, now_ms
from asyncjob.plans import Plan
from asyncjob.store import Duplicate, Fired, Firing, LastJob, Scheduled

if TYPE_CHECKING:
    from tests.store.memory import MemoryStore


@dataclass
class Kept:
    """A schedule, in the order in which they were made."""

    sequence: int
    scheduled: Scheduled


class MemorySchedules:
    """The schedules in memory."""

    def __init__(self, store: "MemoryStore", kept: dict[str, Kept]) -> None:
        self._store = store
        self._kept = kept

    def _now(self, kept: Kept) -> Scheduled:
        """The schedule, with what its last job is now."""
        scheduled = kept.scheduled
        job = None if scheduled.last is None else self._store.find(scheduled.last.job_id)
        return scheduled if job is None or scheduled.last is None else _with_last(scheduled, job, scheduled.last.at)

    def forget(self, job: Job) -> None:
        """A job is deleted."""
        for kept in self._kept.values():
            if kept.scheduled.last is not None and kept.scheduled.last.job_id == job.job_id:
                kept.scheduled = _with_last(kept.scheduled, job, kept.scheduled.last.at)

    def find(self, schedule_id: str) -> Scheduled | None:
        kept = self._kept.get(schedule_id)
        return None if kept is None else self._now(kept)

    def page(self, after: int, limit: int) -> tuple[list[Scheduled], int | None]:
        found = [kept for kept in self._kept.values() if kept.sequence > after]
        more = found[limit - 1].sequence if len(found) > limit else None
        return [self._now(kept) for kept in found[:limit]], more

    def count(self) -> int:
        return len(self._kept)

    def due(self, types: Collection[str], now: int, limit: int) -> list[Scheduled]:
        found = [one for one in map(self._now, self._kept.values()) if one.plan.type in types]
        timed = [(one.next_at, number, one) for number, one in enumerate(found) if one.next_at is not None]
        return [one for next_at, _, one in sorted(timed, key=lambda each: each[:2]) if next_at <= now][:limit]

    def next_at(self, types: Collection[str]) -> int | None:
        found = (kept.scheduled for kept in self._kept.values() if kept.scheduled.plan.type in types)
        return min((one.next_at for one in found if one.next_at is not None), default=None)

    async def declare(self, plans: Mapping[str, tuple[Plan, int | None]]) -> list[str]:
        removed = [name for name, kept in self._kept.items() if kept.scheduled.plan.declared and name not in plans]
        for name in removed:
            del self._kept[name]
        for name, (plan, next_at) in plans.items():
            self._plan(name, plan, next_at)
        return removed

    def _plan(self, schedule_id: str, plan: Plan, next_at: int | None) -> None:
        kept = self._kept.get(schedule_id)
        if kept is None:
            sequence = max((one.sequence for one in self._kept.values()), default=0) + 1
            self._kept[schedule_id] = Kept(sequence, Scheduled(schedule_id, plan, now_ms(), next_at=next_at))
            return
        before = kept.scheduled
        if before.is_paused:
            next_at = None
        elif before.plan.timing == plan.timing and before.next_at is not None:
            next_at = before.next_at
        kept.scheduled = before._replace(plan=plan, next_at=next_at)

    async def put(self, schedule_id: str, plan: Plan, next_at: int | None, most: int) -> bool | None:
        kept = self._kept.get(schedule_id)
        if kept is None and len(self._kept) >= most:
            return None
        if kept is not None and kept.scheduled.plan.declared:
            return False
        self._plan(schedule_id, plan, next_at)
        return True

    async def remove(self, schedule_id: str) -> bool | None:
        kept = self._kept.get(schedule_id)
        if kept is None:
            return None
        if not kept.scheduled.plan.declared:
            del self._kept[schedule_id]
        return not kept.scheduled.plan.declared

    async def pause(self, schedule_id: str) -> bool:
        kept = self._kept.get(schedule_id)
        if kept is not None:
            kept.scheduled = kept.scheduled._replace(is_paused=True, next_at=None)
        return kept is not None

    async def resume(self, schedule_id: str, next_at: int | None) -> bool:
        kept = self._kept.get(schedule_id)
        if kept is not None and kept.scheduled.is_paused:
            kept.scheduled = kept.scheduled._replace(is_paused=False, next_at=next_at)
        return kept is not None

    async def move(self, schedules: Sequence[tuple[Scheduled, int | None]]) -> None:
        await self.fire([Firing(schedule, (), next_at, schedule.handled_at) for schedule, next_at in schedules])

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        return [await self._step(firing) for firing in firings]

    async def _step(self, firing: Firing) -> Fired:
        kept = self._kept.get(firing.schedule.schedule_id)
        now = None if kept is None else self._now(kept)
        expected = firing.schedule
        if kept is None or now is None or (now.plan, now.next_at) != (expected.plan, expected.next_at):
            return Fired(applied=False)
        kept.scheduled = now._replace(next_at=firing.next_at, handled_at=firing.handled_at)
        if firing.jobs and now.plan.overlap == "skip" and now.last is not None and not now.last.status.is_final:
            return Fired(applied=True, overlapping=now.last.job_id)
        begun, there = list[str](), list[str]()
        for job_id, at in firing.jobs:
            submission = Submission(job_id, now.plan.type, now.plan.parameters, now.plan.options)
            earlier = await self._store.submit(job_id, submission)
            found = earlier.job_id if isinstance(earlier, Duplicate) else job_id
            (begun if earlier is None else there).append(found)
            job = self._store.find(found)
            assert job is not None
            kept.scheduled = _with_last(kept.scheduled, job, at)
        return Fired(applied=True, begun=begun, there=there)


def _with_last(scheduled: Scheduled, job: Job, at: int) -> Scheduled:
    error = None if job.error is UNSET else job.error
    return scheduled._replace(last=LastJob(job.job_id, at, job.status, error))
