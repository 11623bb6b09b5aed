"""A worker process: takes jobs from the server's socket, runs them, and sends back how they ended.

The main thread reads the socket and runs no job, so a cancel or the server's death is noticed whatever the jobs do.
Sync functions run in threads, made as they are needed and kept; async ones on one event loop in a thread of its own,
started with the first of them. Whichever thread ends a job sends the outcome, with all that gathered meanwhile.

    python -m asyncjob.local.worker FD [TARGET]
"""

import asyncio
import ctypes
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from asyncjob import streams
from asyncjob.context import JobContext
from asyncjob.job import Error, Progress
from asyncjob.loading import load
from asyncjob.local import tracing
from asyncjob.local.channel import Advanced, Cancel, Ended, Message, Noticed, Ready, Run, Unpacker, pack
from asyncjob.loop import EventLoop
from asyncjob.registry import JobFunction, Jobs
from asyncjob.runner import Failed, Outcome, run, run_async

PROGRESS_INTERVAL_SECONDS = 0.1

Key = tuple[str, int]
_READ_BYTES = 1 << 18
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


class Outbox:
    """Sends messages from any thread, several in a frame when several are waiting."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting: deque[Message] = deque()
        self._sending = threading.Lock()
        self._sends_soon = False

    def send(self, message: Message) -> None:
        """Send the message, or leave it to the thread that is sending now."""
        self._waiting.append(message)
        self._flush()

    def send_soon(self, message: Message) -> None:
        """From the event loop: send the message with those of all jobs that end in this iteration, as one frame."""
        self._waiting.append(message)
        if not self._sends_soon:
            self._sends_soon = True
            asyncio.get_running_loop().call_soon(self._send_gathered)

    def _send_gathered(self) -> None:
        self._sends_soon = False
        self._flush()

    def _flush(self) -> None:
        # Looked at again after each release: a message that came between the last look and the release has no other
        # thread to send it.
        while self._waiting and self._sending.acquire(blocking=False):
            try:
                batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
                if batch:
                    self._connection.sendall(pack(batch))
            except (OSError, MemoryError):
                os._exit(1)  # the server is gone, or the batch is: a dead worker is noticed, a lost outcome is not
            finally:
                self._sending.release()


class Threads:
    """Runs sync jobs, each in a thread: a new one when none is idle, since all that were sent are to run at once."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._spare = 0  # threads less the calls that they run or that wait for them
        self._lock = threading.Lock()

    def start(self, call: Any, *arguments: Any) -> None:
        """Run `call(*arguments)` in a thread: at once, or when one is idle if the system gives no more of them."""
        self._calls.put((call, *arguments))
        with self._lock:
            self._spare -= 1
            if self._spare < 0:
                with suppress(RuntimeError):
                    threading.Thread(target=self._work, daemon=True).start()
                    self._spare += 1

    def _work(self) -> None:
        while True:
            call, *arguments = self._calls.get()
            call(*arguments)
            with self._lock:
                self._spare += 1


class ProgressReports:
    """Sends what jobs told of their progress, the newest of each, ten times a second at most.

    In a thread of its own, which starts with the first progress and sleeps while there is none.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._newest: dict[Key, Progress] = {}
        self._sending = threading.Lock()
        self._told = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, key: Key, progress: Progress) -> None:
        """Take note; what was not sent yet is replaced."""
        self._newest[key] = progress
        self._told.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def send(self, key: Key) -> None:
        """Send what was not sent yet; it is on its way when this returns, so the outcome cannot overtake it."""
        with self._sending:
            progress = self._newest.pop(key, None)
            if progress is not None:
                self._outbox.send(Advanced(*key, progress))

    def _run(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            for key in list(self._newest):
                self.send(key)
            time.sleep(PROGRESS_INTERVAL_SECONDS)


class RunningJob:
    """One attempt that this worker runs: its context, and its task where the function is async."""

    def __init__(self, message: Run, reports: ProgressReports) -> None:
        self.message = message
        self.key = (message.job_id, message.attempt)
        self.context = JobContext(*self.key, lambda progress: reports.tell(self.key, progress))
        self.task: asyncio.Task[None] | None = None


class Worker:
    """Runs what the server sends until the server is gone."""

    def __init__(self, connection: socket.socket, jobs: Jobs) -> None:
        self._connection = connection
        self._jobs = jobs
        self._outbox = Outbox(connection)
        self._threads = Threads()
        self._loop = EventLoop()
        self._reports = ProgressReports(self._outbox)
        self._running: dict[Key, RunningJob] = {}

    def work(self) -> None:
        """Say that this worker is ready, then take messages for as long as there is a server."""
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
                if message.type not in self._jobs:
                    self._end(job, _unknown(message.type), self._outbox.send)
                elif self._jobs[message.type].is_async:
                    coroutines.append(self._run_async(self._jobs[message.type], job))
                else:
                    self._threads.start(self._run, self._jobs[message.type], job)
        if coroutines:
            self._loop.start(coroutines)
        for message in messages:
            if isinstance(message, Cancel):
                self._cancel(message)

    def _run(self, function: JobFunction, job: RunningJob) -> None:
        with _outcome_or_end():
            with tracing.attempt(job.message) as ended:
                ended(outcome := run(function, job.context, job.message.parameters))
            self._end(job, outcome, self._outbox.send)

    async def _run_async(self, function: JobFunction, job: RunningJob) -> None:
        job.task = asyncio.current_task()
        if job.context.canceled:
            self._end(job, Failed(Error("JobCanceled", "canceled before it began")), self._outbox.send_soon)
        else:
            with _outcome_or_end():
                with tracing.attempt(job.message) as ended:
                    ended(outcome := await run_async(function, job.context, job.message.parameters))
                self._end(job, outcome, self._outbox.send_soon)

    def _end(self, job: RunningJob, outcome: Outcome, send: Callable[[Message], None]) -> None:
        del self._running[job.key]
        self._reports.send(job.key)
        send(Ended(*job.key, outcome))

    def _cancel(self, message: Cancel) -> None:
        self._outbox.send(Noticed())
        job = self._running.get((message.job_id, message.attempt))
        if job is None:
            return  # it has just ended
        job.context.cancel()
        if self._jobs[job.message.type].is_async:
            self._loop.call(lambda: job.task.cancel() if job.task is not None else None)


@contextmanager
def _outcome_or_end() -> Iterator[None]:
    """End the process if an outcome cannot be told: the server notices that, and nothing else.

    There may be no memory left for it, or what a user's OpenTelemetry SDK calls may raise.
    """
    try:
        yield
    except MemoryError:
        os._exit(1)
    except Exception:
        traceback.print_exc()
        os._exit(1)


def _unknown(name: str) -> Failed:
    """The user's file has changed since the server read it."""
    return Failed(Error("UnknownType", f"no function {name!r} is registered in this worker: restart the server"))


def _die_with_parent() -> None:
    """Have Linux kill this process with its server: a function that holds the GIL keeps `recv` from noticing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serve one server process, over the socket whose number is the first argument."""
    streams.settle(output_matters=False)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # Ctrl-C and others signal the whole group at once
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(signum, lambda *_: None)  # the server says when to stop; not SIG_IGN, which children inherit
    _die_with_parent()
    status = 1
    try:
        jobs = load(sys.argv[2] if len(sys.argv) > 2 else None)
        Worker(socket.socket(fileno=int(sys.argv[1])), jobs).work()
        status = 0
    except ConnectionError:
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)  # jobs' threads may still run: their outcome has nobody to go to


if __name__ == "__main__":
    main()
