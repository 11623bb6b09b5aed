"""Job functions that have a process for each job, or for two, and do with it what they like."""

import asyncio
import ctypes
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from asyncjob import JobContext, Jobs

jobs = Jobs()


def _say(path: str, line: object) -> None:
    with open(path, "a") as file:
        file.write(f"{line}\n")


@jobs.job
def shared() -> int:
    return os.getpid()


@jobs.job(isolate=True)
def single(context: JobContext) -> list[int]:
    return [os.getpid(), context.worker]


@jobs.job(isolate=True, max_jobs=2)
async def in_pairs() -> int:
    return os.getpid()


@jobs.job(isolate=True)
def lasts(started: str, gate: str) -> int:
    """Lasts until the file `gate` is there."""
    _say(started, os.getpid())
    while not Path(gate).exists():
        time.sleep(0.02)
    return os.getpid()


@jobs.job(isolate=True, concurrency=3)
def lasts_in_three(started: str, gate: str) -> int:
    return lasts(started, gate)


@jobs.job(isolate=True, retries=1)
def dies(runs: str) -> None:
    _say(runs, os.getpid())
    os._exit(3)


@jobs.job(isolate=True)
def starts(pids: str) -> int:
    """Leaves a process of its own behind."""
    _say(pids, subprocess.Popen(["sleep", "61"]).pid)
    return os.getpid()


@jobs.job(isolate=True, timeout=1, retries=0)
def overruns(pids: str) -> None:
    """Goes on beyond its timeout, in C, where nothing reaches it, and so does what it has started."""
    _say(pids, os.getpid())
    _say(pids, subprocess.Popen(["sleep", "61"], start_new_session=True).pid)
    ctypes.PyDLL(None).sleep(61)


@jobs.job(isolate=True, memory="200M", retries=0)
def hoards(how: str) -> int:
    """Takes more memory than it may."""
    kept: list[Any] = []
    if how == "at once":
        return len(b"x" * (300 << 20))
    if how == "bit by bit":
        while True:
            kept.append([None] * 500)
    if how == "results":
        return "x" * (180 << 20)  # type: ignore[return-value]  # which cannot be written as JSON as well
    libc = ctypes.CDLL(None)  # as a library in C would, which then gives up
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    while block := libc.malloc(1 << 20):
        kept.append(block)
    for block in kept[-8:]:
        libc.free(block)
    while any(thread.name == "asyncjob-memory" for thread in threading.enumerate()):
        time.sleep(0.01)
    os.abort()


@jobs.job(isolate=True, memory="200M", retries=0)
async def hoards_async() -> int:
    await asyncio.sleep(0)
    return len(b"x" * (300 << 20))


@jobs.job(isolate=True, memory="200M", max_jobs=2)
def needs(megabytes: int) -> int:
    return len(b"x" * (megabytes << 20))


@jobs.job(isolate=True, memory="200M", retries=0)
def aborts() -> None:
    """Dies without any need of memory."""
    os.abort()
