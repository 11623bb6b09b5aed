"""Job functions that log and print in every way that may be trouble."""

import asyncio
import contextlib
import io
import logging
import logging.config
import logging.handlers
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import httpx

from asyncjob import AsyncClient, Client, JobContext, Jobs, RetryLater

jobs = Jobs()
log = logging.getLogger("talkers")
pool = ThreadPoolExecutor(2)  # which all jobs share

if "asyncjob.server.workers.worker.executor" in sys.modules:  # the server imports this file, too
    print("imported")
    log.warning("logged at the import")
else:
    log.warning("logged in the server")


@jobs.job
def says(text: str, level: int = logging.INFO) -> None:
    log.log(level, text)


@jobs.job
def prints(text: str, stream: str = "stdout") -> None:
    print(text, file=getattr(sys, stream), end="")


@jobs.job
def prints_bytes(numbers: list[int]) -> None:
    sys.stdout.buffer.write(bytes(numbers))
    sys.stdout.flush()


@jobs.job
def floods(lines: int, length: int = 10) -> None:
    for number in range(lines):
        print(f"{number} ".ljust(length, "x"))


@jobs.job
def fails(message: str) -> None:
    log.info("before")
    raise ValueError(message)


@jobs.job
def logs_exception() -> None:
    try:
        raise KeyError("inner")
    except KeyError:
        log.exception("it went wrong", stack_info=True)


@jobs.job
def logs_badly() -> None:
    log.info("%d", "no number")
    log.info("%s", Unprintable())
    log.warning("\ud800 and \x00 and \x1b[31mred\x1b[0m")
    log.log(True, "a level that is none")
    log.info("after")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@jobs.job
def in_threads() -> None:
    """Everything that a thread can be."""
    own = threading.Thread(target=print, args=["thread"])
    own.start()
    own.join()
    timer = threading.Timer(0, print, args=["timer"])
    timer.start()
    timer.join()
    with ThreadPoolExecutor(1) as inner:
        inner.submit(print, "inner pool").result()
    pool.submit(print, "shared pool").result()
    with ThreadPool(1) as multi:
        multi.apply(print, ["thread pool"])


@jobs.job
async def in_tasks(text: str) -> None:
    async def say(word: str) -> None:
        await asyncio.sleep(0)
        print(text, word)

    await asyncio.gather(say("task"), say("gathered"))
    await asyncio.to_thread(print, text, "to_thread")
    await asyncio.get_running_loop().run_in_executor(None, print, text, "executor")


@jobs.job
async def takes_turns(text: str, turns: int) -> None:
    """Print with others on the same loop, and in the middle of their lines."""
    for turn in range(turns):
        print(text, end=" ")
        await asyncio.sleep(0)
        print(turn)


@jobs.job
def configures() -> None:
    """What an application does at its start: each would end or double what others have set up."""
    logging.basicConfig()
    log.info("one")
    logging.basicConfig(level=logging.INFO, force=True)
    log.info("two")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
            "loggers": {"quiet": {"handlers": ["console"], "level": "INFO", "propagate": False}},
        }
    )
    logging.getLogger("quiet").info("three")
    listener = logging.handlers.QueueListener(words := queue.Queue[Any](), logging.StreamHandler())
    listener.start()
    other = logging.getLogger("queued")
    other.addHandler(logging.handlers.QueueHandler(words))
    other.info("four")
    listener.stop()
    logging.shutdown()
    log.info("five")


@jobs.job
def handles() -> None:
    """Have a handler that logs and prints, which must not go on for ever."""

    class Loud(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != "echo":
                logging.getLogger("echo").info("again: %s", record.getMessage())
            print("printed by a handler")

    handler = Loud()
    log.addHandler(handler)
    try:
        log.info("once")
    finally:
        log.removeHandler(handler)


@jobs.job
def breaks_a_handler() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                raise OSError("the disk of the log is full")
            except OSError:
                self.handleError(record)

    handler = Broken()
    log.addHandler(handler)
    try:
        log.info("once")
    finally:
        log.removeHandler(handler)


@jobs.job
def warns() -> None:
    warnings.simplefilter("always")
    warnings.warn("take care", stacklevel=1)


@jobs.job
def redirects() -> str:
    with contextlib.redirect_stdout(io.StringIO()) as own:
        print("for itself")
    print("for the log")
    return own.getvalue()


@jobs.job
def replaces() -> None:
    sys.stdout = sys.stderr = io.StringIO()
    print("lost")


@jobs.job
def closes() -> None:
    sys.stdout.close()
    sys.stderr.close()
    print("still open")


@jobs.job
def wraps() -> None:
    wrapper = io.TextIOWrapper(sys.stdout.detach(), "utf-8", write_through=True)  # type: ignore[union-attr]
    print("wrapped", file=wrapper)


@jobs.job
def is_terminal() -> list[bool]:
    return [stream.isatty() for stream in (sys.stdout, sys.stderr)]


@jobs.job
def shows_progress() -> None:
    for number in range(101):
        print(f"\r{number}%", end="", file=sys.stderr)
    print(file=sys.stderr)


@jobs.job
def starts_children() -> None:
    subprocess.run(["sh", "-c", "echo from a child; echo in its errors >&2"], check=True)
    os.write(1, b"past Python\n")


@jobs.job
def floods_the_pipe(megabytes: int) -> None:
    subprocess.run(["sh", "-c", f"yes 'from a child' | head -c {megabytes << 20}"], check=True)


@jobs.job
def forks() -> None:
    pid = os.fork()
    if not pid:
        print("printed in a fork")
        log.info("logged in a fork")
        sys.exit()
    os.waitpid(pid, 0)
    process = multiprocessing.get_context("fork").Process(target=print, args=["printed in a process"])
    process.start()
    process.join()
    print("printed in the parent")


@jobs.job
def leaves_the_pipe_open(started: str) -> None:
    """Leave a process behind that has left the worker's family, and die."""
    command = "echo $$ > $0.tmp; mv $0.tmp $0; exec sleep 1000"
    subprocess.Popen(["setsid", "sh", "-c", command, started], env={"PATH": os.environ["PATH"]})
    while not Path(started).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.job(retries=0)
def says_and_dies(how: str) -> None:
    print("last words")
    log.info("and these")
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.job(retries=0, timeout=0.5)
def overruns() -> None:
    log.info("begins")
    time.sleep(1000)


@jobs.job
def repeats(context: JobContext, attempts: int) -> None:
    log.info("attempt %d", context.attempt)
    if context.attempt < attempts:
        raise RetryLater(0, "again")


@jobs.job
def goes_on(context: JobContext, started: str, gate: str) -> None:
    """Say something, and after the gate has opened something more."""
    log.info("before the gate")
    Path(started).touch()
    while not Path(gate).exists():
        time.sleep(0.01)
    log.info("after the gate")
    print("the end")


@jobs.job
def asks() -> None:
    with Client() as client:
        client.stats()
    httpx.get(f"{os.environ['ASYNCJOB_URL']}/session")


@jobs.job
async def asks_async() -> None:
    async with AsyncClient() as client:
        await client.stats()
    async with httpx.AsyncClient() as http:
        await http.get(f"{os.environ['ASYNCJOB_URL']}/session")
