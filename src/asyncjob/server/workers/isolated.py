"""Runs the jobs of functions that want a process for each job, or for a few of them one after the other.

Such a process offers no slots; its job takes one of the others', as a suspect does. It is nobody's until its first job
makes it that function's, so one spare is enough for all functions. The spare is started with the first such job, and a
fresh one whenever it is used, so that a job need not wait for Python to start. Whatever a process has started ends with
it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from asyncjob.job import Error
from asyncjob.registry import Jobs
from asyncjob.runner import out_of_memory
from asyncjob.server.workers.channel import OUT_OF_MEMORY, AttemptKey, Message, Run, Stop
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.running import Worker
from asyncjob.store import Claim

SPARES = 1  # processes that are ready for whichever job comes next
MAX_IDLE = 4  # processes that have begun and wait for another job of their function
END_SECONDS = 10.0  # for the end of a process's lifespan
BY_THE_LIMIT = (1, -6, -7, -9, -11)  # statuses of processes that could not have more memory


class IsolatedJobs:
    """The isolated jobs of one server.

    Args:
        jobs: the registry.
        processes: starts theirs.
        begin: called with a process and the job that begins in it.

    Attributes:
        types: of isolated jobs.
    """

    def __init__(self, jobs: Jobs, processes: Processes, begin: Callable[[Worker, Claim], None]) -> None:
        self.types = frozenset(function.name for function in jobs if function.own_process is not None)
        self._jobs = jobs
        self._processes = processes
        self._begin = begin
        self._waiting: deque[Claim] = deque()
        self._spares = 0

    @property
    def waiting(self) -> list[Claim]:
        """The claimed jobs that have no process yet."""
        return list(self._waiting)

    def take(self, jobs: Iterable[Claim]) -> None:
        """Have claimed jobs run, each in its process."""
        self._waiting.extend(jobs)
        self._spares = SPARES
        self.hand_out()

    def hand_out(self) -> None:
        """Give what waits to processes that are ready, and start others."""
        left: deque[Claim] = deque()
        for job in self._waiting:
            worker = self._find(job.type)
            if worker is None:
                left.append(job)
            else:
                self._give(worker, job)
        self._waiting = left
        if not self._processes.is_stopping:
            self._keep_spares(len(left) + self._spares)

    def _keep_spares(self, count: int) -> None:
        """Have that many processes that are ready, or will be, for whichever job comes next."""
        more = count - self._processes.fresh
        for _ in range(more):
            self._processes.start_isolated()
        for worker in self._processes.workers if more < 0 else ():
            if more < 0 and worker.own is not None and not worker.own.type and worker.is_idle:
                self._end(worker)
                more += 1

    def remove(self, key: AttemptKey) -> bool:
        """The job was canceled: whether it had no process yet, and does not begin."""
        kept = deque(job for job in self._waiting if (job.job_id, job.attempt) != key)
        removed = len(kept) < len(self._waiting)
        self._waiting = kept
        if removed:
            self.hand_out()
        return removed

    def ended(self, worker: Worker) -> None:
        """The job of a process has ended: the process takes another one, or ends."""
        own = worker.own
        assert own is not None
        idle = sum(one.own is not None and bool(one.own.type) and one.is_idle for one in self._processes.workers)
        if worker.is_idle and (own.left == 0 or idle > MAX_IDLE):
            self._end(worker)
        self.hand_out()

    def error_of(self, worker: Worker, type: str, status: int, how: str) -> Error:  # noqa: A002
        """What is said of a job whose process has died."""
        own = worker.own
        function = self._jobs[type].own_process if type in self._jobs else None
        limit = None if function is None else function.memory
        is_full = status == OUT_OF_MEMORY or (own is not None and own.is_full and status in BY_THE_LIMIT)
        if limit is not None and is_full:
            return out_of_memory(limit)
        return Error("WorkerLost", f"its process died ({how})")

    def _find(self, type: str) -> Worker | None:  # noqa: A002
        """A process of this function, or else a fresh one."""
        ready = [(one, one.own.type) for one in self._processes.workers if one.own is not None and one.is_idle]
        own = (one for one, of in ready if of == type)
        return next(own, None) or next((one for one, of in ready if not of), None)

    def _give(self, worker: Worker, job: Claim) -> None:
        own, function = worker.own, self._jobs[job.type].own_process
        assert own is not None and function is not None
        if not own.type:
            own.type, own.left = job.type, function.max_jobs
        own.left -= 1
        self._begin(worker, job)
        messages: list[Message] = [Run(job.job_id, job.attempt, job.type, job.parameters, job.traceparent)]
        worker.process.send(messages)

    def _end(self, worker: Worker) -> None:
        worker.stopping = True
        if self._jobs.worker_lifespan is None:
            worker.process.kill()
        else:
            worker.process.send([Stop()])
            asyncio.get_running_loop().call_later(END_SECONDS, worker.process.kill)
