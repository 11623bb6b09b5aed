"""The worker processes of one server: started, started again when they end, retired, and cleared up after.

A process that was given up lives on as long as an innocent job runs in it, beside the one that has taken its place. So
their number is bounded: at the bound a place stays taken until one of them has ended.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from asyncjob.server.logs import log
from asyncjob.server.metrics import Metrics
from asyncjob.server.settings import Settings
from asyncjob.server.workers.channel import FromWorker
from asyncjob.server.workers.guard_pipe import GuardPipe
from asyncjob.server.workers.process import WorkerProcess
from asyncjob.server.workers.quarantine import Group
from asyncjob.server.workers.running import Worker

RESTART_SECONDS = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)  # before a worker is started again that died before it was ready
MAX_RETIRED = 16  # processes that are given up and still run a job


class Processes:
    """Those of one server.

    Args:
        settings: of the server.
        received: called with a worker and the messages that it sent.
        ended: called with a worker that is gone, and its exit status, when nothing of it is left.
        metrics: told how workers end.
    """

    def __init__(
        self,
        settings: Settings,
        received: Callable[[Worker, list[FromWorker]], None],
        ended: Callable[[Worker, int], None],
        metrics: Metrics,
    ) -> None:
        self.workers: list[Worker] = []
        self._settings = settings
        self._received = received
        self._ended = ended
        self._metrics = metrics
        self._mark = secrets.token_hex(8)
        self._guard = GuardPipe(f"{self._mark}.")
        self._started = 0
        self._failed_starts = 0
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Start what watches over them."""
        self._spawn(self._guard.start())

    def start(self, capacity: int, group: Group | None = None) -> None:
        """Start a worker, in a while if the last ones died before they were ready; it becomes ready by and by.

        Args:
            capacity: how many jobs it may run at once.
            group: the suspects that it is for.
        """
        self._spawn(self._start(capacity, group))

    async def _start(self, capacity: int, group: Group | None) -> None:
        await asyncio.sleep(RESTART_SECONDS[min(self._failed_starts, len(RESTART_SECONDS) - 1)])
        if self._stopping:
            return
        self._started += 1
        try:
            process = await WorkerProcess.start(
                self._settings,
                f"{self._mark}.{self._started}.",
                lambda messages: self._received(worker, messages),
                lambda: self._lose_contact(worker),
            )
        except OSError as error:
            log(logging.ERROR, "worker not started, trying again", error=str(error))
            self._failed_starts += 1
            self.start(capacity, group)
        else:
            worker = Worker(process, capacity, group)
            self._guard.watch(process.pid)
            self.workers.append(worker)
            await process.connect()

    def welcome(self, worker: Worker) -> None:
        """It is ready."""
        worker.ready = True
        self._failed_starts = 0
        log(logging.INFO, "worker ready", worker=worker.process.pid)

    def may_retire(self, worker: Worker) -> bool:
        """Whether there is room for one more that is given up."""
        return worker.group is not None or sum(one.retired for one in self.workers) < MAX_RETIRED

    def retire(self, worker: Worker) -> None:
        """Give it no new job, and start another in its place."""
        worker.retired = True
        if worker.group is None:
            self.start(worker.capacity)

    def kill_if_done(self, worker: Worker) -> None:
        """End it if nothing that it runs is wanted, and nothing new is to come."""
        if worker.retired:
            done = all(attempt.recorded for attempt in worker.attempts.values())
        else:
            done = worker.group is not None and worker.ready and not (worker.group.members or worker.attempts)
        if done:
            worker.process.kill()

    def _lose_contact(self, worker: Worker) -> None:
        worker.gone = True
        self._spawn(self._bury(worker))

    async def _bury(self, worker: Worker) -> None:
        worker.process.kill()  # it may have closed its socket and live on
        status = await worker.process.wait()
        self._guard.forget(worker.process.pid)
        self.workers.remove(worker)
        if not worker.ready:
            self._failed_starts += 1
        if not self._stopping:
            self._say_ended(worker, status)
            if not worker.retired and worker.group is None:
                self.start(worker.capacity)
        self._ended(worker, status)

    def _say_ended(self, worker: Worker, status: int) -> None:
        expected = worker.retired or (worker.group is not None and worker.ready and not worker.attempts)
        reason = "retired" if expected else "died"
        self._metrics.worker_ended(reason)
        fields: dict[str, object] = {"worker": worker.process.pid, "status": status, "jobs": len(worker.attempts)}
        if worker.process.nonsense is not None:
            fields["nonsense"] = worker.process.nonsense
        log(logging.INFO if expected else logging.ERROR, "worker ended", **fields)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Start no more."""
        self._stopping = True

    async def close(self) -> None:
        """End them all, and what their jobs have started."""
        for worker in list(self.workers):
            worker.process.kill()
        for worker in list(self.workers):
            await worker.process.wait()
        self._guard.close()
