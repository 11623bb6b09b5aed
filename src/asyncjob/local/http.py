"""uvicorn, where it is to behave otherwise than it does by itself."""

import asyncio
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
MAX_PIPELINED = 64  # requests that wait on one connection for the answers to earlier ones
REQUEST_SECONDS = 30.0  # how long a request may take to arrive, head and body
READ_SECONDS = 30.0  # how long a client may read nothing of an answer
# A request to go on in another protocol may be ignored (RFC 9110, section 7.8), but httptools would take what follows
# for that protocol's, the body too; Java's own HTTP client asks so with every request.
UPGRADE = re.compile(rb"\r\n[Uu]pgrade:")
CLOSE_SECONDS = 5  # what open requests get to finish when the server stops


class GatheringTransport:
    """A transport that sends what one iteration of the event loop writes at once.

    uvicorn writes the head and the body of an answer separately and uvloop makes a system call of each: two packets,
    and two wake-ups of the client, for one small answer.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._written.append(data)
        if len(self._written) == 1:
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        if self._written and not self._transport.is_closing():
            self._transport.write(b"".join(self._written))
        self._written.clear()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what a client may send ahead and on the time that it may take.

    Answers leave in one write, and what is refused here is refused in the one shape of errors.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport))  # type: ignore[arg-type]
        self._is_full = False
        self._unread, self._unread_since = 0, 0.0
        self._expect_request()

    def _expect_request(self) -> None:
        self._receiving_since: float | None = self.loop.time()
        self._in_head = True
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._is_full:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if b"pgrade" in data:
                head, end, body = data.partition(b"\r\n\r\n")
                data = UPGRADE.sub(b"\r\nx-upgrade:", head) + end + body
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self.cycle.keep_alive = False  # the last one's answer tells the client that what follows was not read
            self._is_full = True
            raise OverflowError  # which ends the parsing
        super().on_message_begin()
        self._receiving_since = self.loop.time()

    def on_headers_complete(self) -> None:
        if self._head_bytes > MAX_HEAD_BYTES:  # of which some may be the body
            self._head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise OverflowError  # which httptools takes for a malformed request
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._expect_request()
        self._receiving_since = None  # until the next one begins; meanwhile uvicorn's keep-alive timer watches

    def refuse_if_late(self, now: float) -> None:
        """Close the connection if its request, or the first byte of its first one, has been awaited for too long."""
        if self._receiving_since is None or now - self._receiving_since <= REQUEST_SECONDS:
            return
        earlier_is_unanswered = self._in_head and self.cycle is not None and not self.cycle.response_complete
        if not (self.pipeline or earlier_is_unanswered):
            self._receiving_since = None
            self._refuse(b"408 Request Timeout", b"the request did not arrive in time")

    def abort_if_unread(self, now: float) -> None:
        """Close the connection if its client has read nothing of what it was answered for too long."""
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        elif unread and now - self._unread_since > READ_SECONDS:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        if self._is_full:
            return  # no fault of a request: the earlier ones are answered yet
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", b"the request's headers are over the limit of 64 KB")
        else:
            self._refuse(b"400 Bad Request", b"the request is not valid HTTP")

    def _refuse(self, status: bytes, message: bytes) -> None:
        body = b'{"message":"%b"}' % message
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )
        self.transport.close()


class HttpServer(uvicorn.Server):
    """Leaves the signals alone: the jobs end before HTTP does."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, as uvicorn calls it; once a second it looks for clients that do not go on."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.refuse_if_late(now)
                    connection.abort_if_unread(now)
        return await super().on_tick(counter)


def config(app: Any, backlog: int) -> uvicorn.Config:
    """How uvicorn serves the application: nothing but HTTP, and no log of its own but warnings."""
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=backlog,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
