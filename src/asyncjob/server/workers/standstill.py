"""Warns when jobs wait, every slot is taken and no job has ended for a while.

That may be as it should be. But a deadlock looks the same: jobs that wait for jobs which wait for a slot.
"""

import asyncio
import logging
from collections.abc import Callable

from asyncjob.server.logs import log
from asyncjob.store import Store

STANDSTILL_SECONDS = 30.0


class Standstill:
    """Looks at one server's jobs.

    Args:
        store: knows the jobs that wait and the free slots.
        running: how many jobs run.
    """

    def __init__(self, store: Store, running: Callable[[], int]) -> None:
        self._store = store
        self._running = running
        self._timer: asyncio.TimerHandle | None = None
        self._ended = 0
        self._ended_before = 0

    def ended(self, count: int) -> None:
        """That many jobs have ended."""
        self._ended += count

    def watch(self) -> None:
        """Look in a while, and again for as long as jobs run."""
        if self._timer is None:
            self._ended_before = self._ended
            self._timer = asyncio.get_running_loop().call_later(STANDSTILL_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        running = self._running()
        if not running:
            return
        if self._ended == self._ended_before and self._store.pending and self._store.slots <= 0:
            log(
                logging.WARNING,
                "all places are taken and no job has ended for a while; do jobs wait for jobs that have no place?",
                seconds=f"{STANDSTILL_SECONDS:g}",
                running=running,
                waiting=self._store.pending,
            )
        self.watch()
