"""Job functions that wait for others of their kind, for tests of what becomes of their places."""

import asyncio
import os
from pathlib import Path

from asyncjob import AsyncClient, Client, JobCanceled, JobContext, Jobs

jobs = Jobs()


def _say(path: str, line: object) -> None:
    with open(path, "a") as file:
        file.write(f"{line}\n")


@jobs.job(retries=5)
def sums(context: JobContext, url: str, depth: int, width: int = 1, started: str = "", gate: str = "") -> int:
    """How many jobs there are in a tree of jobs that wait for jobs, itself included."""
    if started:
        _say(started, os.getpid())
    if not depth:
        while gate and not Path(gate).exists():
            context.check()
            _pause()
        return 1
    with Client(url) as client:
        below = {"url": url, "depth": depth - 1, "width": width, "started": started, "gate": gate}
        names = [f"{context.job_id}.{number}" for number in range(width)]
        children = [client.submit("sums", jobId=name, **below) for name in names]
        for child in children:
            context.wait(child)
        return 1 + sum(int(child.result()) for child in children)


@jobs.job(retries=5)
async def sums_async(context: JobContext, url: str, depth: int, width: int = 1) -> int:
    """The same on the event loop: it waits for all its children at once."""
    if not depth:
        return 1
    async with AsyncClient(url) as client:
        below = {"url": url, "depth": depth - 1, "width": width}
        names = [f"{context.job_id}.{number}" for number in range(width)]
        children = [await client.submit("sums_async", jobId=name, **below) for name in names]
        await asyncio.gather(*[context.wait(child) for child in children])
        return 1 + sum([int(await child.result()) for child in children])


@jobs.job(retries=5)
def sums_mapped(url: str, depth: int, width: int = 1) -> int:
    """The same by `map`, with two children at once."""
    if not depth:
        return 1
    with Client(url) as client:
        below = [{"url": url, "depth": depth - 1, "width": width}] * width
        return 1 + sum(int(child.result()) for child in client.map("sums_mapped", below, concurrency=2))


@jobs.job(retries=5)
async def sums_mapped_async(url: str, depth: int, width: int = 1) -> int:
    """The same on the event loop."""
    if not depth:
        return 1
    async with AsyncClient(url) as client:
        below = [{"url": url, "depth": depth - 1, "width": width}] * width
        children = client.map("sums_mapped_async", below, concurrency=2)
        return 1 + sum([int(await child.result()) async for child in children])


def _pause() -> None:
    import time

    time.sleep(0.02)


@jobs.job
def blocks(started: str, gate: str) -> int:
    """Lasts until the file `gate` is there."""
    _say(started, os.getpid())
    while not Path(gate).exists():
        _pause()
    return os.getpid()


@jobs.job(timeout=1, retries=0)
def overruns(url: str, child: str, told: str) -> None:
    waits(url, child, told)


@jobs.job
def waits(url: str, child: str, told: str, through: bool = False) -> None:
    """Waits for a job, and says how that ended."""
    _say(told, "waits")
    with Client(url) as client:
        try:
            client.job(child).result()
        except JobCanceled as error:
            _say(told, type(error).__name__)
            raise


@jobs.job
def waits_aside(context: JobContext, url: str, child: str, told: str) -> None:
    """The same through its context."""
    _say(told, "waits")
    with Client(url) as client:
        try:
            context.wait(client.job(child))
        except JobCanceled as error:
            _say(told, type(error).__name__)
            raise


@jobs.job
async def waits_aside_async(context: JobContext, url: str, child: str, told: str) -> None:
    _say(told, "waits")
    async with AsyncClient(url) as client:
        try:
            await context.wait(client.job(child))
        except asyncio.CancelledError as error:
            _say(told, type(error).__name__)
            raise


@jobs.job
def impatient(context: JobContext, url: str, child: str) -> str:
    """Does not wait for long."""
    with Client(url) as client:
        try:
            context.wait(client.job(child), timeout=0.1)
        except TimeoutError as error:
            return type(error).__name__
        return ""


@jobs.job
def cries(context: JobContext) -> str:
    """Says again and again that it waits and has waited, and reads nothing."""
    import sys

    from asyncjob.server.workers import channel

    key = context.job_id, context.attempt
    messages: list[channel.Message] = [channel.Yielded(*key), channel.Awaited(*key)]
    for other in ("nobody", context.job_id + "x"):
        messages += [channel.Yielded(other, 1), channel.Awaited(other, 1)]
    for _ in range(1_000):
        os.write(int(sys.argv[1]), channel.pack(messages))
    return "cried"


@jobs.job(isolate=True)
def sums_isolated(context: JobContext, url: str, depth: int, width: int = 1) -> int:
    """The same, each in a process of its own."""
    return _sum_up(context, "sums_isolated", url, depth, width)


@jobs.job(concurrency=1)
def sums_in_turn(context: JobContext, url: str, depth: int, width: int = 1) -> int:
    """The same under a limit of its own, which makes it wait for ever."""
    return _sum_up(context, "sums_in_turn", url, depth, width)


def _sum_up(context: JobContext, type_: str, url: str, depth: int, width: int) -> int:
    if not depth:
        return 1
    with Client(url) as client:
        children = [client.submit(type_, url=url, depth=depth - 1, width=width) for _ in range(width)]
        for child in children:
            context.wait(child)
        return 1 + sum(int(child.result()) for child in children)
