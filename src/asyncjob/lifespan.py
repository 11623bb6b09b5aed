"""Resources of a worker: what `@jobs.lifespan` makes once for all jobs of a process, such as a client, a pool, a model.

It is a generator function with one `yield`. What stands before it runs before the process takes its first job, what
stands after it runs after the last. An async one runs on the event loop of async functions, from its beginning to its
end as one task, so that what it opens with `async with` can be closed.
"""

import inspect
import queue
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncjob.context import WorkerContext
from asyncjob.signature import RegistrationError, signed

if TYPE_CHECKING:
    import asyncio

    from asyncjob.loop import EventLoop

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Lifespan:
    """What `@jobs.lifespan` registers.

    Attributes:
        function: a generator function, sync or async.
        is_async: which of the two it is.
        takes_worker: whether it is handed the WorkerContext.
    """

    function: Callable[..., Any]
    is_async: bool
    takes_worker: bool

    @property
    def name(self) -> str:
        """The function's name, for people."""
        return str(getattr(signed(self.function), "__name__", self.function))


def read_lifespan(function: Callable[..., Any]) -> Lifespan:
    """Look at a function that is to be a lifespan.

    Raises:
        RegistrationError: it cannot be one.
    """
    code = signed(function) if callable(function) else None
    is_async = inspect.isasyncgenfunction(code)
    if not (is_async or inspect.isgeneratorfunction(code)):
        raise RegistrationError(f"{function!r} is not a lifespan: write a function, sync or async, with one `yield`")
    needed = [one for one in inspect.signature(function).parameters.values() if one.default is inspect.Parameter.empty]
    if len(needed) > 1 or any(one.kind not in POSITIONAL for one in needed):
        raise RegistrationError(f"{function!r} takes too much: a lifespan takes nothing, or a WorkerContext")
    return Lifespan(function, is_async, bool(needed))


class Resources:
    """The resources of one process, which are in `worker.resources` from `start` on.

    Args:
        lifespan: makes them.
        worker: handed to the lifespan.
        context: in which it runs.
        loop: called for the event loop, if the lifespan is async.
    """

    def __init__(
        self, lifespan: Lifespan, worker: WorkerContext, context: Context, loop: "Callable[[], EventLoop]"
    ) -> None:
        self._lifespan = lifespan
        self._worker = worker
        self._context = context
        self._loop = loop
        self._generator: Generator[Any, None, None] | None = None
        self._told: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()  # by the task of an async one
        self._is_over: asyncio.Event | None = None

    def start(self) -> None:
        """Run the lifespan up to its `yield`. Whatever it raises passes.

        Raises:
            RegistrationError: it does not yield.
        """
        if self._lifespan.is_async:
            self._loop().start([(self._live(), self._context)])
            self._wait()
            return
        self._generator = self._context.run(self._called)
        try:
            self._worker.resources = self._context.run(next, self._generator)
        except StopIteration:
            raise self._no_yield() from None

    def end(self) -> None:
        """Run the rest of the lifespan, after `start` and in the same thread. Whatever it raises passes.

        Raises:
            RegistrationError: it yields once more.
        """
        if self._is_over is not None:
            self._loop().call(self._is_over.set)
            self._wait()
        elif self._generator is not None:
            try:
                self._context.run(next, self._generator)
            except StopIteration:
                return
            raise self._second_yield()

    async def _live(self) -> None:
        import asyncio

        self._is_over = asyncio.Event()
        try:
            generator: AsyncGenerator[Any, None] = self._called()
            try:
                self._worker.resources = await anext(generator)
            except StopAsyncIteration:
                raise self._no_yield() from None
            self._told.put(None)
            await self._is_over.wait()
            async for _ in generator:
                raise self._second_yield()
        except BaseException as error:
            self._told.put(error)
        else:
            self._told.put(None)

    def _called(self) -> Any:
        return self._lifespan.function(*([self._worker] if self._lifespan.takes_worker else []))

    def _wait(self) -> None:
        error = self._told.get()
        if error is not None:
            raise error

    def _no_yield(self) -> RegistrationError:
        return RegistrationError(f"the lifespan {self._lifespan.name} does not come to its `yield`")

    def _second_yield(self) -> RegistrationError:
        return RegistrationError(f"the lifespan {self._lifespan.name} has more than one `yield`")
