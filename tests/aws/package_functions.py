"""Job functions of a user, to be packaged: each behaves in a way that the durable edition has to cope with."""

import asyncio
import base64
import logging
import os
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from greetings import greeting  # from outside: the tests make it

from asyncjob import Backoff, JobCanceled, JobContext, Jobs, RetryLater

jobs = Jobs()


@jobs.job
def add(a: int, b: int = 1) -> int:
    return a + b


@jobs.job
async def pause(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "awake"


@jobs.job
def greet(name: str) -> Any:
    logging.getLogger("greetings").info("%s is greeted", name)
    logging.getLogger("greetings").debug("%s was greeted", name)
    return greeting(name)


@jobs.job
def report(context: JobContext) -> str:
    """Tells its progress until that raises."""
    try:
        while True:
            context.progress(0.5, "half")
            time.sleep(0.01)
    except JobCanceled:
        print(f"{context.job_id} has noticed")
        raise


@jobs.job
def ask(context: JobContext) -> None:
    """Never tells anything, but asks."""
    while not context.canceled:
        time.sleep(0.01)
    print(f"{context.job_id} has noticed")


@jobs.job
def count(context: JobContext, steps: int) -> int:
    for step in range(steps):
        context.progress((step + 1) / steps, f"step {step + 1}")
    return steps


@jobs.job
async def wait() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("wait has noticed")
        raise


@jobs.job
def deaf() -> None:
    """Nothing reaches it."""
    print(f"deaf in {os.getpid()}", flush=True)
    time.sleep(600)


@jobs.job(timeout=0.5, retries=1)
def overrun() -> None:
    """Goes on beyond its timeout, where nothing reaches it."""
    time.sleep(60)


@jobs.job(timeout=0.5, retries=0)
def overrun_once() -> None:
    time.sleep(60)


@jobs.job(timeout=3, retries=1)
async def overrun_async(context: JobContext) -> int:
    """Has no time the first time."""
    if context.attempt == 1:
        await asyncio.Event().wait()
    return os.getpid()


@jobs.job(retries=5, retry_on=(ConnectionError,))
def flaky(context: JobContext, failures: int, value: str = "") -> int:
    if context.attempt <= failures:
        raise ConnectionError(f"failure {context.attempt}")
    return context.attempt


@jobs.job(retries=3, retry_on=(ConnectionError,), backoff=(600, 3_600))
def patient(context: JobContext, failures: int) -> int:
    """Fails with long pauses between."""
    if context.attempt <= failures:
        raise ConnectionError(f"failure {context.attempt}")
    return context.attempt


@jobs.job(timeout=1, retries=1, backoff=Backoff(first=600, jitter=0))
def die_patiently(context: JobContext) -> int:
    if context.attempt == 1:
        os._exit(7)
    return context.attempt


@jobs.job
def later(context: JobContext, times: int, seconds: float) -> int:
    """Puts itself off so many times."""
    if context.attempt <= times:
        raise RetryLater(seconds, "not there yet")
    return context.attempt


@jobs.job(retries=0, retry_on=(ConnectionError,))
def once() -> None:
    raise ConnectionError("no more")


@jobs.job(timeout=5, retries=4)
def die(context: JobContext, attempts: int) -> int:
    if context.attempt <= attempts:
        os._exit(7)
    return context.attempt


@jobs.job(timeout=1, retries=0)
def die_once() -> None:
    os._exit(7)


@jobs.job
def pid() -> int:
    return os.getpid()


@jobs.job
def echo(value: Any) -> Any:
    return value


@jobs.job
async def hold(value: Any) -> None:
    await asyncio.Event().wait()


@jobs.job
def large(size: int) -> str:
    return "ä" * size


@jobs.job
def noise(size: int) -> str:
    """What no compression makes smaller than three quarters."""
    return base64.b64encode(random.randbytes(size)).decode()


@jobs.job
def fails(text: str) -> None:
    """As many words as an error may have, and more."""
    raise ValueError(text[:20_000])


@jobs.lifespan
async def made_once() -> AsyncIterator[dict[str, int]]:
    """Counts the jobs of its process."""
    yield {"jobs": 0}


@jobs.job
def counted(context: JobContext) -> list[int]:
    context.resources["jobs"] += 1
    return [context.worker, context.resources["jobs"], os.getpid()]
