"""How a store tells its server what happens, and whoever waits for a write what became of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from asyncjob.store.records import Claims, NotSaved


@dataclass(frozen=True)
class Observer:
    """How a store tells its server what happens. By default it tells nobody.

    Attributes:
        claimed: called in the event loop after each transaction, once its futures have resolved, with what it claimed,
            if only an empty list.
        saved: called in any thread after a transaction, with the seconds that it took and the number of its writes.
        not_saved: called in any thread after a transaction that was rolled back.
        trying_again: called in the event loop when a write that is never given up was not saved and will be tried
            again, with the name of the verb, the ids of the jobs, and the reason.
    """

    claimed: Callable[[Claims], None] = lambda claims: None
    saved: Callable[[float, int], None] = lambda seconds, writes: None
    not_saved: Callable[[], None] = lambda: None
    trying_again: Callable[[str, Sequence[str], NotSaved], None] = lambda verb, jobs, error: None


class Told(Protocol):
    """Whoever is told what became of a write, in the event loop: a future, or what behaves like one."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop in which it is told."""

    def done(self) -> bool:
        """Whether nobody needs to be told any more."""

    def set_result(self, result: Any, /) -> None:
        """The write is over."""

    def set_exception(self, error: Any, /) -> None:
        """Nothing was written."""
