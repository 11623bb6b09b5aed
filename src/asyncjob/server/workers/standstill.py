"""Warns when jobs wait and nothing has moved for a while: every slot is taken, or the limit of a function.

That may be as it should be. But a deadlock looks the same: jobs that wait for jobs which wait for a slot, or for a
limit that they themselves take.
"""

import asyncio
import logging
from collections import defaultdict

from asyncjob.registry import Jobs
from asyncjob.server.logs import log
from asyncjob.server.workers.channel import AttemptKey
from asyncjob.server.workers.processes import Processes
from asyncjob.store import Store

STANDSTILL_SECONDS = 30.0


class Standstill:
    """Looks at one server's jobs.

    Args:
        store: knows the jobs that wait and the free slots.
        jobs: the registry, for limits.
        processes: have the jobs that run.
    """

    def __init__(self, store: Store, jobs: Jobs, processes: Processes) -> None:
        self._store = store
        self._jobs = jobs
        self._processes = processes
        self._timer: asyncio.TimerHandle | None = None
        self._ended = 0
        self._ended_before = 0
        self._stood: dict[str, set[AttemptKey]] = {}  # by type, when this looked last

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
        running = sum(len(worker.attempts) for worker in self._processes.workers)
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
        if self._store.limited:
            self._look_at_limits()
        self.watch()

    def _look_at_limits(self) -> None:
        """Name the functions with limits of which the same jobs run as before, and all wait for other jobs."""
        busy, aside = set[str](), defaultdict[str, set[AttemptKey]](set)
        for worker in self._processes.workers:
            for attempt in worker.attempts.values():
                if attempt.wait is None:
                    busy.add(attempt.type)
                else:
                    aside[attempt.type].add(attempt.key)
        stand = {name: keys for name, keys in aside.items() if name not in busy and self._is_limited(name)}
        for name, keys in stand.items():
            if self._stood.get(name) == keys:
                log(
                    logging.WARNING,
                    "all running jobs of a function wait for jobs, and a limit holds others up; "
                    "do they wait for jobs of their own function?",
                    type=name,
                    jobs=len(keys),
                    seconds=f"{STANDSTILL_SECONDS:g}",
                )
        self._stood = stand

    def _is_limited(self, name: str) -> bool:
        return bool(self._jobs[name].limits) or self._jobs[name].own_process is not None
