"""How many invocations run at once: a function's own bound, and the account's, which all share.

A function with a reserved concurrency has it for itself; the others share the account's, in which a dispatcher competes
with the processors that it starts. Events wait in turn; a request that finds no place is refused (functions.py).
"""

import asyncio
import math
from collections import deque

from tests.aws.double.clock import Clock, Sign


class Concurrency:
    """Of one account.

    Args:
        limit: invocations at once of the functions that have reserved none; None is no limit.
        clock: whose time it is.
    """

    def __init__(self, limit: int | None, clock: Clock) -> None:
        self.free = math.inf if limit is None else limit
        self.clock = clock
        self.queue: deque[tuple[Slots, Sign]] = deque()

    def hand_over(self) -> None:
        """Give each place that is free to whoever waits longest for one like it."""
        for slots, sign in list(self.queue):
            if not slots.busy:
                self.queue.remove((slots, sign))
                slots.take()
                self.clock.give(sign)


class Slots:
    """Of one function.

    Args:
        account: whose function it is.
        environments: at once, at most.
        reserved: concurrency of the function's own; None for a part of the account's.
    """

    def __init__(self, account: Concurrency, environments: int, reserved: int | None) -> None:
        self._account = account
        self._shared = reserved is None
        self._free = environments if reserved is None else min(environments, reserved)
        self._held = False

    @property
    def busy(self) -> bool:
        """Whether no further invocation may run now."""
        return self._held or not self._free or (self._shared and not self._account.free)

    async def wait(self, until: float = math.inf) -> bool:
        """Wait, in turn, for a place, which is released afterwards; whether there was one in time."""
        if not self.busy and all(slots is not self for slots, _ in self._account.queue):
            self.take()
            return True
        sign: Sign = asyncio.get_running_loop().create_future()
        self._account.queue.append((self, sign))
        taken = False
        try:
            taken = await self._account.clock.wait(sign, until)
        finally:
            if (self, sign) in self._account.queue:
                self._account.queue.remove((self, sign))
            elif not taken:  # cancelled, or too late, just as it was handed over
                self.release()
        return taken

    def take(self) -> None:
        """Take a place that is free."""
        self._free -= 1
        self._account.free -= self._shared

    def release(self) -> None:
        """Give a place back."""
        self._free += 1
        self._account.free += self._shared
        self._account.hand_over()

    def hold(self, on: bool) -> None:
        """Take all places away, or give them back."""
        self._held = on
        self._account.hand_over()
