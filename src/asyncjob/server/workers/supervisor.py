"""The workers of one server, put together: what a worker says, or its death, goes to the part whose job it is.

Everything here runs in the server's event loop, when there is a reason: a commit that claimed jobs, a message from a
worker, a worker's death, a deadline. Nothing polls.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from asyncjob.job import Error
from asyncjob.policies import MAX_LIMIT, Limit
from asyncjob.registry import JobFunction, Jobs
from asyncjob.runner import Succeeded
from asyncjob.server.endings import Tell
from asyncjob.server.logs import log
from asyncjob.server.settings import Settings
from asyncjob.server.workers.channel import Advanced, Ended, FromWorker, Full, Logged, Noticed, Ready, Said, Stop
from asyncjob.server.workers.deadlines import Deadlines
from asyncjob.server.workers.dispatch import Dispatch
from asyncjob.server.workers.job_logs import JobLogs
from asyncjob.server.workers.outcomes import Outcomes
from asyncjob.server.workers.places import Places
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.progress import ProgressSaver
from asyncjob.server.workers.running import RunningAttempt, Worker
from asyncjob.server.workers.standstill import Standstill
from asyncjob.server.workers.suspects import Suspects
from asyncjob.store import Claims, NotSaved, Store

Durations = Callable[[str, float], None]  # is called with a job's type and seconds


class Supervisor:
    """The workers of one server.

    Args:
        jobs: the registry, for timeouts and retries.
        settings: of the server.
        store: where the jobs are; started before this is.
        tell: called with what became of a job, or how far it is, after that was saved.
        succeeded: called in its place with all attempts whose results were saved together.
        waited: called with the seconds from when an attempt was due until a worker had it.
        ran: called with the seconds from then until it ended or was lost.
        logged: called with the ids of jobs whose logs have grown.

    Attributes:
        processes: the worker processes.
        places: of the jobs that run.
        ignored: how many messages came about attempts that had ended, or were not their worker's.
    """

    def __init__(
        self,
        jobs: Jobs,
        settings: Settings,
        store: Store,
        tell: Tell,
        succeeded: Callable[[Sequence[RunningAttempt]], None],
        waited: Durations,
        ran: Durations,
        logged: Callable[[set[str]], None],
    ) -> None:
        self._jobs = jobs
        self._settings = settings
        self._store = store
        self._ran = ran
        self.ignored = 0
        self._logs = JobLogs(store, logged)
        self.processes = Processes(settings, self._receive, self._bury, self._logs.take_printed)
        self.places = Places(store)
        self._suspects = Suspects(store, self.processes)
        self._ends_several = False
        self._outcomes = Outcomes(store, jobs, settings.backoff, tell, succeeded, self._suspects.add, self._explain)
        self._progress = ProgressSaver(store, tell)
        self._deadlines = Deadlines(self.places, self._outcomes, self.processes)
        self._dispatch = Dispatch(
            jobs,
            store,
            self.places,
            self.processes,
            self._suspects,
            self._outcomes,
            self._deadlines,
            waited,
            settings.worker_count,
        )
        self._standstill = Standstill(store, jobs, self.processes)
        self._claims_are_over = False
        self._nothing_runs = asyncio.Event()

    @property
    def ready_workers(self) -> int:
        """How many workers take jobs."""
        return sum(worker.takes_jobs for worker in self.processes.workers)

    @property
    def running(self) -> int:
        """How many attempts the workers have under way."""
        return sum(len(worker.attempts) for worker in self.processes.workers)

    async def start(self) -> None:
        """Take up what an earlier server left running, then start the workers; they become ready by and by."""
        parked = await self._store.take_over([_limited(function) for function in self._jobs])
        self._dispatch.isolated.look()
        for name, count in parked.items():
            log(logging.WARNING, "jobs wait for a function that is not registered", type=name, jobs=count)
        suspects = self._store.suspects(self._jobs.names)
        for lost in self._store.lost():
            self._outcomes.interrupted(lost)
        self._logs.flush()
        share, rest = divmod(self._settings.concurrency, self._settings.worker_count)
        for number in range(self._settings.worker_count):
            self.processes.start(number, share + (number < rest))
        self.processes.open()
        self._suspects.begin(suspects)

    def assign(self, claims: Claims) -> None:
        """Have claimed jobs run."""
        self._dispatch.take(claims)
        for suspect in claims.suspects:
            self._suspects.add(suspect)
        if claims.jobs:
            self._standstill.watch()

    def has(self, job_id: str) -> bool:
        """Whether the function of a job still runs in a worker, even if its attempt has ended."""
        return any(key[0] == job_id for worker in self.processes.workers for key in worker.attempts)

    def cancel(self, job_id: str, attempt: int) -> None:
        """Do not begin this attempt, which was canceled, or have it stopped."""
        key = job_id, attempt
        self._dispatch.remove(key)
        self._suspects.remove(key)
        running = [(worker, worker.attempts[key]) for worker in self.processes.workers if key in worker.attempts]
        for worker, held in running:
            self._deadlines.cancel(worker, held)
        if not running and self._store.lingering:  # it has just ended, or was never begun
            self._store.gone(*key)

    # -- what workers say ----------------------------------------------------------------------------------------

    def _receive(self, worker: Worker, messages: list[FromWorker]) -> None:
        ended: list[tuple[RunningAttempt, Ended]] = []
        now = time.monotonic()
        for message in messages:
            if isinstance(message, (Noticed, Ready, Full, Said)):
                self._hear(worker, message)
            elif (attempt := worker.attempts.get((message.job_id, message.attempt))) is None:
                if isinstance(message, Logged) and not message.job_id:
                    self._logs.take_from_nobody(worker, message.lines)
                else:
                    self.ignored += 1
            elif isinstance(message, Ended):
                self._end(worker, attempt, now)
                ended.append((attempt, message))
            elif isinstance(message, Logged):
                self._logs.take(attempt, message)
            elif isinstance(message, Advanced):
                if not attempt.recorded:
                    self._progress.save(attempt, message)
            elif not self.places.hear(worker, attempt, message):
                self.ignored += 1
        if ended:
            self._take_outcomes(worker, ended)
        if not worker.capacity:
            self._look_at(worker)
        self.processes.kill_if_done(worker)
        self._check_stopped()

    def _look_at(self, worker: Worker) -> None:
        """A process for suspects or isolated jobs has said something."""
        if worker.group is not None:
            self._suspects.look(worker, worker.group)
        self._dispatch.isolated.look()

    def _hear(self, worker: Worker, message: Noticed | Ready | Full | Said) -> None:
        """What a worker says of itself."""
        if isinstance(message, Noticed):
            worker.noticed += 1
        elif isinstance(message, Ready):
            self._welcome(worker)
        elif isinstance(message, Said):
            self._logs.take_said(worker, message)
        elif worker.own is not None:
            worker.own.is_full = True

    def _explain(self, attempt: RunningAttempt, level: int, error: Error, traceback: str) -> None:
        """Keep how an attempt has failed in its job's log, in the commit that saves its outcome."""
        self._logs.explain(attempt, level, error, traceback)
        if not self._ends_several:
            self._logs.flush()

    def _welcome(self, worker: Worker) -> None:
        if worker.ready:
            self.ignored += 1
            return
        self.processes.welcome(worker)
        if worker.group is not None:
            self._suspects.admit(worker, worker.group)
        elif worker.own is None:
            self._dispatch.give_back(worker.capacity)
            self._dispatch.hand_out()

    def _end(self, worker: Worker, attempt: RunningAttempt, now: float) -> None:
        if attempt.wait is not None:
            self.places.end_wait(worker, attempt)
        del worker.attempts[attempt.key]
        if attempt.log is not None:
            self._logs.end(attempt)
        attempt.over = True
        self._ran(attempt.type, now - attempt.started)
        if attempt.deadline is not None:
            attempt.deadline.cancel()

    def _take_outcomes(self, worker: Worker, ended: list[tuple[RunningAttempt, Ended]]) -> None:
        self._standstill.ended(len(ended))
        self._dispatch.ended([attempt.type for attempt, _ in ended])
        if not worker.retired or not worker.capacity:
            self.places.give(len(ended))  # now, so that the commit that saves the outcomes claims the next jobs
        succeeded: list[RunningAttempt] = []
        results: list[bytes] = []
        self._ends_several = True
        for attempt, message in ended:
            if attempt.recorded:
                self._store.gone(*attempt.key)  # nothing to save, but a slot to fill
                continue
            self._progress.save_newest(attempt)
            if isinstance(message.outcome, Succeeded):
                succeeded.append(attempt)
                results.append(message.outcome.results)
            else:
                self._outcomes.raised(attempt, message.outcome)
        self._ends_several = False
        self._logs.flush()
        if succeeded:
            self._outcomes.succeeded(succeeded, results)

    # -- deaths --------------------------------------------------------------------------------------------------

    def _bury(self, worker: Worker, status: int) -> None:
        """A worker is gone, with what it ran."""
        together = len(worker.attempts)
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        attempts = list(worker.attempts.values())
        if worker.capacity and worker.ready and not worker.retired:
            self.places.withdraw(worker)
        self._ends_several = True
        now = time.monotonic()
        for attempt in attempts:
            self._end(worker, attempt, now)
            if attempt.recorded:
                self._store.gone(*attempt.key)
                continue
            if worker.own is None:
                self._outcomes.died(worker, attempt, together, how)
            else:
                self._outcomes.lost(attempt, self._dispatch.isolated.error_of(worker, attempt.type, status, how))
        self._ends_several = False
        self._logs.flush()
        if not worker.capacity:
            self._dispatch.give_back(together)
        if worker.group is not None:
            self._suspects.end(worker, worker.group)
        if not worker.capacity:
            self._dispatch.isolated.look()
        self._check_stopped()

    # -- the end -------------------------------------------------------------------------------------------------

    async def stop(self, hurry: asyncio.Event) -> None:
        """Claim nothing more, let running jobs end, release those that do not, and end the workers.

        Args:
            hurry: set it to cut the grace period short.
        """
        self.processes.stop()
        self.places.stop()
        with suppress(NotSaved):
            await self._store.stop_claiming()
        await asyncio.sleep(0)  # the engine hands claims on in the next turn of the event loop
        self._claims_are_over = True
        self._check_stopped()
        waits = [asyncio.ensure_future(signal.wait()) for signal in (self._nothing_runs, hurry)]
        await asyncio.wait(waits, timeout=self._settings.grace, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        running = [attempt for worker in self.processes.workers for attempt in worker.attempts.values()]
        left = [attempt for attempt in running if not attempt.recorded]
        await self._outcomes.released(left + self._dispatch.unassigned())
        await self.processes.close()
        self._logs.flush()

    def _check_stopped(self) -> None:
        """Once nothing more is claimed, stop the workers that run nothing, and note when all of them have ended."""
        if not self._claims_are_over:
            return
        if self._jobs.worker_lifespan is not None:
            for worker in self.processes.workers:
                if worker.ready and not (worker.attempts or worker.stopping):
                    worker.stopping = True
                    worker.process.send([Stop()])
        if not self.running and not any(worker.stopping for worker in self.processes.workers):
            self._nothing_runs.set()


def _limited(function: JobFunction) -> JobFunction:
    """The function with a limit, if its jobs have processes of their own: they wait there until they have one."""
    if function.own_process is None or function.limits.concurrency is not None:
        return function
    return replace(function, limits=replace(function.limits, concurrency=Limit(MAX_LIMIT)))
