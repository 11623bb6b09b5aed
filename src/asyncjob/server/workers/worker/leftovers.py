"""Ends the processes of an attempt that is canceled or over time, after a moment in which it could do so itself.

A sync function that waits for its child then waits no longer, so its worker need not be retired. What a function's own
threads started cannot be told from other jobs' processes; it ends with the worker.
"""

import logging
import os
import queue
import threading
import time
from collections import deque

import msgspec

from asyncjob.server.logs import log
from asyncjob.server.workers.worker import process_tree
from asyncjob.server.workers.worker.process_tree import Process

PATIENCE_SECONDS = 0.5  # less than a function gets before the server retires its worker
MAX_NOTED = 1_000
_NONE: frozenset[Process] = frozenset()


class JobProcesses(msgspec.Struct, eq=False):
    """The processes that one attempt started.

    Attributes:
        over: True once the attempt has ended.
    """

    over: bool = False
    _noted: deque[Process] | None = None  # made for the few jobs that need one
    _thread: int | None = None
    _before: frozenset[Process] = _NONE

    def begin_thread(self) -> None:
        """What this thread starts from now on belongs to the attempt; what it started before does not."""
        thread = threading.get_native_id()
        if process_tree.thread_has_children():
            self._before = frozenset(process_tree.children(os.getpid(), thread))
        self._thread = thread

    def leave_thread(self, goes_on: bool) -> None:
        """What this thread starts from now on belongs to another attempt.

        Args:
            goes_on: the attempt is not over yet and keeps what it has started.
        """
        if goes_on:
            self._note(self._of_thread())
        self._thread = None

    def note(self, pid: int) -> None:
        """The attempt has started this process."""
        process = process_tree.find(pid)
        if process is not None:
            self._note([process])

    def _note(self, processes: list[Process]) -> None:
        if self._noted is None:
            self._noted = deque(maxlen=MAX_NOTED)
        self._noted.extend(processes)

    def end(self) -> int:
        """Kill those that are left, with all that they started; returns how many there were."""
        return len(process_tree.end({*self._of_thread(), *(self._noted or ())}))

    def _of_thread(self) -> list[Process]:
        thread = self._thread
        found = [] if thread is None else process_tree.children(os.getpid(), thread)
        # Look at the thread again: if the attempt has left it meanwhile, what was found may be the next one's.
        return [process for process in found if process not in self._before] if self._thread == thread else []


class Leftovers:
    """Ends what canceled attempts leave, in a thread of its own that starts with the first of them."""

    def __init__(self) -> None:
        self._watched: queue.SimpleQueue[tuple[float, str, JobProcesses]] = queue.SimpleQueue()
        self._started = False

    def watch(self, job_id: str, processes: JobProcesses) -> None:
        """End the attempt's processes soon, and again until it is over."""
        self._watched.put((time.monotonic() + PATIENCE_SECONDS, job_id, processes))
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            due, job_id, processes = self._watched.get()
            time.sleep(max(0.0, due - time.monotonic()))
            over = processes.over
            killed = processes.end()
            if killed:
                log(logging.WARNING, "processes ended", job_id=job_id, processes=killed)
            if not over:
                self.watch(job_id, processes)
