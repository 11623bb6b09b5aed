"""What a worker's descriptors 1 and 2 are: pipes, whose other ends the server reads.

What jobs print in Python comes another way, with its job. What comes here is from child processes, from C code and from
the interpreter's own end, and nobody can say of which job. It is read as fast as one can make use of it: whoever writes
more has to wait a little, and whoever writes more than the log may have of it loses lines, but nothing fills the memory
and nothing stands still.
"""

import asyncio
import os
from collections.abc import Callable
from typing import IO, cast

from asyncjob.server.workers.lines import MAX_LINE_CHARACTERS

Read = Callable[[list[str], int], None]

MAX_READ = 1 << 20  # bytes, until the next time
PAUSE_SECONDS = 0.1
MAX_LINES_READ = 1_000  # of what is read at once


class PipeReader(asyncio.Protocol):
    """Reads lines from a pipe until it is closed, by whoever holds its other end or by `close`.

    Args:
        read: called with lines that came, and how many are left out after them.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._begun = b""
        self._size = 0
        self._transport: asyncio.ReadTransport | None = None
        self._resuming: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, pipe: IO[bytes], read: Read) -> "PipeReader":
        """Begin to read from a pipe, which is closed at the end."""
        _, protocol = await asyncio.get_running_loop().connect_read_pipe(lambda: cls(read), pipe)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        *whole, begun = (self._begun + data).split(b"\n")
        self._begun = begun[:MAX_LINE_CHARACTERS]
        if whole:
            self._read([_text(line) for line in whole[:MAX_LINES_READ]], max(0, len(whole) - MAX_LINES_READ))
        self._size += len(data)
        if self._resuming is None:
            self._resuming = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._resume)
        if self._size > MAX_READ and self._transport is not None:
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._resuming, size, self._size = None, self._size, 0
        if size > MAX_READ and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
        if self._begun:
            begun, self._begun = self._begun, b""
            self._read([_text(begun)], 0)

    def close(self) -> None:
        """Read no more. Whoever still holds the other end finds it closed."""
        if self._transport is not None:
            self._transport.close()


def open_pipe() -> tuple[IO[bytes], int]:
    """A pipe: the end to read, which does not block, and the number of the other one."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return os.fdopen(reading, "rb", 0), writing


def _text(line: bytes) -> str:
    """The last state of a line, as a terminal would show it."""
    last = line[: 4 * MAX_LINE_CHARACTERS].rstrip(b"\r").rpartition(b"\r")[2]
    return last.decode(errors="backslashreplace")
