"""How many jobs ended in each ten seconds of the last ten minutes, counted as they end; the store is not asked."""

from collections import deque
from collections.abc import Iterable
from time import monotonic

from asyncjob.job import Status

MOMENT_SECONDS = 10  # what `GET /stats` calls a moment
MOMENTS = 60  # that are kept

Counts = dict[Status, int]


class Throughput:
    """Counts of ended jobs by type and status, for each of the last moments."""

    def __init__(self) -> None:
        self._moments: deque[dict[str, Counts]] = deque([{} for _ in range(MOMENTS)], maxlen=MOMENTS)
        self._current = self._moments[-1]
        self._until = monotonic() + MOMENT_SECONDS

    def count(self, of_type: str, status: Status, number: int = 1) -> None:
        """Count jobs that have ended; a status that is not final counts nothing."""
        if status is Status.SUCCESS or status is Status.FAILURE or status is Status.CANCELED:
            if monotonic() >= self._until:
                self._go_on()
            counts = self._current.get(of_type)
            if counts is None:
                counts = self._current[of_type] = _none()
            counts[status] += number

    def last(self, of_type: str | None = None) -> list[Counts]:
        """The last moments of one type or of all, oldest first; the last one is not over yet."""
        self._go_on()
        if of_type is None:
            return [_sum(moment.values()) for moment in self._moments]
        return [moment.get(of_type) or _none() for moment in self._moments]

    def _go_on(self) -> None:
        passed = max(0, int((monotonic() - self._until) // MOMENT_SECONDS) + 1)
        self._until += passed * MOMENT_SECONDS
        self._moments.extend({} for _ in range(min(passed, MOMENTS)))
        self._current = self._moments[-1]


def _none() -> Counts:
    return {Status.SUCCESS: 0, Status.FAILURE: 0, Status.CANCELED: 0}


def _sum(counts: Iterable[Counts]) -> Counts:
    total = _none()
    for each in counts:
        for status, number in each.items():
            total[status] += number
    return total
