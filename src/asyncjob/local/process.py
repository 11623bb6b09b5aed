"""One worker process as the server sees it: start it, talk to it, notice its end."""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from asyncjob.local.channel import Message, Unpacker, pack


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
        """Start the process: a fresh interpreter (spawn, not fork), which imports the registry itself."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), *([] if target is None else [target])]
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "asyncjob.local.worker",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.pid = self._process.pid
        self._transport, _ = await loop.create_connection(lambda: self, sock=ours)

    def send(self, messages: list[Message]) -> None:
        """Hand messages over; they are lost if the process is gone, and then `ended` is called."""
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
