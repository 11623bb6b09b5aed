"""Job functions that behave in every way that a job function may, for tests to serve."""

import asyncio
import ctypes
import fcntl
import os
import resource
import sys
import time
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from asyncjob import JobCanceled, JobContext, Jobs

jobs = Jobs()


@jobs.job
def add(a: int, b: int = 1) -> int:
    return a + b


@jobs.job
def echo(value: Any) -> Any:
    return value


@jobs.job(retries=0)
def once(value: Any) -> Any:
    return value


@jobs.job
async def echo_async(value: Any) -> Any:
    return value


@jobs.job
def raises(message: str) -> None:
    raise LookupError(message)


@jobs.job
def leaves(status: int) -> None:
    sys.exit(status)


@jobs.job
def unencodable() -> object:
    return object()


@jobs.job
def large(size: int) -> str:
    return "x" * size


@jobs.job(retries=1)
def dies(runs: str) -> None:
    """Kills its worker, having left a line in the file `runs`."""
    _append(runs, "died")
    os._exit(7)


@jobs.job
def dies_once(runs: str) -> int:
    """Kills its worker the first time; then returns how often it was started."""
    if _append(runs, "started") == 1:
        os._exit(7)
    return len(Path(runs).read_text().splitlines())


@jobs.job(retries=3, retry_on=(ConnectionError,))
def flaky(runs: str, failures: int) -> int:
    count = _append(runs, "started")
    if count <= failures:
        raise ConnectionError(f"failure {count}")
    return count


@jobs.job
def holds(started: str, gate: str) -> str:
    """Says that it started, then blocks for as long as somebody else has a lock on the file `gate`."""
    _append(started, str(os.getpid()))
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return "done"


@jobs.job
async def waits(context: JobContext, started: str) -> None:
    """Says that it started, then waits for ever, or until it is canceled, and says that too."""
    _append(started, "started")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        _append(started, f"canceled {context.canceled}")
        raise


@jobs.job
def reports(context: JobContext, started: str) -> None:
    """Tells its progress for ever, until that raises, and says so."""
    _append(started, f"{context.job_id} {context.attempt}")
    try:
        while True:
            context.progress(0.5, "half")
            time.sleep(0.01)
    except JobCanceled:
        _append(started, f"canceled {context.canceled}")
        raise


@jobs.job
def counts(context: JobContext, steps: int) -> int:
    for step in range(steps):
        context.progress((step + 1) / steps, f"step {step + 1}")
    return steps


@jobs.job(timeout=0.3, retries=1)
def overruns(runs: str) -> None:
    """Goes on beyond its timeout, where nothing reaches it."""
    _append(runs, str(os.getpid()))
    time.sleep(60)


@jobs.job(timeout=0.3, retries=0)
async def overruns_async(runs: str) -> None:
    _append(runs, str(os.getpid()))
    await asyncio.sleep(60)


@jobs.job
def forks(started: str, gate: str) -> None:
    """Blocks, and has a child process that holds all its files open for as long."""
    if os.fork() == 0:
        with open(gate) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
        os._exit(0)
    holds(started, gate)


@jobs.job
async def leaves_in_a_task() -> None:
    """Exits in a task of its own, which asyncio lets out of its loop."""

    async def leave() -> None:
        sys.exit(3)

    await asyncio.create_task(leave())


@jobs.job
def hogs(started: str, seconds: float) -> None:
    """Computes without letting any other thread of its process run."""
    _append(started, "started")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    sys.setswitchinterval(interval)


@jobs.job
def tells_twice(context: JobContext, started: str, gate: str) -> None:
    """Tells two things of its progress at once, then blocks."""
    context.progress(0.1, "\udcff")
    context.progress(0.9)
    holds(started, gate)


class _Deadly(tzinfo):
    """A time zone that kills the process which asks for it, as whoever writes a time as JSON does."""

    def utcoffset(self, when: datetime | None) -> None:
        os._exit(7)


@jobs.job(retries=1)
def dies_after(runs: str) -> datetime:
    """Returns, and kills its worker when that looks at what was returned."""
    _append(runs, "returned")
    return datetime.now().replace(tzinfo=_Deadly())  # type: ignore[abstract]


@jobs.job
def hoards(limit: int) -> None:
    """Takes all the memory that its process may have, `limit` bytes more than now, a little at a time."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + limit, hard))
    kept: list[list[None]] = []
    while True:
        kept.append([None] * 50)


@jobs.job(timeout=0.3, retries=1)
def blocks_in_c(runs: str) -> None:
    """Sleeps in C without letting any other thread of its process run."""
    _append(runs, str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)


@jobs.job(timeout=0.5, retries=9)
def holds_briefly(context: JobContext, started: str, gate: str) -> int:
    """Holds, but has no time for it; returns which attempt it was."""
    holds(started, gate)
    return context.attempt


@jobs.job
def pid() -> int:
    return os.getpid()


@dataclass
class Point:
    x: float
    y: float = 0.0


@jobs.job(name="draw")
async def draw_shape(
    points: Annotated[list[Point], Meta(min_length=1, max_length=3)],
    color: Literal["red", "blue"] = "red",
    at: Annotated[datetime, Meta(tz=True)] | None = None,
    tags: list[str] = [],  # noqa: B006
    width: Annotated[int, Meta(ge=1, le=10)] = 1,
) -> dict[str, Any]:
    return {"points": [[point.x, point.y] for point in points], "color": color, "at": at, "tags": tags, "width": width}


def _append(path: str, line: str) -> int:
    """Append a line to a file; how many it has now."""
    with open(path, "a+") as file:
        file.write(line + "\n")
        file.flush()
        file.seek(0)
        return len(file.readlines())
