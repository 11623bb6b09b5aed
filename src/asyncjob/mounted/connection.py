"""What the processes of one application say to each other, and how it is framed on their socket.

A connection carries one request at a time, as ASGI has it: the request's scope and body one way, the answer's head and
body the other way. So the owner answers the same to everybody, and a slow client holds up nobody but itself. A frame is
a length of four bytes and one message as MessagePack.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec

from asyncjob import forked
from asyncjob.server.frames import Frames, TooLong, frame

MAX_FRAME_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18  # of a body, in one message
MAX_UNREAD_BYTES = 1 << 19  # above which the other end has to wait


class TooLarge(Exception):
    """A message that no frame can hold."""


Headers = list[tuple[bytes, bytes]]


class Hello(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the owner, first of all: which application this process has."""

    application: bytes


class Welcome(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the owner: its process, and whether it has the same application. If not, it answers nothing.

    `is_full` says that it has too many connections to be asked anything on this one.
    """

    process: int
    is_same: bool
    is_full: bool


class Ask(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the owner: a request. What the fields are named after is in ASGI's scope.

    `job_id` is for the job that it may make, if it names none itself: the request may be handed over twice.
    """

    method: str
    path: str
    raw_path: bytes | None
    root_path: str
    query_string: bytes
    headers: Headers
    client: tuple[str, int] | None
    job_id: str


class Body(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the owner: a part of the request's body."""

    data: bytes
    more: bool


class Begin(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the owner: the answer begins."""

    status: int
    headers: Headers


class Part(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the owner: a part of the answer's body."""

    data: bytes
    more: bool


Message = Hello | Welcome | Ask | Body | Begin | Part

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def chunks(data: bytes, more: bool) -> Iterator[tuple[bytes, bool]]:
    """A part of a body, in pieces that fit into a message, each with whether there is more."""
    for start in range(0, max(len(data), 1), CHUNK_BYTES):
        end = start + CHUNK_BYTES
        yield data[start:end], more or end < len(data)


class Connection(asyncio.Protocol):
    """One end of a connection: whole messages in, whole messages out.

    Attributes:
        is_over: set once the other end has closed it, or broken it.

    Args:
        opened: called with this once it is connected.
    """

    def __init__(self, opened: Callable[["Connection"], None] | None = None) -> None:
        self.is_over = asyncio.Event()
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._frames = Frames(MAX_FRAME_BYTES)
        self._messages: deque[tuple[Message, int]] = deque()
        self._unread = 0
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def next(self) -> Message | None:
        """The next message; None if there will be none."""
        while not self._messages:
            if self.is_over.is_set():
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message, size = self._messages.popleft()
        self._unread -= size
        if self._transport is not None and self._unread <= MAX_UNREAD_BYTES:
            self._transport.resume_reading()
        return message

    async def send(self, *messages: Message) -> None:
        """Send messages, and wait while the other end does not read.

        Raises:
            TooLarge: one of them is.
        """
        frames = []
        for message in messages:
            body = _encoder.encode(message)
            if len(body) > MAX_FRAME_BYTES:
                raise TooLarge
            frames.append(frame(body))
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(frames))
        await self._writable.wait()

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def _end(self) -> None:
        self.is_over.set()
        self._arrived.set()
        self._writable.set()

    # -- asyncio's protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._descriptor = transport.get_extra_info("socket").fileno()
        forked.keep_from_children(self._descriptor)
        if self._opened is not None:
            self._opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._messages.append((_decoder.decode(body), len(body)))
                self._unread += len(body)
        except (TooLong, msgspec.MsgspecError, ValueError, RecursionError):
            return self.close()
        if self._messages:
            self._arrived.set()
        if self._unread > MAX_UNREAD_BYTES and self._transport is not None:
            self._transport.pause_reading()
        return None

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        forked.forget(self._descriptor)
        self._end()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()


async def connected(make: Callable[[], Any]) -> Connection:
    """A connection on a socket that `make` connects.

    Raises:
        OSError: it cannot.
    """
    connection = Connection()
    await asyncio.get_running_loop().create_connection(lambda: connection, sock=make())
    return connection
