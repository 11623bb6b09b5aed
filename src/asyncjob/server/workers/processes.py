"""Worker processes: started, started again when they end, retired, and cleared up after.

Each place for a worker has a number from 0, which every process that takes it has in turn. Processes for suspects and
isolated jobs have numbers above those, the lowest that is free.

A process that was given up lives on as long as an innocent job runs in it, beside the one that has taken its place. So
their number is bounded: at the bound, a process is only given up once another has ended.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

from asyncjob.server.logs import log
from asyncjob.server.settings import Settings
from asyncjob.server.workers.channel import FromWorker
from asyncjob.server.workers.guard_pipe import GuardPipe
from asyncjob.server.workers.process import WorkerProcess
from asyncjob.server.workers.quarantine import Group
from asyncjob.server.workers.running import OwnProcess, Worker

RESTART_SECONDS = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)  # before the next start, by how many died before they were ready
SLOW_SECONDS = 30.0  # after which a worker that is not ready is told of
START_SECONDS = 10.0  # that a start under way may take when all are closed
MAX_RETIRED = 16  # processes that were given up and still run a job


class Processes:
    """The worker processes of one server.

    Args:
        settings: of the server.
        received: called with a worker and the messages that it sent.
        buried: called with a worker that is gone and its exit status, when nothing of it is left.
        printed: called with a worker, and what came through one of its standard streams; see `WorkerProcess`.

    Attributes:
        workers: those that are there.
        ended: how many `died`, and how many were `retired` since a job overran its timeout; not those that the
            server's stop has ended.
    """

    def __init__(
        self,
        settings: Settings,
        received: Callable[[Worker, list[FromWorker]], None],
        buried: Callable[[Worker, int], None],
        printed: Callable[[Worker, str, list[str], int], None],
    ) -> None:
        self.workers: list[Worker] = []
        self.ended = Counter(died=0, retired=0)
        self._settings = settings
        self._received = received
        self._buried = buried
        self._printed = printed
        self._mark = secrets.token_hex(8)
        self._guard = GuardPipe(f"{self._mark}.")
        self._started = 0
        self._numbers: set[int] = set()  # of the processes for suspects and isolated jobs
        self._failed_starts = 0
        self._fresh_starts = 0
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starts: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Start what watches over them."""
        self._starts.add(self._spawn(self._guard.start()))

    def start(self, number: int, capacity: int) -> None:
        """Start a worker, after a pause if the last ones died before they were ready. It becomes ready by and by.

        Args:
            number: of its place.
            capacity: how many jobs it may run at once.
        """
        self._starts.add(self._spawn(self._start(number, capacity)))

    def start_group(self, group: Group) -> None:
        """Start a process for suspects, as above."""
        self._starts.add(self._spawn(self._start(self._free_number(), 0, group)))

    def start_isolated(self) -> None:
        """Start a process for isolated jobs, as above."""
        self._fresh_starts += 1
        self._starts.add(self._spawn(self._start(self._free_number(), 0, own=OwnProcess())))

    @property
    def fresh(self) -> int:
        """How many processes for isolated jobs have had none yet, those that are starting included."""
        own = [(one, one.own) for one in self.workers if one.own is not None and not (one.gone or one.stopping)]
        return self._fresh_starts + sum(not (of.type or of.is_surplus or one.retired) for one, of in own)

    def _free_number(self) -> int:
        number = next(each for each in count(self._settings.worker_count) if each not in self._numbers)
        self._numbers.add(number)
        return number

    async def _start(
        self, number: int, capacity: int, group: Group | None = None, own: OwnProcess | None = None
    ) -> None:
        pause = RESTART_SECONDS[min(self._failed_starts, len(RESTART_SECONDS) - 1)]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)
        if self.is_stopping:
            return
        self._started += 1
        try:
            process = await WorkerProcess.start(
                self._settings,
                f"{self._mark}.{self._started}.",
                lambda messages: self._received(worker, messages),
                lambda: self._lose_contact(worker),
                lambda stream, lines, left_out: self._printed(worker, stream, lines, left_out),
                number,
            )
        except OSError as error:
            log(logging.ERROR, "worker not started, trying again", error=str(error))
            self._failed_starts += 1
            self._starts.add(self._spawn(self._start(number, capacity, group, own)))
        else:
            worker = Worker(process, capacity, group, own, number=number)
            self._fresh_starts -= own is not None
            self._guard.watch(process.pid)
            self.workers.append(worker)
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._say_if_slow, worker)
            await process.connect()

    def _say_if_slow(self, worker: Worker) -> None:
        if not (worker.ready or worker.gone or self.is_stopping):
            why = "the import of the functions, or their lifespan, has not come to its end"
            log(logging.WARNING, "worker not ready", worker=worker.process.pid, after=f"{SLOW_SECONDS:g}s", reason=why)

    @property
    def is_stopping(self) -> bool:
        """Whether no more are started."""
        return self._stopping.is_set()

    def welcome(self, worker: Worker) -> None:
        """Its first message has come: it is ready."""
        worker.ready = True
        self._failed_starts = 0
        log(logging.INFO, "worker ready", worker=worker.process.pid)

    def may_retire(self, worker: Worker) -> bool:
        """Whether one more may be given up."""
        return not worker.capacity or sum(one.retired for one in self.workers) < MAX_RETIRED

    def retire(self, worker: Worker) -> None:
        """Give it no new job, and start another in its place."""
        worker.retired = True
        if worker.capacity:
            self.start(worker.number, worker.capacity)

    def kill_if_done(self, worker: Worker) -> None:
        """End it if nothing that it runs is wanted and it gets nothing new."""
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
        self._numbers.discard(worker.number)
        if not worker.ready:
            self._failed_starts += 1
        if not self.is_stopping:
            self._say_ended(worker, status)
            if not worker.retired and worker.capacity:
                self.start(worker.number, worker.capacity)
        self._buried(worker, status)

    def _say_ended(self, worker: Worker, status: int) -> None:
        if worker.stopping:  # as it was told to
            return
        expected = worker.retired or (not worker.capacity and worker.ready and not worker.attempts)
        reason = "retired" if expected else "died"
        self.ended[reason] += 1
        fields: dict[str, object] = {"worker": worker.process.pid, "status": status, "jobs": len(worker.attempts)}
        if worker.process.nonsense is not None:
            fields["nonsense"] = worker.process.nonsense
        log(logging.INFO if expected else logging.ERROR, "worker ended", **fields)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._starts.discard)
        return task

    def stop(self) -> None:
        """Start no more."""
        self._stopping.set()

    async def close(self) -> None:
        """End them all, with what their jobs have started."""
        self.stop()
        if self._starts:  # a start that is canceled halfway leaves a process that nobody knows
            await asyncio.wait(self._starts, timeout=START_SECONDS)
        for task in self._tasks:
            task.cancel()
        for worker in self.workers:
            worker.process.kill()  # all at once; to wait for one takes a while
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*[worker.process.close() for worker in self.workers])
        self._guard.close()
