"""The server's end of the pipe to the guard, the process beside the server that guard.py is.

A file of its own because guard.py imports nothing of this package.
"""

import asyncio
import logging
import os
import sys
from contextlib import suppress

from asyncjob import forked
from asyncjob.server.logs import log
from asyncjob.server.workers import guard


class GuardPipe:
    """The server's end of the pipe to the process of guard.py.

    Args:
        mark: how the marks of all workers of this server begin.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._pipe: int | None = None

    async def start(self) -> None:
        """Start the guard. Without it, what jobs have started ends with their worker, but not with a killed server."""
        theirs, self._pipe = os.pipe()
        forked.keep_from_children(self._pipe)
        os.set_blocking(self._pipe, False)  # so the server never waits for a guard that is stopped
        try:
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-I", "-S", guard.__file__, self._mark],
                stdin=theirs,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            log(logging.ERROR, "guard not started", error=str(error))
        else:
            await self._end_of(process)
        finally:
            os.close(theirs)

    async def _end_of(self, process: asyncio.subprocess.Process) -> None:
        """It forks the guard and ends, so that the guard is not the server's child."""
        try:
            await process.wait()
        except asyncio.CancelledError:  # the event loop ends, and would leave it behind
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise

    def watch(self, pid: int) -> None:
        """A worker has started."""
        self._tell(pid)

    def forget(self, pid: int) -> None:
        """A worker has ended and left nothing; its process id may soon belong to another process."""
        self._tell(-pid)

    def _tell(self, number: int) -> None:
        if self._pipe is not None:
            with suppress(OSError):  # somebody has killed the guard
                os.write(self._pipe, b"%d\n" % number)

    def close(self) -> None:
        """Have the guard look once, and end."""
        if self._pipe is not None:
            forked.forget(self._pipe)
            os.close(self._pipe)
            self._pipe = None
