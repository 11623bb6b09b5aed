"""Job functions that go on although their jobs have ended: nothing stops a thread."""

import fcntl
import os
import time
from pathlib import Path

from asyncjob import JobContext, Jobs, Limit

jobs = Jobs()


def _work(context: JobContext, log: str, gate: str) -> None:
    """Last until the file `gate` is there, whatever happens, and say when it begins and ends."""
    _say(log, f"begin {context.job_id} {context.attempt}")
    while not Path(gate).exists():
        time.sleep(0.01)
    _say(log, f"end {context.job_id} {context.attempt}")


def _say(log: str, line: str) -> None:
    with open(log, "a") as file:
        file.write(f"{line}\n")


@jobs.job(concurrency=Limit(1, per="key"), retries=0)
def stubborn(context: JobContext, log: str, gate: str, key: str = "a") -> None:
    _work(context, log, gate)


@jobs.job(concurrency=1, timeout=1, retries=1, backoff=0)
def overruns(context: JobContext, log: str, gate: str) -> None:
    _work(context, log, gate)


@jobs.job
def neighbour(context: JobContext, log: str, gate: str) -> None:
    """Keeps its process alive."""
    _work(context, log, gate)


@jobs.job(concurrency=[3, Limit(1, per="key")], timeout=0.5, retries=1, backoff=0)
def counted(context: JobContext, folder: str, key: str, seconds: float) -> None:
    """Lasts that long whatever happens, and says how many of its kind, and of its key, run beside it."""
    _count(context, folder, key, seconds)


@jobs.job(isolate=True, concurrency=Limit(1, per="key"), timeout=0.5, retries=1, backoff=0)
def counted_alone(context: JobContext, folder: str, key: str, seconds: float) -> None:
    _count(context, folder, key, seconds)


def _count(context: JobContext, folder: str, key: str, seconds: float) -> None:
    """Hold the lock of a file for as long, which ends with the process, and count the files that are locked."""
    own = Path(folder, f"{key}~{context.job_id}~{context.attempt}")
    with own.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        running = [other.name.partition("~")[0] for other in Path(folder).iterdir() if _is_locked(other)]
        with open(f"{folder}.log", "a") as log:
            os.write(log.fileno(), f"{len(running)} {running.count(key)}\n".encode())
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)


def _is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as others look too
        except OSError:
            return True
    return False
