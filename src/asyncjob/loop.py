"""The event loop on which an engine runs async job functions: one for the life of the process.

It has a file of its own because both engines use it, and because asyncio takes longer to import than everything else
that a Lambda function with sync jobs needs. All jobs share one loop, because what a function keeps from job to job (a
client, a session, a lock) belongs to the loop in which it was made.
"""

import asyncio
import inspect
import os
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from contextvars import Context
from typing import Any, cast

from asyncjob.context import running

Started = tuple[Coroutine[Any, Any, None], Context]


class JobTask(asyncio.Task[None]):
    """The task of one job. No other job can cancel it: many functions end by canceling all of `asyncio.all_tasks()`.

    Attributes:
        ran_in: the context that it was made with.
    """

    ran_in: Context

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel it, if its own job says so, or no job at all. One that has not begun would end without an outcome."""
        job = running.get()
        if not (job is None or job is self.ran_in.get(running)):
            return False
        has_begun = inspect.getcoroutinestate(cast(Coroutine[Any, Any, None], self.get_coro())) != inspect.CORO_CREATED
        return has_begun and super().cancel(msg)


class EventLoop:
    """Runs async jobs as tasks of one asyncio loop, in a thread that starts with the first job.

    Args:
        prepare: called first in that thread.
        started: called, in the job's context, with the number of each process that a job starts through asyncio.

    Attributes:
        current_task: `asyncio.current_task`, for who has not imported that.
    """

    current_task = staticmethod(asyncio.current_task)

    def __init__(
        self, prepare: Callable[[], None] = lambda: None, started: Callable[[int], None] = lambda pid: None
    ) -> None:
        self._prepare = prepare
        self._started = started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: dict[Coroutine[Any, Any, None], JobTask] = {}  # the loop itself holds only weak references
        self._starting = threading.Lock()

    def start(self, jobs: Iterable[Started]) -> None:
        """Run coroutines beside those that run already, each in the context that comes with it."""
        with self._starting:  # threads whose functions have returned awaitables come here, too
            loop = self._loop or self._start()
        loop.call_soon_threadsafe(self._create_tasks, jobs)

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.new_event_loop()
        self._note_processes(self._loop)
        os.register_at_fork(after_in_child=self._leave_in_child)
        self._thread = threading.Thread(target=self._run, args=[self._loop], daemon=True)
        self._thread.start()
        return self._loop

    def call(self, callback: Callable[[], Any]) -> None:
        """Make this call in the loop's thread, if an async job was ever started."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback, context=Context())  # whoever calls, it is not for a job

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._prepare()
            while True:  # a function may stop it
                with suppress(SystemExit, KeyboardInterrupt):  # asyncio lets them out of a function's own tasks
                    loop.run_forever()
        except BaseException:  # thrown into this thread: nobody knows what it broke off
            traceback.print_exc()
        finally:
            os._exit(1)

    def _create_tasks(self, jobs: Iterable[Started]) -> None:
        assert self._loop is not None
        for coroutine, context in jobs:
            # Not by the loop's create_task: a function may have replaced its factory.
            task = JobTask(self._run_job(coroutine), loop=self._loop, context=context)
            task.ran_in = context
            self._tasks[coroutine] = task

    async def _run_job(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Await it, then tidy up. A callback of the task would cost the loop a turn more."""
        try:
            await coroutine
        finally:
            del self._tasks[coroutine]
            loop = asyncio.get_running_loop()
            if loop.get_task_factory() is not None:  # a function has set it, and the next must not meet it
                loop.set_task_factory(None)
            if loop.get_exception_handler() is not None:
                loop.set_exception_handler(None)

    def _note_processes(self, loop: asyncio.AbstractEventLoop) -> None:
        for name in ("subprocess_exec", "subprocess_shell"):
            setattr(loop, name, self._noting(getattr(loop, name)))

    def _noting(self, start: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def start_and_note(*arguments: Any, **options: Any) -> Any:
            transport, protocol = await start(*arguments, **options)
            self._started(transport.get_pid())
            return transport, protocol

        return start_and_note

    def _leave_in_child(self) -> None:
        """A process that a job forks in the loop's thread must not run the jobs of its parent."""
        if threading.current_thread() is self._thread and self._loop is not None:
            self._loop.call_soon(os._exit, 1)
