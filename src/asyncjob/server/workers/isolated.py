"""Runs the jobs of functions that want a process for each job, or for a few of them one after the other.

A job is claimed once a process is ready for it, so it is Running from then on and not before. To that end the store has
a cap for each of these functions: as many jobs as have a process or could have one at once. It says how many more it
would claim, and processes are started for these: of each function for as many as there are workers, unless it has a
limit of its own. A job that waits for others does not count there, since its process does nothing.

Such a process offers no slots; its job takes one of the others', as a suspect does. It is nobody's until its first job
makes it that function's, so one spare is enough for all functions. The spare is started with the first such job, and a
fresh one whenever it is used, so that a job need not wait for Python to start. Whatever a process has started ends with
it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from asyncjob.job import Error
from asyncjob.registry import Jobs
from asyncjob.runner import out_of_memory
from asyncjob.server.workers.channel import OUT_OF_MEMORY, Message, Run, Stop
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.running import Worker
from asyncjob.store import Claim, Store

SPARES = 1  # processes that are ready for whichever job comes next
MAX_IDLE = 4  # processes that have begun and wait for another job of their function
MAX_ASIDE = 128  # jobs of one function that wait for others and do not count; each of them keeps a process
END_SECONDS = 10.0  # for the end of a process's lifespan
BY_THE_LIMIT = (1, -6, -7, -9, -11)  # statuses of processes that could not have more memory


class IsolatedJobs:
    """The isolated jobs of one server.

    Args:
        jobs: the registry.
        store: has their caps.
        processes: starts theirs.
        most: how many jobs of a function run at once, if it does not say so itself.
        begin: called with a process and the job that begins in it.

    Attributes:
        types: of isolated jobs.
    """

    def __init__(
        self, jobs: Jobs, store: Store, processes: Processes, most: int, begin: Callable[[Worker, Claim], None]
    ) -> None:
        self.types = frozenset(function.name for function in jobs if function.own_process is not None)
        self._jobs = jobs
        self._store = store
        self._processes = processes
        self._most = {name: most for name in self.types if jobs[name].limits.concurrency is None}
        self._begin = begin
        self._wanting: Mapping[str, int] = {}
        self._caps: dict[str, int] = {}
        self._spares = 0

    def take(self, jobs: Iterable[Claim], wanting: Mapping[str, int] | None) -> list[Claim]:
        """Have claimed jobs run, each in its process.

        Args:
            jobs: which.
            wanting: as in `Claims`.

        Returns:
            Those that have no process, since it has died meanwhile.
        """
        left = []
        for job in jobs:
            worker = self._find(job.type)
            if worker is None:
                left.append(job)
            else:
                self._give(worker, job)
        if wanting is not None:
            self._wanting = wanting
        self.look()
        return left

    def look(self) -> None:
        """See who runs and who is ready, and say how many may run; have as many processes as are wanted."""
        if not self.types:
            return
        ready, idle = self._ready()
        running, aside = Counter[str](), Counter[str]()
        for worker in self._processes.workers:
            if worker.own is not None or worker.group is not None:
                running.update([one.type for one in worker.attempts.values()])
                aside.update([one.type for one in worker.attempts.values() if one.wait is not None and one.wait.aside])
        needed = given = 0
        for name in sorted(self.types):
            wanting = self._wanting.get(name, 0)
            room = idle[name] + wanting
            if name in self._most:
                room = max(0, min(room, self._most[name] - running[name] + min(aside[name], MAX_ASIDE)))
            again = min(idle[name], room)
            fresh = min(wanting, room) - again if wanting > again else 0
            at_once = min(fresh, len(ready) - given)
            needed, given = needed + fresh, given + at_once
            self._cap(name, running[name] + again + at_once)
        self._spares = SPARES if needed else self._spares
        self._keep_spares(needed + self._spares, ready[given:])

    def _ready(self) -> tuple[list[Worker], Counter[str]]:
        """The fresh processes, and how many have begun and wait for another job, by type; what is over is ended."""
        ready, idle = [], Counter[str]()
        for worker in self._processes.workers:
            own = worker.own
            if own is None or not worker.is_idle or own.is_surplus:
                continue
            if not own.type:
                ready.append(worker)
            elif not own.left:
                self._end(worker)
            elif idle.total() == MAX_IDLE:
                self._end_later(worker)
            else:
                idle[own.type] += 1
        return ready, idle

    def _cap(self, name: str, count: int) -> None:
        before, self._caps[name] = self._caps.get(name), count
        if count != before:
            self._store.cap(name, count)
            if self._wanting.get(name) and count > (before or 0):
                self._store.wake()

    def _keep_spares(self, count: int, ready: list[Worker]) -> None:
        """Have that many fresh processes, or start them; and end some of those that are ready, if there are more."""
        more = 0 if self._processes.is_stopping else count - self._processes.fresh
        for _ in range(more):
            self._processes.start_isolated()
        for worker in ready[: max(0, -more)]:
            self._end_later(worker)

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
        idle = [(one, one.own) for one in self._processes.workers if one.own is not None and one.is_idle]
        usable = [(one, own) for one, own in idle if (own.left if own.type == type else not own.type)]
        found = min(usable, key=lambda one: (one[1].is_surplus, not one[1].type), default=None)
        return None if found is None else found[0]

    def _give(self, worker: Worker, job: Claim) -> None:
        own, function = worker.own, self._jobs[job.type].own_process
        assert own is not None and function is not None
        if not own.type:
            own.type, own.left = job.type, function.max_jobs
        own.left -= 1
        own.is_surplus = False
        self._begin(worker, job)
        messages: list[Message] = [Run(job.job_id, job.attempt, job.type, job.parameters, job.traceparent)]
        worker.process.send(messages)

    def _end_later(self, worker: Worker) -> None:
        """End a process, unless a job has been claimed for it before the store knows of this."""
        own = worker.own
        assert own is not None
        own.is_surplus = True

        def end() -> None:
            if own.is_surplus and worker.is_idle:
                self._end(worker)

        def is_known(done: "asyncio.Future[list[bool]]") -> None:
            if done.exception() is None:  # the store is not closed
                asyncio.get_running_loop().call_soon(end)  # what was claimed is told of first

        self._store.admit(()).add_done_callback(is_known)

    def _end(self, worker: Worker) -> None:
        worker.stopping = True
        if self._jobs.worker_lifespan is None:
            worker.process.kill()
        else:
            worker.process.send([Stop()])
            asyncio.get_running_loop().call_later(END_SECONDS, worker.process.kill)
