"""Hands claimed jobs to worker processes.

A slot is one job that may run. The slots of every ready worker are offered to the store, a claim takes one, and the end
of the attempt gives it back.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from asyncjob.job import Error, now_ms
from asyncjob.registry import Jobs
from asyncjob.server.endings import Reason
from asyncjob.server.logs import log, writes
from asyncjob.server.workers.channel import AttemptKey, Message, Run
from asyncjob.server.workers.deadlines import Deadlines
from asyncjob.server.workers.isolated import IsolatedJobs
from asyncjob.server.workers.outcomes import Outcomes
from asyncjob.server.workers.pace import Pace
from asyncjob.server.workers.places import Places
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.running import RunningAttempt, Worker
from asyncjob.server.workers.suspects import Suspects
from asyncjob.store import Claim, Claims, Store, Suspect

MAX_SLEEP_SECONDS = 60  # until the store is asked what is due: the clock may be set, and a machine may sleep
NOT_BEGUN = Error("WorkerLost", "the worker died before the job began")


class Dispatch:
    """Gives the claims of one server to its workers.

    Args:
        jobs: the registry, for timeouts.
        store: woken when places are free or a job becomes due.
        places: given back to.
        processes: the workers.
        suspects: says where a suspect runs.
        outcomes: told of suspects whose process has died before they began.
        deadlines: of what begins.
        waited: called with a type and the seconds from when an attempt was due until a worker had it.
        most_isolated: how many isolated jobs of a function run at once, if it does not say so itself.

    Attributes:
        isolated: the jobs that have processes of their own.
    """

    def __init__(
        self,
        jobs: Jobs,
        store: Store,
        places: Places,
        processes: Processes,
        suspects: Suspects,
        outcomes: Outcomes,
        deadlines: Deadlines,
        waited: Callable[[str, float], None],
        most_isolated: int = 1,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._places = places
        self._processes = processes
        self._suspects = suspects
        self._outcomes = outcomes
        self._deadlines = deadlines
        self._waited = waited
        self._unassigned: deque[Claim] = deque()
        self._due_timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._pace = Pace(time.monotonic())
        self.isolated = IsolatedJobs(jobs, store, processes, most_isolated, self._begin)

    def take(self, claims: Claims) -> None:
        """Hand out what was claimed, and wake the store when the next job is due."""
        isolated = self.isolated.types
        self._unassigned.extend([job for job in claims.jobs if job.group_limit is None and job.type not in isolated])
        self.hand_out()
        if suspects := [job for job in claims.jobs if job.group_limit is not None]:
            self._hand_out_suspects(suspects)
        if isolated:
            own = [job for job in claims.jobs if job.group_limit is None and job.type in isolated]
            for job in self.isolated.take(own, claims.wanting):
                self._put_back(job)
        if claims.next_due is not None:
            self._wake_at(claims.next_due)

    def hand_out(self) -> None:
        """Give what waits here to the ready workers that run the least; if there is none, it goes to the first."""
        free = {worker: worker.free for worker in self._processes.workers if worker.takes_jobs}
        batches: dict[Worker, list[Claim]] = {worker: [] for worker in free}
        self._pace.measure(time.monotonic())
        now = now_ms()
        while free and self._unassigned:
            worker = max(free, key=free.__getitem__)
            in_a_row = min(free[worker], self._pace.in_a_row(self._unassigned[0].type, len(free)))
            for job in self._take(max(1, in_a_row)):
                free[worker] -= 1
                self._begin(worker, job, None, now)
                batches[worker].append(job)
        _send(batches)

    def _take(self, most: int) -> Iterator[Claim]:
        """The next jobs, as many as are of one type."""
        name = self._unassigned[0].type
        while most and self._unassigned and self._unassigned[0].type == name:
            most -= 1
            yield self._unassigned.popleft()

    def ended(self, types: Iterable[str]) -> None:
        """Jobs of these types have ended."""
        self._pace.ended(types)

    def _hand_out_suspects(self, jobs: Iterable[Claim]) -> None:
        batches: dict[Worker, list[Claim]] = {}
        for job in jobs:
            taken = self._suspects.take((job.job_id, job.attempt))
            if taken is None:
                self._put_back(job)
            else:
                worker, suspect = taken
                self._begin(worker, job, suspect)
                batches.setdefault(worker, []).append(job)
        _send(batches)

    def _put_back(self, job: Claim) -> None:
        self.give_back(1)
        attempt = RunningAttempt(job.job_id, job.attempt, job.type, job.losses)
        self._outcomes.put_back(attempt, NOT_BEGUN, Reason.WORKER_DIED, job.group_limit)

    def _begin(self, worker: Worker, job: Claim, suspect: Suspect | None = None, now: int | None = None) -> None:
        attempt = RunningAttempt(job.job_id, job.attempt, job.type, job.losses, suspect)
        worker.attempts[attempt.key] = attempt
        if job.due_at:  # a job that was put back has waited for nothing but a server
            self._waited(job.type, ((now or now_ms()) - job.due_at) / 1000)
        timeout = self._jobs[job.type].timeout
        if timeout is not None:
            self._deadlines.begin(worker, attempt, timeout)
        if writes(logging.DEBUG):
            log(logging.DEBUG, "job started", job_id=job.job_id, attempt=job.attempt, worker=worker.process.pid)

    def give_back(self, slots: int) -> None:
        """Let that many more jobs be claimed, now."""
        self._places.give(slots)
        self._store.wake()

    def remove(self, key: AttemptKey) -> None:
        """The job was canceled: do not begin this attempt, if it still waits here."""
        kept = deque(job for job in self._unassigned if (job.job_id, job.attempt) != key)
        if len(kept) < len(self._unassigned):
            self._unassigned = kept
            self.give_back(1)

    def unassigned(self) -> list[RunningAttempt]:
        """The attempts that no worker has been given yet."""
        return [RunningAttempt(job.job_id, job.attempt, job.type, job.losses) for job in self._unassigned]

    def _wake_at(self, due_at: int) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + min(MAX_SLEEP_SECONDS, max(0, due_at - now_ms() + 1) / 1000)
        if self._due_timer is not None:
            if self._wakes_at <= when:
                return
            self._due_timer.cancel()
        self._wakes_at = when  # kept here, since what uvloop returns for a time that has come does not know it
        self._due_timer = loop.call_at(when, self._wake)

    def _wake(self) -> None:
        self._due_timer = None
        self._store.wake()


def _send(batches: dict[Worker, list[Claim]]) -> None:
    for worker, jobs in batches.items():
        if not jobs:
            continue
        messages: list[Message] = [
            Run(job.job_id, job.attempt, job.type, job.parameters, job.traceparent) for job in jobs
        ]
        worker.process.send(messages)
