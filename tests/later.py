"""Job functions that want to run again later, or soon, for tests of when they do."""

import os
from pathlib import Path

from asyncjob import Backoff, JobContext, Jobs, RetryLater

jobs = Jobs()


class NotYet(RetryLater):
    """What a user would derive from it."""

    def __init__(self) -> None:
        super().__init__("1h", "not yet")


@jobs.job(retries=0)
def waits_for(context: JobContext, path: str) -> int:
    """Comes back in an hour until a file is there; returns which attempt it was."""
    if not Path(path).exists():
        raise NotYet
    return context.attempt


@jobs.job(retries=0)
async def waits_for_async(context: JobContext, path: str) -> int:
    if not Path(path).exists():  # noqa: ASYNC240
        raise ExceptionGroup("in two tasks", [NotYet(), RetryLater(1)])
    return context.attempt


@jobs.job(retries=0)
def comes_back(context: JobContext, times: int) -> int:
    if context.attempt <= times:
        raise RetryLater(0, "again")
    return context.attempt


@jobs.job(retries=2, retry_on=ConnectionError, backoff=Backoff(first=0, factor=1, jitter=0))
def fails_and_comes_back(context: JobContext) -> int:
    """Is postponed twice after each of its losses, of which it may have two."""
    if context.attempt % 3:
        raise RetryLater(0, "again")
    if context.attempt < 9:
        raise ConnectionError("lost")
    return context.attempt


@jobs.job(retries=1, retry_on=ConnectionError, backoff=(3_600,))
def patient(context: JobContext) -> int:
    if context.attempt == 1:
        raise ConnectionError("nobody is there")
    return context.attempt


@jobs.job(retries=1, backoff=(3_600,))
def dies_patiently(context: JobContext) -> int:
    """Kills its worker the first time."""
    if context.attempt == 1:
        os._exit(7)
    return context.attempt
