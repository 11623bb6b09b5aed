"""The double's time: it passes as everywhere, and tests move it forward, so that a day takes no longer than its work.

Whatever waits for a time waits here: pauses between deliveries, polls of a stream, schedules. The clock knows who waits
and who is at work, so it can be moved step by step: to the next time that somebody waits for, then on only after the
work that this began is done. The functions' processes see the same time (function_time.py), read from a file.
"""

import asyncio
import heapq
import itertools
import math
import mmap
import struct
import tempfile
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Sign = asyncio.Future[bool]

PATIENCE = 60.0  # real seconds that one step's work may take


class Clock:
    """The time of one double. All but `now` is for its event loop alone.

    Attributes:
        path: the file with the seconds that this clock is ahead, a native double.
    """

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="clock-")  # noqa: SIM115  # closed by close()
        self._file.write(struct.pack("d", 0.0))
        self._file.flush()
        self._shared = mmap.mmap(self._file.fileno(), 8)
        self._ahead = 0.0
        self.path = self._file.name
        self._timers: list[tuple[float, int, Sign]] = []
        self._numbers = itertools.count()
        self._waiting: set[Sign] = set()
        self._at_work = 0
        self._quiet = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Remove the file."""
        self._shared.close()
        self._file.close()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start something that is at work until it ends, but for the time that it spends in `wait`."""
        self._begin()
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._rest())
        return task

    async def wait(self, sign: Sign | None = None, until: float = math.inf) -> bool:
        """Wait for a sign, which somebody gives with `give`, or for a time; whether it was the sign.

        Args:
            sign: a new future of this event loop; None for the time alone.
            until: seconds since 1970.
        """
        waited = sign or asyncio.get_running_loop().create_future()
        if waited.done():
            return waited.result()
        if until < math.inf:
            heapq.heappush(self._timers, (until, next(self._numbers), waited))
            self._set_alarm()
        self._waiting.add(waited)
        self._rest()
        try:
            return await waited
        finally:
            if waited in self._waiting:  # cancelled
                self._waiting.discard(waited)
                self._begin()

    def give(self, sign: Sign, given: bool = True) -> None:
        """Give a sign; who waits for it is at work from now on. It may be given again, to no effect."""
        if sign.done():
            return
        sign.set_result(given)
        if sign in self._waiting:
            self._waiting.discard(sign)
            self._begin()

    async def advance(self, seconds: float) -> None:
        """Move forward, and let all that falls due in between happen at its time, each to its end.

        Raises:
            TimeoutError: some work took more than a minute.
        """
        target = self.now() + seconds
        while True:
            async with asyncio.timeout(PATIENCE):
                while self._at_work:
                    await self._quiet.wait()
            self._forget_what_was_cancelled()
            if not self._timers or self._timers[0][0] > target:
                break
            self._move_to(self._timers[0][0])
            self._fire()
        self._move_to(target)

    def jump(self, seconds: float) -> None:
        """Move forward at once, whoever is at work; what has fallen due meanwhile happens then."""
        self._move_to(self.now() + seconds)
        self._fire()

    def _move_to(self, moment: float) -> None:
        self._ahead += max(0.0, moment - self.now())
        self._shared[:8] = struct.pack("d", self._ahead)

    def _fire(self) -> None:
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            self.give(heapq.heappop(self._timers)[2], False)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._forget_what_was_cancelled()
        if self._timers:
            pause = max(0.0, self._timers[0][0] - self.now())
            self._alarm = asyncio.get_running_loop().call_later(min(pause, 86_400), self._fire)

    def _forget_what_was_cancelled(self) -> None:
        while self._timers and self._timers[0][2].done():
            heapq.heappop(self._timers)

    def _begin(self) -> None:
        self._at_work += 1
        self._quiet.clear()

    def _rest(self) -> None:
        self._at_work -= 1
        if not self._at_work:
            self._quiet.set()
