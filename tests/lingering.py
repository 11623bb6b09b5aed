"""Job functions that go on although their jobs have ended: nothing stops a thread."""

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
