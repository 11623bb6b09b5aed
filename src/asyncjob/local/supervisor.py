"""Hands claimed jobs to worker processes and records how they end.

Everything here happens in the server's event loop, on events: a commit that claimed jobs, a message from a worker, a
worker's death, a deadline. Nothing polls. A slot is one job that may run; the slots of every ready worker are offered
to the store, a claim takes one, the end of the attempt gives it back.
"""

import asyncio
import logging
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from asyncjob.job import Error, Status, now_ms
from asyncjob.local.channel import Advanced, Cancel, Ended, Message, Noticed, Ready, Run
from asyncjob.local.events import JobEvent
from asyncjob.local.logs import event, events
from asyncjob.local.metrics import Metrics
from asyncjob.local.process import WorkerProcess
from asyncjob.local.running import Attempt, Worker
from asyncjob.local.settings import Settings
from asyncjob.local.store import Lost, Store, Success
from asyncjob.local.transaction import Claim, Claims
from asyncjob.registry import DEFAULT_RETRIES, Jobs
from asyncjob.runner import Failed, Succeeded

MAX_BACKOFF_SECONDS = 300.0
STOP_SECONDS = 1.0  # what a function gets, after its deadline, to notice the cancel before its process is retired
STUCK_SECONDS = 10.0  # without an answer to that cancel, nothing moves in the process any more
RESTART_SECONDS = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)  # before a worker is started again that died before it was ready
SAVE_AGAIN_SECONDS = 0.5  # between tries to record an outcome while the disk is full

