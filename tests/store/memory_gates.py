"""The limits of functions, for the store in memory: it counts what runs and what has started, each time anew."""

from collections.abc import Iterator

from asyncjob.job import Status
from asyncjob.policies import NO_LIMITS, Limits, Rate
from asyncjob.registry import JobFunction
from tests.store.memory_kept import Kept, Row


class MemoryGates:
    """What says whether a waiting job may go on. A store is one of these."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._functions: dict[str, JobFunction] | None = None
        self._caps: dict[str, int] = {}
        self._going_on: dict[tuple[str, int], Row] = {}  # attempts that have ended and are not gone

    def cap(self, name: str, count: int) -> None:
        self._caps[name] = count

    def _limits(self, row: Row) -> Limits:
        function = None if self._functions is None else self._functions.get(row.job.type)
        return NO_LIMITS if function is None else function.limits

    def _is_ready(self, row: Row, now: int) -> bool:
        return row.place.stage is None or (
            row.place.stage == 1 and self._may_start(row, now) and not self._is_capped(row.job.type)
        )

    def _is_capped(self, name: str) -> bool:
        return self._busy(name) >= self._caps.get(name, 2**62)

    def _busy(self, name: str) -> int:
        running = sum(self._runs(one) for one in self._kept.jobs.values() if one.job.type == name)
        return running + sum(one.job.type == name for one in self._going_on.values())

    def _wanting(self, now: int, most: int) -> dict[str, int]:
        """How many jobs only a cap holds back."""
        found: dict[str, int] = {}
        for row in self._kept.waiting.values():
            name, limit, rate = row.job.type, self._limits(row).concurrency, self._limits(row).rate
            if row.place.stage == 1 and self._is_capped(name):
                room = [most] if limit is None else [most, limit.count - self._busy(name)]
                room += [] if rate is None else [rate.count - len(self._recent((name, None), rate, now))]
                found[name] = min(found.get(name, 0) + 1, *room, 2**62)
        return {name: count for name, count in found.items() if count > 0}

    def _may_pass(self, row: Row, now: int) -> bool:
        limits = self._limits(row)
        same = [one for one in self._kept.jobs.values() if (one.job.type, one.key) == (row.job.type, row.key)]
        past = [one for one in same if one.place.stage == 1 or self._runs(one)]
        held = sum((one.job.type, one.key) == (row.job.type, row.key) for one in self._going_on.values())
        if limits.concurrency_per_key is not None and len(past) + held >= limits.concurrency_per_key.count:
            return False
        reserved = sum(one.place.stage == 1 for one in past)
        return self._has_room((row.job.type, row.key), limits.rate_per_key, now, reserved)

    def _may_start(self, row: Row, now: int) -> bool:
        limits = self._limits(row)
        if limits.concurrency is not None and self._busy(row.job.type) >= limits.concurrency.count:
            return False
        return self._has_room((row.job.type, None), limits.rate, now, 0)

    def _has_room(self, name: tuple[str, str | None], rate: Rate | None, now: int, reserved: int) -> bool:
        return rate is None or len(self._recent(name, rate, now)) + reserved < rate.count

    def _recent(self, name: tuple[str, str | None], rate: Rate, now: int) -> list[int]:
        starts = self._kept.starts.get(name, [])
        starts[:] = [min(start, now) for start in starts]  # the clock was set back
        return [start for start in starts if start > now - rate.seconds * 1000]

    def _openings(self, now: int) -> Iterator[int]:
        """When the rates of those that wait let one more start."""
        for row in self._kept.waiting.values():
            limits, type_ = self._limits(row), row.job.type
            if row.place.stage is not None:
                for name, rate in (((type_, None), limits.rate), ((type_, row.key), limits.rate_per_key)):
                    if rate is not None and len(recent := self._recent(name, rate, now)) >= rate.count:
                        yield recent[-rate.count] + rate.seconds * 1000

    @staticmethod
    def _runs(row: Row) -> bool:
        return row.job.status is Status.RUNNING
