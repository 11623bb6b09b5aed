"""Runs the jobs that the server sends, and sends back how they ended.

The main thread only reads the socket, so it notices a cancel or the server's death whatever the jobs do. Sync functions
run in threads, which are made as needed and kept; async ones run on one event loop in a thread of its own, started with
the first of them. An outcome is sent at once; those of short jobs gather for a millisecond while more of them follow.

Whatever a function does affects its own job alone: if its outcome cannot be sent, the process ends, which the server
notices; and a process that a function forked is never the worker.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import msgspec

from asyncjob import failure
from asyncjob.context import JobContext, running
from asyncjob.isolation import Isolation
from asyncjob.job import Error
from asyncjob.lifespan import Resources
from asyncjob.loading import told
from asyncjob.registry import JobFunction, Jobs
from asyncjob.runner import Failed, Outcome, Unfinished, failed, finish, run
from asyncjob.server.logs import log
from asyncjob.server.tracing import AttemptSpan, attempt_span
from asyncjob.server.workers.channel import (
    OUT_OF_MEMORY,
    AttemptKey,
    Cancel,
    Ended,
    Full,
    Message,
    Noticed,
    Ready,
    Resume,
    Run,
    Stop,
    Unpacker,
)
from asyncjob.server.workers.worker.leftovers import JobProcesses, Leftovers
from asyncjob.server.workers.worker.memory import Memory
from asyncjob.server.workers.worker.outbox import Outbox, ProgressReports
from asyncjob.server.workers.worker.threads import Threads
from asyncjob.server.workers.worker.waits import Waits
from asyncjob.server.workers.worker.written import Written
from asyncjob.signature import RegistrationError

if TYPE_CHECKING:
    import asyncio

    from asyncjob.loop import EventLoop

_READ_BYTES = 1 << 18
GATHER_SECONDS = 0.001  # for which the outcomes of short jobs may wait for each other


class RunningJob(msgspec.Struct, eq=False):
    """One attempt that this worker runs: its context, the processes it started, and its task once it is on the loop.

    Nothing in it refers back to it: thousands of jobs a second must not be left to the garbage collector.
    """

    key: AttemptKey
    parameters: bytes
    context: JobContext
    span: AttemptSpan | None
    processes: JobProcesses
    begun: bool = False
    task: "asyncio.Task[None] | None" = None


class Executor:
    """Runs what the server sends until the server is gone.

    Args:
        connection: the socket to the server.
        outbox: its other direction.
        written: what functions log and print.
        jobs: the registry.
        number: of the worker's place.
    """

    def __init__(self, connection: socket.socket, outbox: Outbox, written: Written, jobs: Jobs, number: int) -> None:
        self._connection = connection
        self._outbox = outbox
        self._written = written
        self._functions = {function.name: function for function in jobs}
        self._lifespan = jobs.worker_lifespan
        self._isolation = Isolation()
        self._threads = Threads(self._isolation.separate_thread, self._send_outcomes)
        self._loop: EventLoop | None = None
        self._making_loop = threading.Lock()
        self._leftovers = Leftovers()
        self._sent = 0.0  # when outcomes of sync jobs were sent last, by the monotonic clock
        self._running: dict[AttemptKey, RunningJob] = {}
        written.running = self._running
        self._reports = ProgressReports(self._outbox, self._running)
        self._waits = Waits(number, self._outbox, self._running)
        self._resources: Resources | None = None
        self._memory = Memory(lambda: self._outbox.send(Full()))

    def start(self) -> None:
        """Make what the jobs need.

        Raises:
            RegistrationError: that failed.
        """
        os.register_at_fork(after_in_child=self._let_go)
        lifespan = self._lifespan
        if lifespan is not None:
            resources = Resources(lifespan, self._waits, self._isolation.context(), self._event_loop)
            try:
                resources.start()
            except BaseException as error:
                raise RegistrationError(f"the lifespan {lifespan.name} failed: {told(error)}") from error
            self._isolation.restore()
            self._resources = resources

    def work(self) -> None:
        """Say that this worker is ready, then take messages until the server stops it or is gone."""
        self._outbox.send(Ready())
        unpacker = Unpacker()
        while data := self._connection.recv(_READ_BYTES):
            if not self._take(unpacker.feed(data)):
                self._stop()
                return

    def _stop(self) -> None:
        """Give back what the jobs needed. The server waits for this for a while."""
        try:
            if self._resources is not None:
                self._resources.end()
        except BaseException as error:
            exception = failure.where(error)
            log(logging.ERROR, "the lifespan failed", error=failure.type_name(error), exception=exception)
        self._isolation.restore()

    def _let_go(self) -> None:
        """Send nothing: a process that a job forked is not the worker."""
        self._reports.close()
        self._waits.close()

    def _take(self, messages: list[Message]) -> bool:
        """Do what the messages say; False if the worker is to stop."""
        self._begin([message for message in messages if type(message) is Run])
        goes_on = True
        for message in messages:
            if type(message) is Run:
                continue
            if isinstance(message, Cancel):
                self._cancel(message)
            elif isinstance(message, Resume):
                self._waits.resume((message.job_id, message.attempt))
            elif isinstance(message, Stop):
                goes_on = False
        return goes_on

    def _begin(self, messages: list[Run]) -> None:
        coroutines = []
        for message in messages:
            key = message.job_id, message.attempt
            context = JobContext(*key, partial(self._reports.tell, key), self._waits, message.traceparent)
            job = RunningJob(key, message.parameters, context, attempt_span(message), JobProcesses())
            self._running[key] = job
            function = self._functions.get(message.type)
            if function is None:
                self._end(job, _unknown(message.type), self._outbox.send)
                continue
            if function.own_process is not None and function.own_process.memory is not None:
                self._memory.set_limit(function.own_process.memory)
            if function.is_async:
                coroutines.append((self._run_async(function, job), self._isolation.context()))
            else:
                self._threads.start(partial(self._run, function, job))
        if coroutines:
            self._event_loop().start(coroutines)

    def _run(self, function: JobFunction, job: RunningJob) -> None:
        try:
            if job.begun:
                return  # an exception was thrown into this thread later; see Threads
            job.begun = True
            job.processes.begin_thread()
            context = self._isolation.context()
            try:
                outcome = context.run(self._call, function, job)
            except BaseException as error:  # thrown into this thread between the function and its outcome
                outcome = failed(function, error)
            if isinstance(outcome, Unfinished):
                self._leave_thread(job, goes_on=True)
                self._event_loop().start([(self._finish(function, job, outcome), context)])
            else:
                if job.context.canceled:
                    job.processes.end()
                self._leave_thread(job, goes_on=False)
                self._end(job, outcome, self._outbox.put)  # Threads calls _send_outcomes next
        except BaseException as error:
            _cannot_tell(error)

    def _send_outcomes(self, more_follow: bool) -> None:
        """Send the outcomes of sync jobs, unless further ones will be there in a moment."""
        now = time.monotonic()
        if not more_follow or now - self._sent > GATHER_SECONDS:
            self._sent = now
            self._outbox.send_waiting()

    def _call(self, function: JobFunction, job: RunningJob) -> Outcome | Unfinished:
        if job.context.canceled:
            return Failed(Error("JobCanceled", "canceled before it began"))
        if job.span is not None:
            job.span.begin()
        outcome = run(function, job.context, job.parameters)
        if not isinstance(outcome, Unfinished):
            _end_span(job, outcome)
        return outcome

    async def _run_async(self, function: JobFunction, job: RunningJob) -> None:
        try:
            self._begin_task(job)
            outcome = self._call(function, job)
            if isinstance(outcome, Unfinished):
                outcome = await finish(function, outcome)
                _end_span(job, outcome)
            self._end_task(job, outcome)
        except BaseException as error:
            _cannot_tell(error)

    async def _finish(self, function: JobFunction, job: RunningJob, unfinished: Unfinished) -> None:
        """Await the awaitable that a sync function returned."""
        try:
            self._begin_task(job)
            if job.context.canceled and job.task is not None:
                job.task.cancel()
            outcome = await finish(function, unfinished)
            _end_span(job, outcome)
            self._end_task(job, outcome)
        except BaseException as error:
            _cannot_tell(error)

    def _event_loop(self) -> "EventLoop":
        """The one for async jobs, made with the first of them: asyncio is a quarter of an idle worker's memory."""
        with self._making_loop:
            if self._loop is None:
                from asyncjob.loop import EventLoop

                self._loop = EventLoop(self._isolation.separate_thread, self._note_process)
            return self._loop

    def _begin_task(self, job: RunningJob) -> None:
        assert self._loop is not None
        job.task = self._loop.current_task()

    def _end_task(self, job: RunningJob, outcome: Outcome) -> None:
        job.task = None
        self._isolation.restore()
        self._end(job, outcome, self._outbox.send_soon)

    def _leave_thread(self, job: RunningJob, goes_on: bool) -> None:
        job.processes.leave_thread(goes_on)
        self._isolation.restore()

    def _end(self, job: RunningJob, outcome: Outcome, send: Callable[[Message], None]) -> None:
        job.processes.over = True
        self._reports.end(job.key)
        self._written.end(job.key)
        if not self._running:
            self._isolation.restore_streams()
        self._waits.end(job.key)
        send(Ended(*job.key, outcome))

    def _cancel(self, message: Cancel) -> None:
        self._outbox.send(Noticed())
        job = self._running.get((message.job_id, message.attempt))
        if job is None:
            return  # it has just ended
        job.context.cancel()
        self._leftovers.watch(message.job_id, job.processes)
        if self._loop is not None:
            self._loop.call(lambda: job.task.cancel() if job.task is not None else None)

    def _note_process(self, pid: int) -> None:
        context = running.get()
        if context is None:
            return
        job = self._running.get((context.job_id, context.attempt))
        if job is not None:
            job.processes.note(pid)
        elif context.canceled:  # one that a task of an attempt has started after its end
            processes = JobProcesses(over=True)
            processes.note(pid)
            self._leftovers.watch(context.job_id, processes)


def _end_span(job: RunningJob, outcome: Outcome) -> None:
    if job.span is not None:
        job.span.end(outcome)


def _cannot_tell(error: BaseException) -> NoReturn:
    """End the process, since an outcome cannot be sent: the server would notice nothing else."""
    try:
        exception = failure.where(error)
        log(logging.ERROR, "worker cannot go on", error=failure.type_name(error), exception=exception)
    finally:
        os._exit(OUT_OF_MEMORY if issubclass(type(error), MemoryError) else 1)


def _unknown(name: str) -> Failed:
    """The user's file has changed since the server imported it."""
    return Failed(Error("UnknownType", f"no function {name!r} is registered in this worker: restart the server"))
