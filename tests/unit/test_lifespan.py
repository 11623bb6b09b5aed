"""What a lifespan makes: from its first line to its last, in the place where it belongs."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from asyncjob import Jobs, RegistrationError, WorkerContext
from asyncjob.lifespan import Resources, read_lifespan
from asyncjob.loop import EventLoop

told: list[object] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


def sync(worker: WorkerContext) -> Iterator[str]:
    told.append(worker.worker)
    yield "resource"
    told.append("ended")


async def in_one_task(worker: WorkerContext) -> AsyncIterator[str]:
    told.append(worker.worker)
    variable.set("its own")
    async with asyncio.TaskGroup():  # which may be left only in the task that has entered it
        yield "resource"
    told.append("ended" if variable.get() else "elsewhere")


@pytest.fixture
def loop() -> EventLoop:
    told.clear()
    return EventLoop()


def _resources(function: Callable[..., Any], loop: EventLoop) -> tuple[Resources, WorkerContext]:
    worker = WorkerContext(3)
    return Resources(read_lifespan(function), worker, contextvars.copy_context(), lambda: loop), worker


@pytest.mark.parametrize("function", [sync, in_one_task])
def test_a_lifespan_knows_its_worker_and_ends_when_it_is_told(function: Callable[..., Any], loop: EventLoop) -> None:
    resources, worker = _resources(function, loop)
    resources.start()
    assert (told, worker.resources) == ([3], "resource")
    resources.end()
    assert told == [3, "ended"]


def fails() -> Iterator[None]:
    raise LookupError("no model")
    yield


async def fails_async() -> AsyncIterator[None]:
    raise LookupError("no model")
    yield


def exits() -> Iterator[None]:
    raise SystemExit(0)
    yield


def never(now: bool = False) -> Iterator[None]:
    if now:
        yield


async def never_async(now: bool = False) -> AsyncIterator[None]:
    if now:
        yield


@pytest.mark.parametrize(
    ("function", "kind", "said"),
    [
        (fails, LookupError, "no model"),
        (fails_async, LookupError, "no model"),
        (exits, SystemExit, "0"),
        (never, RegistrationError, "the lifespan never does not come to its `yield`"),
        (never_async, RegistrationError, "the lifespan never_async does not come to its `yield`"),
    ],
)
def test_a_start_that_fails_says_why(
    function: Callable[..., Any], kind: type[BaseException], said: str, loop: EventLoop
) -> None:
    resources, _ = _resources(function, loop)
    with pytest.raises(kind, match=said):
        resources.start()


def twice() -> Iterator[int]:
    yield 1
    yield 2


async def twice_async() -> AsyncIterator[int]:
    yield 1
    yield 2


def fails_later() -> Iterator[None]:
    yield
    raise LookupError("lost")


async def fails_later_async() -> AsyncIterator[None]:
    yield
    raise LookupError("lost")


@pytest.mark.parametrize(
    ("function", "kind", "said"),
    [
        (twice, RegistrationError, "has more than one `yield`"),
        (twice_async, RegistrationError, "has more than one `yield`"),
        (fails_later, LookupError, "lost"),
        (fails_later_async, LookupError, "lost"),
    ],
)
def test_an_end_that_fails_says_why(
    function: Callable[..., Any], kind: type[BaseException], said: str, loop: EventLoop
) -> None:
    resources, _ = _resources(function, loop)
    resources.start()
    with pytest.raises(kind, match=said):
        resources.end()


def of_two(worker: WorkerContext, more: int) -> Iterator[None]:
    yield


def by_name(*, worker: WorkerContext) -> Iterator[None]:
    yield


def returns() -> int:
    return 1


@pytest.mark.parametrize("function", [of_two, by_name, returns, 3])
def test_what_cannot_be_a_lifespan_is_refused_at_the_import(function: Any) -> None:
    with pytest.raises(RegistrationError, match="lifespan"):
        Jobs().lifespan(function)


def test_a_registry_has_one_lifespan_and_leaves_its_function_as_it_is() -> None:
    jobs = Jobs()
    assert jobs.worker_lifespan is None
    assert jobs.lifespan(sync) is sync
    assert jobs.worker_lifespan == read_lifespan(sync)
    with pytest.raises(RegistrationError, match="there are two lifespans, sync is the first"):
        jobs.lifespan(in_one_task)
