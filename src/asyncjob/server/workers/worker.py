"""A worker process: takes jobs from the server's socket, runs them, and sends back how they ended.

The main thread reads the socket and runs no job, so a cancel or the server's death is noticed whatever the jobs do.
Sync functions run in threads, made as they are needed and kept; async ones on one event loop in a thread of its own,
started with the first of them. Whichever thread ends a job sends the outcome, with all that gathered meanwhile.

What a function does is its own affair and nobody else's: an outcome that cannot be told ends the process, which the
server notices, and a process that a function forked is never the worker.

    python -m asyncjob.server.workers.worker FD [TARGET]
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import NoReturn

from asyncjob import failure, streams
from asyncjob.context import JobContext
from asyncjob.isolation import Isolation
from asyncjob.job import Error
from asyncjob.loading import load
from asyncjob.loop import EventLoop
from asyncjob.registry import JobFunction, Jobs
from asyncjob.runner import Failed, Outcome, Unfinished, failed, finish, run, run_async
from asyncjob.server import logs
from asyncjob.server.logs import log
from asyncjob.server.settings import LogFormat, LogLevel
from asyncjob.server.tracing import AttemptSpan
from asyncjob.server.workers.channel import Cancel, Ended, Message, Noticed, Ready, Run, Unpacker
from asyncjob.server.workers.leftovers import Leftovers, Processes
from asyncjob.server.workers.outbox import Key, Outbox, ProgressReports
from asyncjob.server.workers.output import Output, write_by_lines
from asyncjob.server.workers.threads import Threads

_READ_BYTES = 1 << 18
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
_STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class RunningJob:
    """One attempt that this worker runs: its context, what it started, and its task once that runs on the loop."""

    def __init__(self, message: Run, reports: ProgressReports) -> None:
        self.message = message
        self.key = (message.job_id, message.attempt)
        self.context = JobContext(*self.key, lambda progress: reports.tell(self.key, progress))
        self.span = AttemptSpan(message)
        self.processes = Processes()
        self.begun = False
        self.task: asyncio.Task[None] | None = None


_running_job: ContextVar[RunningJob] = ContextVar("asyncjob_running_job")


class Worker:
    """Runs what the server sends until the server is gone."""

    def __init__(self, connection: socket.socket, jobs: Jobs, outputs: list[Output]) -> None:
        self._connection = connection
        self._jobs = jobs
        self._outputs = outputs
        self._isolation = Isolation()
        self._outbox = Outbox(connection)
        self._threads = Threads(self._isolation.separate_thread)
        self._loop = EventLoop(self._isolation.separate_thread, _note_process)
        self._reports = ProgressReports(self._outbox)
        self._leftovers = Leftovers()
        self._running: dict[Key, RunningJob] = {}

    def work(self) -> None:
        """Say that this worker is ready, then take messages for as long as there is a server."""
        _let_go_in_children(self._outbox, self._reports)
        self._outbox.send(Ready())
        unpacker = Unpacker()
        while data := self._connection.recv(_READ_BYTES):
            self._take(unpacker.feed(data))

    def _take(self, messages: list[Message]) -> None:
        coroutines = []
        for message in messages:
            if isinstance(message, Run):
                job = RunningJob(message, self._reports)
                self._running[job.key] = job
                self._reports.begin(job.key)
                if message.type not in self._jobs:
                    self._end(job, _unknown(message.type), self._outbox.send)
                elif self._jobs[message.type].is_async:
                    context = self._isolation.context()
                    coroutines.append((self._run_async(self._jobs[message.type], job), context))
                else:
                    self._threads.start(partial(self._run, self._jobs[message.type], job))
        if coroutines:
            self._loop.start(coroutines)
        for message in messages:
            if isinstance(message, Cancel):
                self._cancel(message)

    def _run(self, function: JobFunction, job: RunningJob) -> None:
        try:
            if job.begun:
                return  # an exception was thrown into this thread after that; see Threads
            job.begun = True
            job.processes.begin_thread()
            context = self._isolation.context()
            try:
                outcome = context.run(self._call, function, job)
            except BaseException as error:  # thrown into this thread between the function and its outcome
                outcome = failed(function, error)
            if isinstance(outcome, Unfinished):
                self._leave_thread(job, goes_on=True)
                self._loop.start([(self._finish(function, job, outcome), context)])
            else:
                if job.context.canceled:
                    job.processes.end()
                self._leave_thread(job, goes_on=False)
                self._end(job, outcome, self._outbox.send)
        except BaseException as error:
            _cannot_tell(error)

    def _call(self, function: JobFunction, job: RunningJob) -> Outcome | Unfinished:
        job.span.begin()
        outcome = run(function, job.context, job.message.parameters)
        if not isinstance(outcome, Unfinished):
            job.span.end(outcome)
        return outcome

    async def _run_async(self, function: JobFunction, job: RunningJob) -> None:
        try:
            if job.context.canceled:
                self._end(job, Failed(Error("JobCanceled", "canceled before it began")), self._outbox.send_soon)
                return
            self._begin_task(job)
            job.span.begin()
            self._end_task(job, await run_async(function, job.context, job.message.parameters))
        except BaseException as error:
            _cannot_tell(error)

    async def _finish(self, function: JobFunction, job: RunningJob, unfinished: Unfinished) -> None:
        """Await what a sync function returned."""
        try:
            self._begin_task(job)
            if job.context.canceled and job.task is not None:
                job.task.cancel()
            self._end_task(job, await finish(function, unfinished))
        except BaseException as error:
            _cannot_tell(error)

    def _begin_task(self, job: RunningJob) -> None:
        _running_job.set(job)
        job.task = asyncio.current_task()

    def _end_task(self, job: RunningJob, outcome: Outcome) -> None:
        job.task = None
        job.span.end(outcome)
        self._restore()
        self._end(job, outcome, self._outbox.send_soon)

    def _leave_thread(self, job: RunningJob, goes_on: bool) -> None:
        job.processes.leave_thread(goes_on)
        self._restore()

    def _restore(self) -> None:
        self._isolation.restore()
        for output in self._outputs:
            output.flush_rest()

    def _end(self, job: RunningJob, outcome: Outcome, send: Callable[[Message], None]) -> None:
        job.processes.over = True
        del self._running[job.key]
        self._reports.end(job.key)
        send(Ended(*job.key, outcome))

    def _cancel(self, message: Cancel) -> None:
        self._outbox.send(Noticed())
        job = self._running.get((message.job_id, message.attempt))
        if job is None:
            return  # it has just ended
        job.context.cancel()
        self._leftovers.watch(job.message.job_id, job.processes)
        self._loop.call(lambda: job.task.cancel() if job.task is not None else None)


def _note_process(pid: int) -> None:
    job = _running_job.get(None)
    if job is not None:
        job.processes.note(pid)


def _cannot_tell(error: BaseException) -> NoReturn:
    """End the process, since an outcome cannot be told: the server notices that, and nothing else."""
    try:
        exception = failure.where(error)
        log(logging.ERROR, "worker cannot go on", error=failure.type_name(error), exception=exception)
    finally:
        os._exit(1)


def _unknown(name: str) -> Failed:
    """The user's file has changed since the server read it."""
    return Failed(Error("UnknownType", f"no function {name!r} is registered in this worker: restart the server"))