Write = Callable[[], "asyncio.Future[bool]"]


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
        self._workers: list[Worker] = []
        self._unassigned: deque[Claim] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._due_timer: asyncio.TimerHandle | None = None
        self._failed_starts = 0
        self._stopping = False
        self._nothing_runs = asyncio.Event()

    @property
    def ready_workers(self) -> int:
        """How many workers take jobs."""
        return sum(worker.ready and not worker.gone for worker in self._workers)

    @property
    def running(self) -> int:
        """How many attempts the workers have under way."""
        return sum(len(worker.attempts) for worker in self._workers)

    async def start(self, store: Store) -> None:
        """Record what an earlier server left running as lost, then start the workers; they become ready by and by."""
        self._store = store
        for lost in store.running():
            self._lose(_attempt(lost), Error("WorkerLost", "the server ended while the job ran"))
        parked = await store.park(self._jobs.names, now_ms() + round(MAX_BACKOFF_SECONDS * 1000))
        for name, count in parked.items():
            event(logging.WARNING, "jobs wait for a function that is not registered", type=name, jobs=count)
        share, rest = divmod(self._settings.concurrency, self._settings.worker_count)
        for number in range(self._settings.worker_count):
            self._spawn(self._start_worker(share + (number < rest)))

    # -- jobs out ------------------------------------------------------------------------------------------------

    def assign(self, claims: Claims) -> None:
        """Give claimed jobs to the ready workers that run the least; without one they wait here for the first."""
        self._unassigned.extend(claims.jobs)
        if claims.next_due is not None:
            self._wake_at(claims.next_due)
        workers = [worker for worker in self._workers if worker.ready and not worker.retired and not worker.gone]
        batches: dict[int, list[Message]] = {}
        while workers and self._unassigned:
            index = max(range(len(workers)), key=lambda number: workers[number].free)
            job = self._unassigned.popleft()
            self._track(workers[index], job)
            run = Run(job.job_id, job.attempt, job.type, job.parameters.encode(), job.traceparent)
            batches.setdefault(index, []).append(run)
        for index, messages in batches.items():
            workers[index].process.send(messages)

    def _track(self, worker: Worker, job: Claim) -> None:
        attempt = worker.attempts[job.job_id, job.attempt] = _attempt(job)
        if job.due_at:  # a released job waits for nothing but a server
            self._metrics.waiting.observe(job.type, (now_ms() - job.due_at) / 1000)
        timeout = self._jobs[job.type].timeout
        if timeout is not None:
            later = asyncio.get_running_loop().call_later
            attempt.deadline = later(timeout, self._time_out, worker, attempt, timeout)
        event(logging.DEBUG, "job started", job_id=job.job_id, attempt=job.attempt, worker=worker.process.pid)

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

    def cancel(self, job_id: str, attempt: int) -> None:
        """Tell the worker that this attempt was canceled; its slot is free when the function has ended."""
        kept = deque(job for job in self._unassigned if (job.job_id, job.attempt) != (job_id, attempt))
        if len(kept) < len(self._unassigned):
            self._unassigned = kept
            self._store.offer(1)
            self._store.wake()
        for worker in self._workers:
            running = worker.attempts.get((job_id, attempt))
            if running is not None:
                running.recorded = True
                worker.process.send([Cancel(job_id, attempt)])
                if worker.retired:
                    self._kill_if_done(worker)

    # -- outcomes in ---------------------------------------------------------------------------------------------

    def _receive(self, worker: Worker, messages: list[Message]) -> None:
        successes: dict[Success, Attempt] = {}
        if not worker.retired:  # before the outcomes are saved, so that the same commit claims the next jobs
            self._store.offer(sum(isinstance(message, Ended) for message in messages))
        for message in messages:
            if isinstance(message, Ended):
                attempt = self._end(worker, message)
                if attempt.recorded:
                    self._store.wake()  # nothing to save, but a slot to fill
                elif isinstance(message.outcome, Succeeded):
                    successes[Success(message.job_id, message.attempt, message.outcome.results)] = attempt
                else:
                    self._record_failure(attempt, message.outcome)
            elif isinstance(message, Advanced):
                self._advance(worker, message)
            elif isinstance(message, Noticed):
                worker.noticed += 1
            elif isinstance(message, Ready):
                self._welcome(worker)
        if successes:
            self._save_successes(successes)
        if worker.retired:
            self._kill_if_done(worker)
        self._check_stopped()

    def _welcome(self, worker: Worker) -> None:
        worker.ready = True
        self._failed_starts = 0
        event(logging.INFO, "worker ready", worker=worker.process.pid)
        self._store.offer(worker.capacity)
        self._store.wake()
        self.assign(Claims([], None))

    def _advance(self, worker: Worker, message: Advanced) -> None:
        running = worker.attempts[message.job_id, message.attempt]
        change = JobEvent(message.job_id, running.type, Status.RUNNING, message.attempt, message.progress)
        saved = self._store.progress(message.job_id, message.attempt, message.progress)

        def tell(saved: "asyncio.Future[bool]") -> None:
            if saved.exception() is None and saved.result():  # one that was not saved is followed by another
                self._changed(change)

        saved.add_done_callback(tell)

    def _end(self, worker: Worker, message: Ended) -> Attempt:
        attempt = worker.attempts.pop((message.job_id, message.attempt))
        self._metrics.running.observe(attempt.type, time.monotonic() - attempt.started)
        if attempt.deadline is not None:
            attempt.deadline.cancel()
        return attempt

    def _save_successes(self, successes: dict[Success, Attempt]) -> None:
        for attempt in successes.values():
            attempt.recorded = True
        self._store.succeed(list(successes)).add_done_callback(partial(self._saved_successes, successes))

    def _saved_successes(self, successes: dict[Success, Attempt], saved: "asyncio.Future[list[bool]]") -> None:
        error = saved.exception()
        if error is not None:
            event(logging.ERROR, "outcomes not saved, trying again", jobs=len(successes), error=str(error))
            asyncio.get_running_loop().call_later(SAVE_AGAIN_SECONDS, self._save_successes, successes)
            return
        done, types = [], []
        for attempt, written in zip(successes.values(), saved.result(), strict=True):
            if written:
                done.append(attempt.fields | {"outcome": "Success"})
                types.append(attempt.type)
                self._changed(attempt.becomes(Status.SUCCESS))
            else:
                event(logging.INFO, "late outcome refused", **attempt.fields)
        self._metrics.succeeded(types)
        events(logging.INFO, "job ended", done)

    def _record_failure(self, attempt: Attempt, outcome: Failed) -> None:
        if outcome.retryable:
            self._lose(attempt, outcome.error, outcome.traceback)
        else:
            self._fail(attempt, outcome.error, outcome.traceback)

    def _lose(self, attempt: Attempt, error: Error, traceback: str = "") -> None:
        """Record an attempt that is to be followed by another: again while retries are left, else Failure."""
        self._metrics.lost(attempt.type, error.type)
        known = attempt.type in self._jobs
        retries = self._jobs[attempt.type].retries if known else DEFAULT_RETRIES
        if attempt.losses >= retries:
            self._fail(attempt, error, traceback)
            return
        pause = self._backoff(attempt.losses)
        due_at = now_ms() + pause if known else None
        happened = {"error": error.type, "again_in": f"{pause / 1000:g}s", "exception": traceback}
        write = partial(self._store.repeat, attempt.job_id, attempt.attempt, due_at, error)
        self._save(attempt, Status.PENDING, "job repeated", happened, write)

    def _fail(self, attempt: Attempt, error: Error, traceback: str = "") -> None:
        happened = {"outcome": "Failure", "error": error.type, "exception": traceback}
        write = partial(self._store.fail, attempt.job_id, attempt.attempt, error)
        self._save(attempt, Status.FAILURE, "job ended", happened, write)

    def _backoff(self, losses: int) -> int:
        """Milliseconds: full jitter over a range that doubles with each loss."""
        longest = min(MAX_BACKOFF_SECONDS, self._settings.backoff * 2**losses)
        return round(random.uniform(0, longest) * 1000)

    def _save(self, attempt: Attempt, status: Status, message: str, happened: dict[str, str], write: Write) -> None:
        """Write what became of an attempt, again and again until it is saved, and log it then."""
        attempt.recorded = True

        def saved(written: "asyncio.Future[bool]") -> None:
            error = written.exception()
            if error is not None:  # the disk is full: the outcome is kept here until there is room
                event(logging.ERROR, "outcome not saved, trying again", **attempt.fields, error=str(error))
                asyncio.get_running_loop().call_later(SAVE_AGAIN_SECONDS, lambda: write().add_done_callback(saved))
            elif written.result():
                event(logging.WARNING, message, **attempt.fields, **happened)
                if "outcome" in happened:
                    self._metrics.failed(attempt.type, happened["error"])
                self._changed(attempt.becomes(status))
            else:
                event(logging.INFO, "late outcome refused", **attempt.fields)

        write().add_done_callback(saved)

    # -- deadlines and deaths ------------------------------------------------------------------------------------

    def _time_out(self, worker: Worker, attempt: Attempt, timeout: float) -> None:
        if not attempt.recorded:
            self._lose(attempt, Error("Timeout", f"it ran longer than its timeout of {timeout:g} seconds"))
        worker.process.send([Cancel(attempt.job_id, attempt.attempt)])
        loop = asyncio.get_running_loop()
        loop.call_later(STOP_SECONDS, self._retire_if_running, worker, attempt)
        loop.call_later(STUCK_SECONDS, self._kill_if_stuck, worker, worker.noticed)

    def _kill_if_stuck(self, worker: Worker, noticed: int) -> None:
        """Code that keeps the interpreter's lock stops its whole process: the jobs beside it can only run again."""
        if worker.noticed == noticed and worker in self._workers:
            event(logging.ERROR, "worker stuck", worker=worker.process.pid)
            worker.process.kill()

    def _retire_if_running(self, worker: Worker, attempt: Attempt) -> None:
        """A thread cannot be killed, so a function that goes on beyond its deadline costs its process."""
        if (attempt.job_id, attempt.attempt) not in worker.attempts or worker not in self._workers:
            return
        if not worker.retired:
            event(logging.WARNING, "worker retired", worker=worker.process.pid, job_id=attempt.job_id)
            worker.retired = True
            self._store.offer(-worker.free)
            self._spawn(self._start_worker(worker.capacity))
        self._kill_if_done(worker)

    def _kill_if_done(self, worker: Worker) -> None:
        if all(attempt.recorded for attempt in worker.attempts.values()):
            worker.process.kill()

    async def _start_worker(self, capacity: int) -> None:
        delay = RESTART_SECONDS[min(self._failed_starts, len(RESTART_SECONDS) - 1)]
        await asyncio.sleep(delay)
        if self._stopping:
            return
        process = WorkerProcess(lambda messages: self._receive(worker, messages), lambda: self._lose_contact(worker))
        worker = Worker(process, capacity)
        try:
            await process.start(self._settings.target)
        except OSError as error:
            event(logging.ERROR, "worker not started, trying again", error=str(error))
            self._failed_starts += 1
            self._spawn(self._start_worker(capacity))
        else:
            self._workers.append(worker)

    def _lose_contact(self, worker: Worker) -> None:
        worker.gone = True
        self._spawn(self._bury(worker))

    async def _bury(self, worker: Worker) -> None:
        """A worker is gone: what it ran is lost, and another takes its place."""
        worker.process.kill()  # it may have closed its socket and live on
        status = await worker.process.wait()
        self._workers.remove(worker)
        if not worker.retired and worker.ready:
            self._store.offer(-worker.free)
        if not worker.ready:
            self._failed_starts += 1
        for attempt in worker.attempts.values():
            self._metrics.running.observe(attempt.type, time.monotonic() - attempt.started)
            if attempt.deadline is not None:
                attempt.deadline.cancel()
            if not attempt.recorded:
                self._lose(attempt, Error("WorkerLost", f"the worker ended ({_describe(status)}) while the job ran"))
        if not self._stopping:
            level = logging.INFO if worker.retired else logging.ERROR
            self._metrics.worker_ended("retired" if worker.retired else "died")
            event(level, "worker ended", worker=worker.process.pid, status=status)
            if not worker.retired:
                self._spawn(self._start_worker(worker.capacity))
        self._check_stopped()

    def _spawn(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the end -------------------------------------------------------------------------------------------------

    async def stop(self, hurry: asyncio.Event) -> None:
        """Claim no more, let running jobs end, release those that do not, and end the workers.

        Args:
            hurry: set it to cut the grace period short.
        """
        self._stopping = True
        with suppress(sqlite3.Error):
            await self._store.stop_claiming()
        self._check_stopped()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._nothing_runs, hurry)]
        await asyncio.wait(waits, timeout=self._settings.grace, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await self._release()
        for worker in list(self._workers):
            worker.process.kill()
            await worker.process.wait()

    def _check_stopped(self) -> None:
        if self._stopping and not self.running:
            self._nothing_runs.set()

    async def _release(self) -> None:
        running = [attempt for worker in self._workers for attempt in worker.attempts.values() if not attempt.recorded]
        running += [_attempt(job) for job in self._unassigned]
        for attempt in running:
            attempt.recorded = True
            event(logging.WARNING, "job released", job_id=attempt.job_id, attempt=attempt.attempt)
        releases = [self._store.release(attempt.job_id, attempt.attempt) for attempt in running]
        for attempt, written in zip(running, await asyncio.gather(*releases, return_exceptions=True), strict=True):
            if isinstance(written, BaseException):  # still Running in the file: the next server finds it lost
                event(logging.ERROR, "job not released", error=str(written))
            elif written:
                self._changed(attempt.becomes(Status.PENDING))


def _attempt(job: Claim | Lost) -> Attempt:
    return Attempt(job.job_id, job.attempt, job.type, job.losses)


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
