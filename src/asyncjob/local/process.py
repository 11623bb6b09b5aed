"""One worker process as the server sees it: start it, talk to it, notice its end."""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from asyncjob.local.channel import Message, Unpacker, pack

LAST_WORDS_SECONDS = 0.5  # what a dead worker had sent may still lie in the socket


class WorkerProcess(asyncio.Protocol):
    """The server's end of the socket to a worker.

    Attributes:
        pid: the process.

    Args:
        received: called with the messages that came, in order.
        ended: called once, after the last message, when the process is gone or has closed its end.
    """

    def __init__(self, received: Callable[[list[Message]], None], ended: Callable[[], None]) -> None:
        self._received = received
        self._ended = ended
        self._unpacker = Unpacker()

    async def start(self, target: str | None) -> None:
        """Start the process: a fresh interpreter (spawn, not fork), which imports the registry itself.

        Raises:
            OSError: there are too many processes or open files.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: what lies in the current folder must not stand in for a module of the standard library.
            command = [sys.executable, "-P", "-m", "asyncjob.local.worker", str(theirs.fileno())]
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    *([] if target is None else [target]),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            except BaseException:
                ours.close()
                raise
        self.pid = self._process.pid
        self._transport, _ = await loop.create_connection(lambda: self, sock=ours)
        self._watch = loop.create_task(self._notice_end())

    async def _notice_end(self) -> None:
        """The socket of a dead worker closes by itself, unless a process that a job started holds it open too."""
        await self._process.wait()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        self._transport.abort()

    def send(self, messages: list[Message]) -> None:
        """Hand messages over; they are lost if the process is gone, and then `ended` is called."""
        if not self._transport.is_closing():
            self._transport.write(pack(messages))

    def kill(self) -> None:
        """End the process at once; `ended` is called when it is over."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> int:
        """The exit status, negative for a signal."""
        return await self._process.wait()

    def data_received(self, data: bytes) -> None:
        self._received(self._unpacker.feed(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()
