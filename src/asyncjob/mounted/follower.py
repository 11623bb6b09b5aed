"""A process that has the same application as the owner of the database: it hands its requests to the owner."""

import asyncio
import resource
from contextlib import suppress

from asyncjob.mounted import address
from asyncjob.mounted.connection import Begin, Connection, Hello, Part, Welcome, connected
from asyncjob.mounted.request import HandedRequest

MAX_IDLE = 32  # connections that are kept for the next requests
WELCOME_SECONDS = 15.0  # for the owner, whose event loop somebody may have blocked
EVENT_STREAM = b"text/event-stream"


class OwnerLost(Exception):
    """The owner has died or stopped before it had answered, or in the middle of its answer."""

    def __init__(self) -> None:
        super().__init__("the process that has the jobs ended before its answer did")


class Busy(Exception):
    """Too many requests are open at once."""


class Follower:
    """The way to the owner.

    `follow` makes one.

    Attributes:
        owner: the process.
        is_same: whether it has the same application; if not, it answers nothing.

    Args:
        path: of the owner's socket.
        identity: of this process's application.
        watched: a connection that carries no request: its end is the owner's.
        welcome: what the owner has said there.
    """

    def __init__(self, path: str, identity: bytes, watched: Connection, welcome: Welcome) -> None:
        self.owner = welcome.process
        self.is_same = welcome.is_same
        self._path = path
        self._identity = identity
        self._watched = watched
        self._idle: list[Connection] = []
        self._open = 0
        self._most = max(32, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)  # the owner may have as few
        self._streams: set[Connection] = set()

    async def lost(self) -> None:
        """Wait for the owner's end."""
        await self._watched.is_over.wait()

    def end_streams(self) -> None:
        """End the event streams of this process, which would go on for as long as their clients like."""
        for connection in self._streams:
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in [self._watched, *self._idle, *self._streams]:
            connection.close()

    async def answer(self, request: HandedRequest) -> None:
        """Have the owner answer.

        Raises:
            OwnerLost: it is gone; `request` knows what has become of it.
            Busy: too many requests are open, here or with the owner.
            TooLarge: the head of the request is over the limit.
        """
        if self._open >= self._most:
            raise Busy
        self._open += 1
        connection: Connection | None = None
        try:
            connection = await self._take()
            if await self._exchange(request, connection) and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                connection = None
        finally:
            self._open -= 1
            if connection is not None:
                self._streams.discard(connection)
                connection.close()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_over.is_set():
                return connection
        connection, welcome = await _greet(self._path, self._identity)
        if not welcome.is_same:  # it is another owner's, already
            connection.close()
            raise OwnerLost
        if welcome.is_full:
            connection.close()
            raise Busy
        return connection

    async def _exchange(self, request: HandedRequest, connection: Connection) -> bool:
        """Hand the request over and pass on the answer; whether the connection can carry another request."""
        is_sent = asyncio.Event()
        handing_over = asyncio.ensure_future(_hand_over(request, connection, is_sent))
        try:
            await self._pass_on(request, connection)
        except OwnerLost:
            if handing_over.done():
                handing_over.result()  # raises what `receive` has raised, which was the reason
            raise
        finally:
            handing_over.cancel()
        return is_sent.is_set() and not connection.is_over.is_set()

    async def _pass_on(self, request: HandedRequest, connection: Connection) -> None:
        """Send the answer to the client as it comes."""
        begin, part = await connection.next(), await connection.next()
        if not (isinstance(begin, Begin) and isinstance(part, Part)):
            if request.has_left:
                return
            raise OwnerLost
        headers = list(begin.headers)
        is_stream = any(value.startswith(EVENT_STREAM) for name, value in headers if name == b"content-type")
        if is_stream:
            self._streams.add(connection)
        await request.send({"type": "http.response.start", "status": begin.status, "headers": headers})
        while True:
            await request.send({"type": "http.response.body", "body": part.data, "more_body": part.more})
            if not part.more:
                return
            following = await connection.next()
            if isinstance(following, Part):
                part = following
            elif is_stream:  # as a server ends it that stops: the client comes back
                part = Part(b"", more=False)
            elif request.has_left:
                return
            else:
                raise OwnerLost


async def _hand_over(request: HandedRequest, connection: Connection, is_sent: asyncio.Event) -> None:
    """Send the request; when its client leaves, close the connection, which tells the owner."""
    try:
        request.times_handed_over += 1
        await connection.send(request.ask)
        async for body in request.body():
            await connection.send(body)
        is_sent.set()
        await request.left()
        connection.close()
    except Exception:
        connection.close()
        raise


async def _greet(path: str, identity: bytes) -> tuple[Connection, Welcome]:
    try:
        connection = await connected(lambda: address.connect(path))
    except OSError:
        raise OwnerLost from None
    welcome = None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(WELCOME_SECONDS):
                await connection.send(Hello(identity))
                welcome = await connection.next()
    finally:
        if not isinstance(welcome, Welcome):
            connection.close()
    if not isinstance(welcome, Welcome):
        raise OwnerLost
    return connection, welcome


async def follow(path: str, identity: bytes) -> Follower | None:
    """The way to the owner that listens there, if one does."""
    try:
        return Follower(path, identity, *await _greet(path, identity))
    except OwnerLost:
        return None
