"""What is not wanted any more is told so, and does not keep its place for long.

A function learns of its deadline, or of a cancel, from its context or as a CancelledError. One that goes on all the
same costs its process, since a thread cannot be killed. The jobs beside it in that process end first.
"""

import asyncio
import logging
from collections.abc import Callable

from asyncjob.job import Error
from asyncjob.server.logs import log
from asyncjob.server.workers.channel import Cancel
from asyncjob.server.workers.outcomes import Outcomes
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.running import Attempt, Worker
from asyncjob.store import Store

STOP_SECONDS = 1.0  # what a function gets after its deadline before its process is retired
CANCEL_SECONDS = 5.0  # and what it gets after a cancel, to clean up
STUCK_SECONDS = 10.0  # without an answer to either, nothing moves in the process any more
STANDSTILL_SECONDS = 30.0


class Deadlines:
    """Those of one server's attempts.

    Args:
        store: whose slots are taken back when a process is retired.
        outcomes: told of attempts that are over time.
        processes: the workers.
    """

    def __init__(self, store: Store, outcomes: Outcomes, processes: Processes) -> None:
        self._store = store
        self._outcomes = outcomes
        self._processes = processes

    def begin(self, worker: Worker, attempt: Attempt, timeout: float) -> None:
        """The attempt begins, and may last so many seconds."""
        later = asyncio.get_running_loop().call_later
        attempt.deadline = later(timeout, self._time_out, worker, attempt, timeout)

    def canceled(self, worker: Worker, attempt: Attempt) -> None:
        """The attempt was canceled: its worker is told, and its place becomes free."""
        attempt.recorded = True
        self._stop(worker, attempt, CANCEL_SECONDS)

    def _time_out(self, worker: Worker, attempt: Attempt, timeout: float) -> None:
        if not attempt.recorded:
            self._outcomes.lost(attempt, Error("Timeout", f"it ran longer than its timeout of {timeout:g} seconds"))
        self._stop(worker, attempt, STOP_SECONDS)

    def _stop(self, worker: Worker, attempt: Attempt, seconds: float) -> None:
        worker.process.send([Cancel(attempt.job_id, attempt.attempt)])
        if worker.retired:
            self._processes.kill_if_done(worker)
        later = asyncio.get_running_loop().call_later
        later(seconds, self._retire_if_running, worker, attempt)
        later(STUCK_SECONDS, self._kill_if_stuck, worker, worker.noticed)

    def _retire_if_running(self, worker: Worker, attempt: Attempt) -> None:
        if (attempt.job_id, attempt.attempt) not in worker.attempts or worker not in self._processes.workers:
            return
        if not worker.retired:
            if not self._processes.may_retire(worker):
                asyncio.get_running_loop().call_later(STOP_SECONDS, self._retire_if_running, worker, attempt)
                return
            log(logging.WARNING, "worker retired", worker=worker.process.pid, job_id=attempt.job_id)
            if worker.group is None:
                self._store.offer(-worker.free)
            self._processes.retire(worker)
        self._processes.kill_if_done(worker)

    def _kill_if_stuck(self, worker: Worker, noticed: int) -> None:
        """Code that keeps the interpreter's lock stops its whole process: the jobs beside it can only run again."""
        if worker.noticed == noticed and worker in self._processes.workers:
            log(logging.ERROR, "worker stuck", worker=worker.process.pid)
            worker.stuck = True
            worker.process.kill()


class Standstill:
    """Says when jobs wait, all places are taken and no job has ended for long.

    That may be right. But it is also what a deadlock looks like: jobs that wait for jobs which wait for a place.

    Args:
        store: the jobs that wait, and the free slots.
        running: how many jobs run.
    """

    def __init__(self, store: Store, running: Callable[[], int]) -> None:
        self._store = store
        self._running = running
        self._timer: asyncio.TimerHandle | None = None
        self._ended = 0
        self._ended_before = 0

    def ended(self, count: int) -> None:
        """So many jobs have ended."""
        self._ended += count

    def watch(self) -> None:
        """Look in a while, and then again for as long as jobs run."""
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
