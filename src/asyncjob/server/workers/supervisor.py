"""Hands claimed jobs to worker processes, and takes in what they say.

Everything here happens in the server's event loop, on events: a commit that claimed jobs, a message from a worker, a
worker's death, a deadline. Nothing polls. A slot is one job that may run; the slots of every ready worker are offered
to the store, a claim takes one, the end of the attempt gives it back. Suspects run in processes that offer no slots of
their own: they take the slots of the others.

    supervisor.py   jobs out, messages in, deaths
    processes.py    the processes                       quarantine.py   who runs apart from whom
    outcomes.py     what became of attempts is saved    deadlines.py    what is over time, or canceled
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from asyncjob.job import Error, now_ms
from asyncjob.registry import Jobs
from asyncjob.runner import Outcome, Succeeded
from asyncjob.server.events import JobEvent
from asyncjob.server.logs import log
from asyncjob.server.metrics import Metrics
from asyncjob.server.settings import Settings
from asyncjob.server.workers.channel import Ended, FromWorker, Message, Noticed, Ready, Run
from asyncjob.server.workers.deadlines import Deadlines, Standstill
from asyncjob.server.workers.outcomes import MAX_BACKOFF_SECONDS, Outcomes
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.quarantine import SOLO_SECONDS, Group, Quarantine, half
from asyncjob.server.workers.running import Attempt, Worker
from asyncjob.store import Claim, Claims, NotSaved, Store, Suspect

NOT_BEGUN = Error("WorkerLost", "the worker died before the job began")


class Supervisor:
    """The workers of one server.

    Args:
        jobs: the registry, for timeouts and retries.
        settings: of the server.
        changed: called with what became of a job, or how far it is, after that was saved.
        metrics: told how attempts go.
    """

    def __init__(self, jobs: Jobs, settings: Settings, changed: Callable[[JobEvent], None], metrics: Metrics) -> None:
        self._jobs = jobs
        self._settings = settings
        self._changed = changed
        self._metrics = metrics
        self._processes = Processes(settings, self._receive, self._bury, metrics)
        self._unassigned: deque[Claim] = deque()
        self._quarantine = Quarantine()
        self._due_timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._nothing_runs = asyncio.Event()

    @property
    def ready_workers(self) -> int:
        """How many workers take jobs."""
        return sum(worker.takes_jobs for worker in self._processes.workers)

    @property
    def running(self) -> int:
        """How many attempts the workers have under way."""
        return sum(len(worker.attempts) for worker in self._processes.workers)

    async def start(self, store: Store) -> None:
        """Take up what an earlier server left running, then start the workers; they become ready by and by."""
        self._store = store
        self._outcomes = Outcomes(
            store, self._jobs, self._settings.backoff, self._changed, self._suspect, self._metrics
        )
        self._deadlines = Deadlines(store, self._outcomes, self._processes)
        self._standstill = Standstill(store, lambda: self.running)
        parked = await store.park(self._jobs.names, now_ms() + round(MAX_BACKOFF_SECONDS * 1000))
        for name, count in parked.items():
            log(logging.WARNING, "jobs wait for a function that is not registered", type=name, jobs=count)
        for suspect in store.suspects(self._jobs.names):
            self._quarantine.add(suspect)
        for lost in store.lost():
            self._outcomes.interrupted(lost)
        share, rest = divmod(self._settings.concurrency, self._settings.worker_count)
        for number in range(self._settings.worker_count):
            self._processes.start(share + (number < rest))
        self._processes.open()
        self._start_groups()

    # -- jobs out ------------------------------------------------------------------------------------------------

    def assign(self, claims: Claims) -> None:
        """Give claimed jobs to the ready workers that run the least; without one they wait here for the first."""
        if claims.next_due is not None:
            self._wake_at(claims.next_due)
        self._unassigned.extend(job for job in claims.jobs if job.group_limit is None)
        workers = [worker for worker in self._processes.workers if worker.takes_jobs]
        batches: dict[int, list[Claim]] = {}
        while workers and self._unassigned:
            index = max(range(len(workers)), key=lambda number: workers[number].free)
            job = self._unassigned.popleft()
            self._track(workers[index], job)
            batches.setdefault(index, []).append(job)
        for index, jobs in batches.items():
            _send(workers[index], jobs)
        if jobs := [job for job in claims.jobs if job.group_limit is not None]:
            self._assign_suspects(jobs)
        if claims.jobs:
            self._standstill.watch()

    def _track(self, worker: Worker, job: Claim, suspect: Suspect | None = None) -> None:
        key = job.job_id, job.attempt
        attempt = worker.attempts[key] = Attempt(*key, job.type, job.losses, suspect)
        if job.due_at:  # a released job waits for nothing but a server
            self._metrics.waiting.observe(job.type, (now_ms() - job.due_at) / 1000)
        timeout = self._jobs[job.type].timeout
        if timeout is not None:
            self._deadlines.begin(worker, attempt, timeout)
        log(logging.DEBUG, "job started", job_id=job.job_id, attempt=job.attempt, worker=worker.process.pid)

    def _wake_at(self, due_at: int) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + max(0, due_at - now_ms() + 1) / 1000
        if self._due_timer is not None:
            if self._due_timer.when() <= when:
                return
            self._due_timer.cancel()
        self._due_timer = loop.call_at(when, self._wake_for_due)

    def _wake_for_due(self) -> None:
        self._due_timer = None
        self._store.wake()

    def _give_back(self, slots: int) -> None:
        self._store.offer(slots)
        self._store.wake()

    def cancel(self, job_id: str, attempt: int) -> None:
        """Do not begin this attempt, which was canceled, or have its worker told."""
        key = job_id, attempt
        kept = deque(job for job in self._unassigned if (job.job_id, job.attempt) != key)
        if len(kept) < len(self._unassigned):
            self._unassigned = kept
            self._give_back(1)
        group = self._quarantine.remove(key)
        for worker in self._processes.workers:
            if (running := worker.attempts.get(key)) is not None:
                self._deadlines.canceled(worker, running)
            elif group is not None and worker.group is group:
                self._processes.kill_if_done(worker)

    # -- suspects ------------------------------------------------------------------------------------------------

    def _suspect(self, suspect: Suspect, pause: float) -> None:
        self._quarantine.add(suspect)
        asyncio.get_running_loop().call_later(pause, self._start_groups)

    def _start_groups(self) -> None:
        while not self._stopping and (group := self._quarantine.take_group()) is not None:
            self._processes.start(0, group)

    def _admit(self, worker: Worker, group: Group) -> None:
        """The process of suspects is ready: have them claimed."""
        suspects = list(group.members.values())

        def admitted(written: "asyncio.Future[list[bool]]") -> None:
            if written.exception() is not None:  # the store is closed
                return
            for suspect, waits in zip(suspects, written.result(), strict=True):
                if not waits:  # it was canceled
                    group.members.pop((suspect.job_id, suspect.attempt), None)
            self._processes.kill_if_done(worker)

        self._store.admit(suspects).add_done_callback(admitted)

    def _assign_suspects(self, jobs: list[Claim]) -> None:
        batches: dict[Worker, list[Claim]] = {}
        for job in jobs:
            key = job.job_id, job.attempt
            group = self._quarantine.find(key)
            worker = next((one for one in self._processes.workers if one.group is group and not one.gone), None)
            if group is None or worker is None:  # the process has died meanwhile
                self._give_back(1)
                attempt = Attempt(*key, job.type, job.losses)
                self._outcomes.put_back(attempt, NOT_BEGUN, "worker_died", job.group_limit)
            else:
                self._track(worker, job, group.members.pop(key))
                if group.is_solo:
                    asyncio.get_running_loop().call_later(SOLO_SECONDS, self._end_solo, group)
                batches.setdefault(worker, []).append(job)
        for worker, claimed in batches.items():
            _send(worker, claimed)

    def _end_solo(self, group: Group) -> None:
        group.is_solo = False
        self._start_groups()

    # -- what workers say ----------------------------------------------------------------------------------------

    def _receive(self, worker: Worker, messages: list[FromWorker]) -> None:
        ended: list[tuple[Attempt, Outcome]] = []
        for message in messages:
            if isinstance(message, Noticed):
                worker.noticed += 1
            elif isinstance(message, Ready):
                self._welcome(worker)
            elif (attempt := worker.attempts.get((message.job_id, message.attempt))) is None:
                self._metrics.ignored()  # it has ended, or never was this worker's
            elif isinstance(message, Ended):
                ended.append((self._end(worker, attempt), message.outcome))
            elif not attempt.recorded:
                self._outcomes.advanced(attempt, message)
        if ended:
            self._take_outcomes(worker, ended)
        self._processes.kill_if_done(worker)
        self._check_stopped()

    def _welcome(self, worker: Worker) -> None:
        if worker.ready:
            self._metrics.ignored()
            return
        self._processes.welcome(worker)
        if worker.group is not None:
            self._admit(worker, worker.group)
        else:
            self._give_back(worker.capacity)
            self.assign(Claims([], None))

    def _end(self, worker: Worker, attempt: Attempt) -> Attempt:
        del worker.attempts[attempt.job_id, attempt.attempt]
        self._metrics.running.observe(attempt.type, time.monotonic() - attempt.started)
        if attempt.deadline is not None:
            attempt.deadline.cancel()
        return attempt

    def _take_outcomes(self, worker: Worker, ended: list[tuple[Attempt, Outcome]]) -> None:
        self._standstill.ended(len(ended))
        if not worker.retired or worker.group is not None:
            self._store.offer(len(ended))  # now, so that the commit that saves the outcomes claims the next jobs
        successes: list[tuple[Attempt, bytes]] = []
        for attempt, outcome in ended:
            if attempt.recorded:
                self._store.wake()  # nothing to save, but a slot to fill
                continue
            self._outcomes.save_newest(attempt)
            if isinstance(outcome, Succeeded):
                successes.append((attempt, outcome.results))
            else:
                self._outcomes.raised(attempt, outcome)
        if successes:
            self._outcomes.succeeded(successes)

    # -- deaths --------------------------------------------------------------------------------------------------

    def _bury(self, worker: Worker, status: int) -> None:
        """A worker is gone, with what it ran."""
        together = len(worker.attempts)
        if worker.group is not None:
            self._quarantine.end_group(worker.group, was_ready=worker.ready)
            self._give_back(together)
        elif worker.ready and not worker.retired:
            self._store.offer(-worker.free)
        for attempt in list(worker.attempts.values()):
            if not self._end(worker, attempt).recorded:
                self._lose(worker, attempt, together, _describe(status))
        self._start_groups()
        self._check_stopped()

    def _lose(self, worker: Worker, attempt: Attempt, together: int, how: str) -> None:
        """Charge the attempt if it is known to have ended its process."""
        if worker.stuck:
            error = Error("WorkerLost", "the worker was ended: another job, beyond its timeout, kept it from answering")
            self._outcomes.put_back(attempt, error, "worker_stuck")
        elif together == 1:
            error = Error("WorkerLost", f"the worker died ({how}); this job ran alone in it")
            self._outcomes.lost(attempt, error, group_limit=1)
        else:
            error = Error(
                "WorkerLost", f"the worker died ({how}) with {together:,} jobs in it; which ended it is not known"
            )
            self._outcomes.put_back(attempt, error, "worker_died", half(together))

    # -- the end -------------------------------------------------------------------------------------------------

    async def stop(self, hurry: asyncio.Event) -> None:
        """Claim no more, let running jobs end, release those that do not, and end the workers.

        Args:
            hurry: set it to cut the grace period short.
        """
        self._stopping = True
        self._processes.stop()
        with suppress(NotSaved):
            await self._store.stop_claiming()
        self._check_stopped()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._nothing_runs, hurry)]
        await asyncio.wait(waits, timeout=self._settings.grace, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        running = [attempt for worker in self._processes.workers for attempt in worker.attempts.values()]
        unassigned = [Attempt(job.job_id, job.attempt, job.type, job.losses) for job in self._unassigned]
        await self._outcomes.released([attempt for attempt in running if not attempt.recorded] + unassigned)
        await self._processes.close()

    def _check_stopped(self) -> None:
        if self._stopping and not self.running:
            self._nothing_runs.set()


def _send(worker: Worker, jobs: list[Claim]) -> None:
    messages: list[Message] = [Run(job.job_id, job.attempt, job.type, job.parameters, job.traceparent) for job in jobs]
    worker.process.send(messages)


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
