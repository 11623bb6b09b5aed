"""Job functions that do to their worker what must harm nobody but their own job."""

import asyncio
import ctypes
import decimal
import functools
import importlib
import os
import sys
import threading
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from asyncjob import JobContext, Jobs

jobs = Jobs()
processes = importlib.import_module("hostile_processes")  # a neighbour, as whoever loads this file by its path finds it
for function in processes.FUNCTIONS:
    jobs.job(function)
for function in processes.OVERDUE:
    jobs.job(timeout=0.5, retries=0)(function)

decimal.getcontext().prec = 50
setting: ContextVar[str] = ContextVar("setting", default="never set")
setting.set("at import")


@jobs.job
def pid() -> int:
    return os.getpid()


# -- messages -----------------------------------------------------------------------------------------------------


@jobs.job
def tells_late(context: JobContext) -> None:
    """Has a thread that tells progress long after the function has returned."""

    def tick() -> None:
        while True:
            context.progress(0.5, "late")
            time.sleep(0.01)

    threading.Thread(target=tick, daemon=True).start()


@jobs.job
async def leaves_a_sibling(context: JobContext) -> None:
    async def tick() -> None:
        while True:
            context.progress(0.5, "late")
            await asyncio.sleep(0.01)

    async def fail() -> None:
        await asyncio.sleep(0.05)
        raise ValueError("one of two")

    await asyncio.gather(tick(), fail())


# -- what is around a job -----------------------------------------------------------------------------------------


@jobs.job
def surroundings(change: bool = False) -> list[Any]:
    """What a job finds; with `change`, it leaves all of it changed."""
    mask = os.umask(0)
    os.umask(mask)
    found = [setting.get(), decimal.getcontext().prec, os.getcwd(), mask]
    if change:
        setting.set("by a job")
        decimal.getcontext().prec = 4
        os.chdir("/")
        os.umask(0o777)
    return found


@jobs.job
async def surroundings_async(change: bool = False) -> list[Any]:
    found = surroundings(change)
    await asyncio.sleep(0)
    return found


@jobs.job
def stays_in_the_root(started: str, gate: str) -> str:
    """Goes to the root folder, and looks where it is when the gate is opened."""
    import fcntl

    os.chdir("/")
    with open(started, "a") as file:
        file.write("started\n")
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return os.getcwd()


# -- what must not escape -----------------------------------------------------------------------------------------


class Leaving(Exception):
    def __str__(self) -> str:
        sys.exit(3)


class Meta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise KeyboardInterrupt


class Disguised(Exception, metaclass=Meta):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise GeneratorExit

    def __str__(self) -> str:
        raise GeneratorExit


@jobs.job
def escapes(how: str) -> Any:
    if how == "str":
        raise Leaving
    if how == "class":
        raise Disguised
    if how == "base":
        raise BaseException("as general as can be")
    if how == "deep":
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        return value
    return _type_of_megabytes()


def _type_of_megabytes() -> None:
    raise type("x" * 3_000_000, (Exception,), {})("\x1b[2J" + "y" * 3_000_000)


@jobs.job
def returns_raw(text: str) -> Any:
    return msgspec.Raw(text.encode("latin-1"))


def _throw(thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


@jobs.job
def throws_late(times: int = 50) -> None:
    """Has an exception thrown into the thread of this job once that is idle, or runs another."""
    thread = threading.get_ident()

    def throw() -> None:
        for _ in range(times):
            time.sleep(0.01)
            _throw(thread, SystemExit)

    threading.Thread(target=throw, daemon=True).start()


@jobs.job
async def misbehaves(how: str) -> str:
    """Does to its own task or its loop what no job should."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    if how == "cancels itself":
        task.cancel()
        await asyncio.sleep(0)
    if how == "cancels itself last":
        task.cancel()
    if how == "raises CancelledError":
        raise asyncio.CancelledError
    if how == "stops the loop":
        loop.stop()
        await asyncio.sleep(0)
    if how == "closes the loop":
        loop.close()
    if how == "replaces the task factory":
        loop.set_task_factory(lambda *arguments, **options: 1 / 0)  # type: ignore[arg-type]
    if how == "replaces the exception handler":
        loop.set_exception_handler(lambda *arguments: sys.exit(5))
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
    return "went on"


@jobs.job
async def cancels_all() -> str:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
    return "canceled"


@jobs.job
async def sleeps_async(started: str, seconds: float) -> str:
    with open(started, "a") as file:
        file.write("started\n")
    await asyncio.sleep(seconds)
    return "slept"


# -- exceptions ---------------------------------------------------------------------------------------------------


@jobs.job(retries=1, retry_on=ConnectionError)
async def groups() -> None:
    async def refuse() -> None:
        raise ConnectionError("nobody there")

    async def lookup() -> None:
        try:
            _ = os.environ["SECRET"]
        except KeyError as error:
            error.add_note("a secret note")
            raise ValueError("a secret value") from error

    async with asyncio.TaskGroup() as group:
        group.create_task(refuse())
        group.create_task(lookup())


# -- wrappers -----------------------------------------------------------------------------------------------------


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return wrapper


def blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        return asyncio.run(function(*arguments, **named))

    return wrapper


class Decorated:
    """A decorator that is a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._function(*arguments, **named)


class Doubler:
    async def __call__(self, value: int) -> int:
        await asyncio.sleep(0)
        return value * 2


async def _double(value: int) -> int:
    await asyncio.sleep(0)
    return value * 2


async def _multiply(factor: int, value: int) -> int:
    await asyncio.sleep(0)
    return factor * value


def _future(value: int) -> "asyncio.Future[int]":
    return asyncio.ensure_future(_double(value))


@types.coroutine
def _old_style(value: int) -> Iterator[None]:
    yield
    return value * 2  # type: ignore[return-value]


jobs.job(name="wrapped")(logged(logged(_double)))
jobs.job(name="blocking")(blocking(_double))
jobs.job(name="decorated")(Decorated(_double))
jobs.job(name="object")(Doubler())
jobs.job(name="partial")(functools.partial(_multiply, 2))
jobs.job(name="partial-of-wrapped")(functools.partial(logged(_multiply), factor=2))
jobs.job(name="future")(_future)
jobs.job(name="old-style")(_old_style)


@jobs.job
@logged
async def waits_wrapped(context: JobContext, started: str) -> None:
    with open(started, "a") as file:
        file.write("started\n")
    try:
        await asyncio.Event().wait()
    finally:
        with open(started, "a") as file:
            file.write(f"ended {context.canceled}\n")


# -- numbers and values -------------------------------------------------------------------------------------------


@dataclass
class Item:
    price: Decimal
    count: int = 1


@jobs.job
def prices(one: Decimal, more: list[Decimal] = [], item: Item | None = None, other: Any = None) -> list[Any]:  # noqa: B006
    return [str(one), [str(each) for each in more], item, repr(other)]


# -- output -------------------------------------------------------------------------------------------------------


@jobs.job
def prints(text: str, end: str = "\n") -> None:
    print(text, end=end)


@jobs.job
async def prints_async(text: str, end: str = "\n") -> None:
    print(text, end=end)


async def generates() -> AsyncIterator[int]:
    yield 1


def awaits_nothing() -> Awaitable[int]:
    return 5  # type: ignore[return-value]


jobs.job(awaits_nothing)
