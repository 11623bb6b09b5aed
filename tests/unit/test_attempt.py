"""An attempt in Lambda: what a function returns is awaited, what it changes is its own, what it forks ends."""

import asyncio
import decimal
import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest

from asyncjob import Jobs
from asyncjob.aws.runtime.attempt import Attempt
from asyncjob.context import ALONE, running
from asyncjob.runner import Failed, Outcome, Succeeded


def _attempt(function: Callable[..., Any]) -> Attempt:
    jobs = Jobs()
    jobs.job(name="it")(function)
    attempt = Attempt(jobs["it"], {"jobId": "12345", "attempt": 1}, ALONE)
    attempt.start(b"{}")
    return attempt


def _outcome(function: Callable[..., Any]) -> Outcome | None:
    return _attempt(function).wait(time.monotonic() + 30)


async def later() -> str:
    await asyncio.sleep(0)
    return "awaited"


def sets_precision() -> int:
    before = decimal.getcontext().prec
    decimal.getcontext().prec = 4
    os.chdir("/")
    return before


async def sets_precision_async() -> int:
    return sets_precision()


def forks() -> int:
    child = os.fork()
    return 0 if child == 0 else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_what_a_sync_function_returns_is_awaited() -> None:
    assert _outcome(lambda: asyncio.wait_for(later(), 9)) == Succeeded(b'"awaited"')


def test_what_is_awaited_is_canceled_with_its_attempt() -> None:
    attempt = _attempt(lambda: asyncio.wait_for(asyncio.sleep(600), 600))
    attempt.cancel()
    outcome = attempt.wait(time.monotonic() + 30)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "CancelledError"


def test_a_cancel_reaches_an_attempt_whoever_calls() -> None:
    began = threading.Event()

    async def waits() -> None:
        began.set()
        await asyncio.sleep(600)

    attempt = _attempt(waits)
    assert began.wait(30)
    context = copy_context()
    context.run(running.set, _attempt(later)._context)
    context.run(attempt.cancel)
    outcome = attempt.wait(time.monotonic() + 30)
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize("function", [sets_precision, sets_precision_async])
def test_a_job_finds_nothing_of_the_one_before(function: Callable[..., Any]) -> None:
    folder = os.getcwd()
    first = _outcome(function)
    assert _outcome(function) == first != Succeeded(b"4")
    assert os.getcwd() == folder


def test_a_forked_child_that_returns_ends() -> None:
    assert _outcome(forks) == Succeeded(b"0")
