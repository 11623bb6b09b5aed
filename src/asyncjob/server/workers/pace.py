"""How many jobs of one function a worker is given in a row, before the next worker has its turn.

Each message wakes a process, and a worker takes ten jobs in one message for less than twice what it takes one for. But
a worker must not have all of a few long jobs while another has none. So it is given as many as it ends in a moment, by
the pace of late: of long jobs that is one.
"""

from collections import Counter
from collections.abc import Iterable

IN_A_ROW_SECONDS = 0.01  # of work
MEASURED_SECONDS = 0.1  # over which the pace is measured, at least


class Pace:
    """The pace at which all workers together end the jobs of each function.

    Args:
        now: in seconds, by the monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self._ended: Counter[str] = Counter()
        self._measured = now
        self._per_second: dict[str, float] = {}

    def ended(self, types: Iterable[str]) -> None:
        """Jobs of these types have ended."""
        self._ended.update(types)

    def measure(self, now: float) -> None:
        """Measure it again, if that was some time ago."""
        passed = now - self._measured
        if passed >= MEASURED_SECONDS:
            self._per_second = {name: count / passed for name, count in self._ended.items()}
            self._ended.clear()
            self._measured = now

    def in_a_row(self, name: str, workers: int) -> int:
        """How many jobs of a type to give to one of so many workers in a row."""
        return max(1, int(self._per_second.get(name, 0) * IN_A_ROW_SECONDS / workers))
