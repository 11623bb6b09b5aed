"""The event loop on which an engine runs async job functions: one for the life of the process.

A file of its own since both engines have it, and asyncio takes longer to import than all else that a Lambda function of
sync jobs needs. One loop for all jobs, because what a function keeps from job to job (a client, a session, a lock)
belongs to the loop that it was made in.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


class EventLoop:
    """Runs async jobs as tasks of one asyncio loop, in a thread that starts with the first of them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutines: list[Coroutine[Any, Any, None]]) -> None:
        """Run the coroutines concurrently with all that run already."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._run, args=[self._loop], daemon=True).start()
        self._loop.call_soon_threadsafe(self._create_tasks, coroutines)

    def call(self, callback: Callable[[], Any]) -> None:
        """Call something in the loop's thread, which runs since an async job was started."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(callback)

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        while True:
            with suppress(SystemExit, KeyboardInterrupt):  # asyncio lets them out of a function's own tasks
                loop.run_forever()

    def _create_tasks(self, coroutines: list[Coroutine[Any, Any, None]]) -> None:
        for coroutine in coroutines:
            task = asyncio.get_running_loop().create_task(coroutine)
            self._tasks.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._tasks.discard)