def _let_go_in_children(outbox: Outbox, reports: ProgressReports) -> None:
    """Have each process that a function forks hold nothing of the worker: not its socket, not its signal handlers.

    The signals are blocked from before the fork until the child has handlers of its own, so that none is lost.
    """
    masks = threading.local()

    def before() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def in_child() -> None:
        outbox.close()
        reports.close()
        for signum in _STOPPING:
            if signal.getsignal(signum) is _ignore:
                signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _ignore(signum: int, frame: object) -> None:
    """Do nothing."""


def _die_with_parent() -> None:
    """Have Linux kill this process with its server: a function that holds the GIL keeps `recv` from noticing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serve one server process, over the socket whose number is the first argument."""
    streams.settle(output_matters=False)
    for signum in _STOPPING:  # Ctrl-C and service managers signal the whole group at once
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(signum, _ignore)  # the server says when to stop; not SIG_IGN, which children inherit
    _die_with_parent()
    logs.configure(
        LogFormat(os.environ.get("ASYNCJOB_LOG_FORMAT", LogFormat.TEXT)),
        LogLevel(os.environ.get("ASYNCJOB_LOG_LEVEL", LogLevel.INFO)),
    )
    process, status = os.getpid(), 1
    try:
        outputs = write_by_lines()
        connection = socket.socket(fileno=int(sys.argv[1]))
        connection.set_inheritable(False)
        jobs = load(sys.argv[2] if len(sys.argv) > 2 else None)
        if os.getpid() == process:  # and not a process that was forked at the import
            Worker(connection, jobs, outputs).work()
        status = 0
    except ConnectionError:
        status = 0
    except BaseException:
        with suppress(Exception):
            traceback.print_exc()
    finally:
        os._exit(status)  # jobs' threads may still run: their outcome has nobody to go to


if __name__ == "__main__":
    main()
