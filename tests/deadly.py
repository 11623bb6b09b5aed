"""Job functions that end their process, beside those that do no harm, for tests of who pays for it."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from asyncjob import JobContext, Jobs

jobs = Jobs()


def _say(path: str, line: object) -> None:
    with open(path, "a") as file:
        file.write(f"{line}\n")


def _wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.02)


@jobs.job
def healthy(started: str, gate: str) -> str:
    """Lasts until the file `gate` is there."""
    _say(started, os.getpid())
    _wait_for(gate)
    return "done"


@jobs.job
async def healthy_async(started: str, gate: str) -> str:
    _say(started, os.getpid())
    while not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.05)
    return "done"


@jobs.job(retries=1)
def poison(runs: str = "") -> None:
    if runs:
        _say(runs, os.getpid())
    os._exit(3)


@jobs.job(retries=1)
async def poison_async(after: float = 0) -> None:
    await asyncio.sleep(after)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)  # noqa: ASYNC251  # the signal may end the process in another thread, a little later


@jobs.job(retries=0)
def poison_at_once() -> None:
    os._exit(3)


@jobs.job(retries=1)
def forges(kind: str) -> None:
    """Writes something into the socket to the server that no worker would."""
    import struct

    import msgspec

    from asyncjob.job import Error, Progress
    from asyncjob.runner import Failed, Succeeded
    from asyncjob.server.workers import channel

    frames = {
        "length": struct.pack("!I", 2**32 - 1),
        "noise": struct.pack("!I", 4) + b"\xff\xff\xff\xff",
        "run": channel.pack([channel.Run("a", 1, "healthy", b"{}", None)]),
        "results": channel.pack([channel.Ended(_job_id(), 1, Succeeded(b'{"forged": '))]),
        "bytes": channel.pack([channel.Ended(_job_id(), 1, Succeeded(b'"\xff"'))]),
        "error": channel.pack([channel.Ended(_job_id(), 1, Failed(Error("x" * 3_000_000, "")))]),
        "progress": channel.pack([channel.Advanced(_job_id(), 1, Progress(float("nan")))]),
        "line": channel.pack([channel.Logged(_job_id(), 1, [channel.Line(1, 0, 20, "mine", "x" * 100_000)])]),
        "text": struct.pack("!I", 8) + msgspec.msgpack.encode(["no", "m"]).ljust(8, b"\xc0"),
    }
    os.write(int(sys.argv[1]), frames[kind])
    time.sleep(60)


def _job_id() -> str:
    return os.environ.get("FORGED", "forged")


@jobs.job
def tells_of_others(context: JobContext, others: list[str]) -> str:
    """Tells the server of attempts that are not this worker's, or that never were."""
    from asyncjob.job import Progress
    from asyncjob.runner import Succeeded
    from asyncjob.server.workers import channel

    for job_id in [*others, "nobody"]:
        messages: list[channel.Message] = [
            channel.Advanced(job_id, 1, Progress(0.5)),
            channel.Ended(job_id, 1, Succeeded(b'"forged"')),
            channel.Ended(job_id, 2, Succeeded(b'"forged"')),
            channel.Logged(job_id, 1, [channel.Line(1, 0, 20, "mine", "a line of another's")]),
        ]
        os.write(int(sys.argv[1]), channel.pack(messages))
    return "told"


@jobs.job(timeout=1, retries=0)
def starts_and_overruns(pids: str, how: str) -> None:
    _start(pids, how)
    time.sleep(60)


@jobs.job
def starts_and_waits(pids: str, how: str, gate: str) -> None:
    _start(pids, how)
    _wait_for(gate)


@jobs.job(retries=0)
def starts_and_dies(pids: str, how: str) -> None:
    _start(pids, how)
    os._exit(3)


def _start(pids: str, how: str) -> None:
    """Start processes that would last a minute, and say which."""
    sleep = ["sleep", "61"]
    if how == "child":
        started = [subprocess.Popen(sleep)]
    elif how == "cleared":  # nothing of our environment
        started = [subprocess.Popen(sleep, env={"PATH": os.environ["PATH"]})]
    elif how == "session":  # out of our session
        started = [subprocess.Popen(sleep, start_new_session=True)]
    elif how == "thread":
        started = []
        thread = threading.Thread(target=lambda: started.append(subprocess.Popen(sleep)))
        thread.start()
        thread.join()
    else:  # an orphan in the background, of a shell that has ended
        shell = subprocess.run(["sh", "-c", "sleep 61 >/dev/null 2>&1 & echo $!"], stdout=subprocess.PIPE, check=True)
        _say(pids, int(shell.stdout))
        return
    for process in started:
        _say(pids, process.pid)
