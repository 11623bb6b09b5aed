"""What the jobs of this worker do about their places while they wait for other jobs; see workers/places.py.

A job may wait in several of its threads or tasks at once. It has no place from the first of these waits until all are
over: if it took its place back after each of them, the jobs that the others wait for might never have one.
"""

import threading
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from asyncjob.context import JobContext, WorkerContext
from asyncjob.server.workers.channel import AttemptKey, Awaited, Yielded
from asyncjob.server.workers.worker.outbox import Outbox


@dataclass
class _Waiting:
    """What one job waits for.

    Attributes:
        count: how many of its waits are under way.
        resumed: called once it has a place again.
        asked: whether the server was asked for one and has not answered yet.
    """

    count: int = 0
    resumed: list[Callable[[], None]] = field(default_factory=list)
    asked: bool = False


class Waits(WorkerContext):
    """The jobs of this worker that wait.

    Args:
        worker: the number of the worker's place.
        outbox: to the server.
        running: the attempts that run.
    """

    def __init__(self, worker: int, outbox: Outbox, running: Container[AttemptKey]) -> None:
        super().__init__(worker)
        self._outbox = outbox
        self._running = running
        self._waiting: dict[AttemptKey, _Waiting] = {}
        self._lock = threading.Lock()  # also so that the server is told in order
        self._closed = False

    def close(self) -> None:
        """Neither say nor wait for anything more: this process is a fork of the worker."""
        self._closed = True

    def give_up(self, job: JobContext) -> None:
        """Tell the server that the job needs no place."""
        key = job.job_id, job.attempt
        if self._closed or key not in self._running:
            return
        with self._lock:
            waiting = self._waiting.setdefault(key, _Waiting())
            waiting.count += 1
            if waiting.count == 1 and not waiting.asked:
                self._outbox.send(Yielded(*key))

    def take_back(self, job: JobContext, resumed: Callable[[], None]) -> None:
        """Ask the server for a place, unless the job still waits elsewhere."""
        key = job.job_id, job.attempt
        if self._closed or not self._asks(key, resumed):
            resumed()

    def _asks(self, key: AttemptKey, resumed: Callable[[], None]) -> bool:
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:  # it has ended, and this is a thread that it left
                return False
            waiting.count -= 1
            if waiting.count:
                return False
            waiting.resumed.append(resumed)
            if not waiting.asked:
                waiting.asked = True
                self._outbox.send(Awaited(*key))
            return True

    def resume(self, key: AttemptKey) -> None:
        """The job has a place again. If it has begun another wait meanwhile, that goes to somebody else."""
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:
                return
            resumed, waiting.resumed, waiting.asked = waiting.resumed, [], False
            if waiting.count:
                self._outbox.send(Yielded(*key))
            else:
                del self._waiting[key]
        for each in resumed:
            each()

    def end(self, key: AttemptKey) -> None:
        """The job has ended; threads that it left go on."""
        if self._waiting:
            with self._lock:
                waiting = self._waiting.pop(key, None)
            for each in [] if waiting is None else waiting.resumed:
                each()
