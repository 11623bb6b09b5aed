"""One HTTP connection, with the limits that uvicorn lacks: how much a client may send, and how long it may take.

Framing decides which of a stranger's bytes become which request, so it is left to the parser, which gets the bytes as
they came. What a proxy could read in another way ends the connection.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from asyncjob.server.http.transport import GatheringTransport

MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 100
MAX_PIPELINED = 64  # requests on one connection that wait for the answers to earlier ones
MAX_FRAMING_BYTES = 16_384  # extensions and trailers of one chunked body, beyond an allowance for each chunk
CHUNK_ALLOWANCE = 16  # bytes of framing that each chunk needs: its size and two line ends
MAX_DRAINED_BYTES = 4_194_304  # of a body that is still arriving after its request was answered
MAX_IGNORED_BYTES = 262_144  # that may follow once nothing more is read
MAX_UNFINISHED_BYTES = 67_108_864  # that all unfinished requests of the server may hold together
REQUEST_SECONDS = 30.0  # for a request to arrive, head and body
READ_SECONDS = 30.0  # for which a client may read nothing of its answer

# Of two values a proxy could take the one and this server the other.
ONLY_ONCE = frozenset(
    (
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-type",
        b"content-encoding",
        b"x-api-key",
        b"authorization",
        b"idempotency-key",
        b"origin",
        b"sec-fetch-site",
    )
)
CHUNKED = b"transfer-encoding: chunked"
REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}
MALFORMED = "the request is not valid HTTP"


class Hangup(Exception):
    """Why a connection ends: the status and the message of its last answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Unfinished:
    """How much all requests hold that have not arrived whole, or that wait for the answers to earlier ones.

    Over the limit, the one that has been arriving for longest is given up: a client that sends at an ordinary pace is
    done long before.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._held: dict[HttpProtocol, int] = {}  # the oldest first

    def hold(self, connection: "HttpProtocol", size: int) -> None:
        """Note how many bytes the unfinished requests of a connection hold; 0 for none."""
        held = self._held.get(connection, 0)
        if size == held:
            return
        self._total += size - held
        if size:
            self._held[connection] = size
        else:
            self._held.pop(connection, None)
        while self._total > self._limit:
            next(iter(self._held)).give_up()


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what a client may send ahead and on the time that it may take.

    An answer leaves in one write. A connection that is ended here gets a last answer, in the one shape of errors.

    Args:
        unfinished: shared by all connections of the server.
        max_connections: how many of them there may be; one more is answered with 503.
    """

    def __init__(self, *args: Any, unfinished: Unfinished, max_connections: int, **more: Any) -> None:
        super().__init__(*args, **more)
        self._unfinished = unfinished
        self._max_connections = max_connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport, self._is_sending))  # type: ignore[arg-type]
        self._is_deaf = False  # True once nothing more is read
        self._is_resuming = False
        self._running: RequestResponseCycle | None = None
        self._hangup: Hangup | None = None
        self._ignored_bytes = 0
        self._unread, self._unread_since = 0, 0.0
        self._receiving_since: float | None
        self._expect_request()
        self._receiving_since = self.loop.time()
        if len(self.connections) > self._max_connections:
            self._receiving_since = None  # it has sent nothing yet, so closing it needs no patience
            self._hang_up(Hangup(503, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._unfinished.hold(self, 0)
        if self._running is not None:
            self._leave(self._running)  # uvicorn tells only the newest of the pipelined requests
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn's timer would keep a connection that was reset, and its request

    def _expect_request(self) -> None:
        self._receiving_since = None  # until it begins, uvicorn's keep-alive timer watches the connection
        self._in_head = True
        self._body_head = b""
        self._ahead_bytes = self._head_bytes = self._body_bytes = self._framing_bytes = self._chunks = 0

    def _is_sending(self) -> bool:
        return self._receiving_since is not None

    # -- what comes --------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._ignored_bytes += len(data)
            if self._ignored_bytes > MAX_IGNORED_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        if self._receiving_since is None:  # even for a blank line: sending those must not keep a connection open
            self._receiving_since = self.loop.time()
        self._packet_bytes = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._framing_bytes += len(data)
        try:
            self._feed(data)
            if self._receiving_since is not None:
                self._check_unfinished()
        except httptools.HttpParserError as error:
            cause = error.__context__
            if not self._is_deaf:  # it is when parsing was ended because too many requests had been sent ahead
                self._hang_up(cause if isinstance(cause, Hangup) else Hangup(400, MALFORMED))
        except Hangup as hangup:
            self._hang_up(hangup)

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                return self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = data[stopped.args[0] :]
                self._ignore_upgrade()

    def _ignore_upgrade(self) -> None:
        """Read on as if the request had not asked for another protocol, as a server may (RFC 9110, 7.8).

        Java's own HTTP client asks for one with every request. httptools stops at the head of such a request and takes
        everything after it, the body included, for the other protocol. So a new parser is told how the head says that
        the body is framed, and gets what follows as it came.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        if self._body_head:
            self._is_resuming = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % self._body_head)
            self._is_resuming = False

    def _check_unfinished(self) -> None:
        """Bound what has arrived of an unfinished request, by itself and together with all others."""
        if self._in_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                raise _too_large_head()
            held = self._ahead_bytes + self._head_bytes + self._pipelined_bytes()
        else:
            self._framing_bytes = max(self._framing_bytes, 0)  # it was below 0 if the packet held other requests too
            if self._framing_bytes > MAX_FRAMING_BYTES + self._chunks * CHUNK_ALLOWANCE:
                raise Hangup(400, "the body's chunk extensions and trailers are too large")
            held = self._ahead_bytes + self._head_bytes + self._body_bytes + self._pipelined_bytes()
            if self.cycle.response_complete:
                if self._body_bytes > MAX_DRAINED_BYTES:
                    self._stop()
                held = 0
        self._unfinished.hold(self, held)

    # -- what the parser tells ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_resuming:
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self.cycle.keep_alive = False  # so the last one's answer tells the client that the rest was not read
            self._is_deaf = True
            self._receiving_since = self.loop.time()
            raise OverflowError  # ends the parsing
        super().on_message_begin()
        self._receiving_since = self.loop.time()
        if not self._head_bytes:  # it begins somewhere in the packet that ends another request
            self._ahead_bytes = min(self._packet_bytes, MAX_HEAD_BYTES)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if not self._in_head:  # trailers are ignored, but the parser would act on this one
            if name in (b"connection", b"proxy-connection"):
                raise Hangup(400, "connection must not be a trailer")
            return
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > MAX_HEADERS:
            raise Hangup(431, f"the request has more than {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        if self._is_resuming:
            return
        arrived = self._head_bytes
        self._check_head_size()
        self._check_head()
        if self._body_head == CHUNKED:
            self._framing_bytes = max(arrived - self._head_size(), 0)
        if not self.url.startswith(b"/"):
            self._check_target()
        super().on_headers_complete()
        self._in_head = False

    def _check_head_size(self) -> None:
        if self._head_bytes > MAX_HEAD_BYTES or self._packet_bytes > MAX_HEAD_BYTES:  # some of it may be the body
            self._head_bytes = self._head_size()
            if self._head_bytes > MAX_HEAD_BYTES:
                raise _too_large_head()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _check_head(self) -> None:
        """Refuse what a proxy could read in another way, and note how the body is framed."""
        only: dict[bytes, bytes] = {}
        for name, value in self.headers:
            if name in ONLY_ONCE:
                if name in only:
                    raise Hangup(400, f"the header {name.decode()} is given twice")
                only[name] = value
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Hangup(505, "the request must be HTTP/1.1 or HTTP/1.0")
        if b"host" not in only and version == "1.1":
            raise Hangup(400, "the header host is missing")
        encoding, length = only.get(b"transfer-encoding"), only.get(b"content-length")
        if encoding is not None:
            if version == "1.0" or length is not None:
                raise Hangup(400, "transfer-encoding must not come with HTTP/1.0 or with a content-length")
            if encoding.lower() != b"chunked":
                raise Hangup(501, "the only transfer-encoding is chunked")
            self._body_head = CHUNKED
        elif length is not None and int(length):
            self._body_head = b"content-length: " + length

    def _check_target(self) -> None:
        """Take the path from a target with a host in it, which is how clients ask proxies; no other kind is served."""
        if self.parser.get_method() == b"CONNECT":
            raise Hangup(501, "this server is no proxy")
        if self.url == b"*":
            return
        target = httptools.parse_url(self.url)
        authority = self.url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        if authority.lower() != dict(self.headers).get(b"host", authority).lower():
            raise Hangup(400, "the target names another host than the header host")
        self.url = (target.path or b"/") + (b"" if target.query is None else b"?" + target.query)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_message_complete(self) -> None:
        if self._body_head and self.parser.should_upgrade():
            return  # the body has not arrived: see _ignore_upgrade
        super().on_message_complete()
        self._expect_request()
        self._unfinished.hold(self, self._pipelined_bytes())

    def _pipelined_bytes(self) -> int:
        """How much the requests hold that have arrived and wait for the answers to earlier ones."""
        return sum(len(cycle.body) for cycle, _ in self.pipeline) if self.pipeline else 0

    # -- what is answered --------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        had_pipelined = bool(self.pipeline)
        super().on_response_complete()
        if had_pipelined and self._receiving_since is None:
            self._unfinished.hold(self, self._pipelined_bytes())
        if self._hangup is not None and not (self._is_answering() or self.transport.is_closing()):
            self._send_last_answer(self._hangup)

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def hang_up_if_late(self, now: float) -> None:
        """End the connection if its request, or the first byte of its first request, is overdue."""
        if self._receiving_since is None or self._is_deaf or now - self._receiving_since <= REQUEST_SECONDS:
            return
        its_turn_has_come = not self._is_answering() if self._in_head else self.cycle is self._running
        if its_turn_has_come:
            self._hang_up(Hangup(408, "the request did not arrive in time"))

    def give_up(self) -> None:
        """End the connection because all requests together hold too much."""
        if self._receiving_since is None:  # its requests have arrived, ahead of answers that it does not read
            self._unfinished.hold(self, 0)
            self.transport.abort()
            return
        self._hang_up(Hangup(503, "too many requests are arriving at once"))

    def abort_if_unread(self, now: float) -> None:
        """Close the connection if its client has read nothing of its answer for too long."""
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        elif unread and now - self._unread_since > READ_SECONDS:
            self.transport.abort()

    def _hang_up(self, hangup: Hangup) -> None:
        """Read no more, and say why once all earlier requests are answered."""
        self._is_deaf = True
        self._unfinished.hold(self, 0)
        cycle = None if self._in_head else self.cycle  # of the request, if the application knows of it
        if cycle is not None and cycle is self._running:
            self._leave(cycle)
            if cycle.response_started:
                self.transport.close()  # it was answered before it had arrived
            else:
                self._send_last_answer(hangup)
            return
        if cycle is not None:
            self.pipeline.popleft()
        if self._is_answering():
            self._hangup = hangup
        else:
            self._send_last_answer(hangup)

    @staticmethod
    def _leave(cycle: RequestResponseCycle) -> None:
        """Tell the application that the client of this request is gone."""
        if not cycle.response_complete:
            cycle.disconnected = True
        cycle.message_event.set()

    def _stop(self) -> None:
        self._is_deaf = True
        self.transport.close()

    def _send_last_answer(self, hangup: Hangup) -> None:
        self._unset_keepalive_if_required()
        body = b'{"message":"%b"}' % hangup.message.encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
            b"x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (hangup.status, REASONS[hangup.status], len(body), body)
        )
        self.transport.close()


def _too_large_head() -> Hangup:
    return Hangup(431, "the request's headers are over the limit of 64 KB")
