"""Stops attempts that are canceled or over time, and frees their slots soon.

A function learns of its deadline, or of a cancel, from its context or as a CancelledError. One that goes on regardless
costs its process, since a thread cannot be killed. The jobs beside it in that process may end first.
"""

import asyncio
import logging

from asyncjob.job import Error
from asyncjob.server.logs import log
from asyncjob.server.workers.channel import Cancel
from asyncjob.server.workers.outcomes import Outcomes
from asyncjob.server.workers.places import Places
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.running import RunningAttempt, Worker

STOP_SECONDS = 1.0  # what a function gets after its deadline before its process is retired
CANCEL_SECONDS = 5.0  # and what it gets after a cancel, to clean up
LINGER_SECONDS = 600.0  # for so long one that goes on even then counts against the limits of its function
STUCK_SECONDS = 10.0  # a process that has answered neither by then runs nothing any more


class Deadlines:
    """The deadlines of one server's attempts.

    Args:
        places: those of a retired process are withdrawn.
        outcomes: told of attempts that are over time.
        processes: the workers.
    """

    def __init__(self, places: Places, outcomes: Outcomes, processes: Processes) -> None:
        self._places = places
        self._outcomes = outcomes
        self._processes = processes

    def begin(self, worker: Worker, attempt: RunningAttempt, timeout: float) -> None:
        """The attempt begins and may take that many seconds."""
        later = asyncio.get_running_loop().call_later
        attempt.deadline = later(timeout, self._time_out, worker, attempt, timeout)

    def cancel(self, worker: Worker, attempt: RunningAttempt) -> None:
        """The job was canceled: tell the worker, and free the slot."""
        attempt.recorded = True
        if attempt.deadline is not None:
            attempt.deadline.cancel()
        self._stop(worker, attempt, CANCEL_SECONDS)

    def _time_out(self, worker: Worker, attempt: RunningAttempt, timeout: float) -> None:
        if not attempt.recorded:
            error = Error("Timeout", f"it ran longer than its timeout of {timeout:g} seconds")
            self._outcomes.lost(attempt, error, goes_on=True)
        self._stop(worker, attempt, STOP_SECONDS)

    def _stop(self, worker: Worker, attempt: RunningAttempt, seconds: float) -> None:
        worker.process.send([Cancel(attempt.job_id, attempt.attempt)])
        if worker.retired:
            self._processes.kill_if_done(worker)
        later = asyncio.get_running_loop().call_later
        later(seconds, self._end_if_running, worker, attempt)
        later(STUCK_SECONDS, self._kill_if_stuck, worker, worker.noticed)

    def _end_if_running(self, worker: Worker, attempt: RunningAttempt) -> None:
        if not attempt.over:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._outcomes.let_go, attempt)
            self._retire_if_running(worker, attempt)

    def _retire_if_running(self, worker: Worker, attempt: RunningAttempt) -> None:
        if attempt.key not in worker.attempts or worker not in self._processes.workers:
            return
        if not worker.retired:
            if not self._processes.may_retire(worker):
                asyncio.get_running_loop().call_later(STOP_SECONDS, self._retire_if_running, worker, attempt)
                return
            log(logging.WARNING, "worker retired", worker=worker.process.pid, job_id=attempt.job_id)
            if worker.capacity:
                self._places.withdraw(worker)
            self._processes.retire(worker)
        self._processes.kill_if_done(worker)

    def _kill_if_stuck(self, worker: Worker, noticed: int) -> None:
        """Code that holds the interpreter's lock stops its whole process; the jobs beside it can only run again."""
        if worker.noticed == noticed and worker in self._processes.workers:
            log(logging.ERROR, "worker stuck", worker=worker.process.pid)
            worker.stuck = True
            worker.process.kill()
