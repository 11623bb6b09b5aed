"""Random requests, cut into packets at random, read by this server's protocol and by h11: both see the same ones.

Where the two could disagree, a proxy and this server could: one would take for a body what the other runs as a request.
So for each stream of bytes what the protocol hands to the application is the beginning of what h11 reads, whole, or as
much of it as came before the connection was closed.

    python -m tests.differential --count 100000 [--seed N]
"""

import argparse
import asyncio
import random
import sys
from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any, NamedTuple

import h11
import uvicorn
from uvicorn.server import ServerState

from asyncjob.server.http.listener import config

MAX_STEPS = 100  # iterations of the event loop until all that can be answered is


class Seen(NamedTuple):
    """A request as a reader understood it."""

    method: bytes
    target: bytes
    body: bytes


class Ending(NamedTuple):
    """What became of a stream of bytes: the requests, and whether the reader would read no more."""

    requests: list[Seen]
    closed: bool


# -- the requests ----------------------------------------------------------------------------------------------------

SMUGGLED = b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
BODIES = [
    b"",
    b"x",
    b"{}",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"{}\r\nupgrade:xx",
    SMUGGLED,
    b"a" * 300,
    b"\r\nUpgrade: h2c\r\n\r\n" + SMUGGLED,
]
HONEST = [
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
    b"Connection: keep-alive, upgrade\r\nUpgrade: websocket",
    b"Upgrade: h2c",
    b"Connection: upgrade",
    b"Expect: 100-continue",
    b"X-Upgrade: \r\nAccept: */*",
    b"X-Odd:\t  padded\t ",
]
ODD = [
    b"Host: b",
    b"Content-Length: 5",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length: 0x5",
    b"Content-Length: -1",
    b"Content-Length: 05",
    b"Content-Length:",
    b"Content-Length: 99999999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer_Encoding: chunked",
    b"X-Folded: a\r\n b",
    b"X-Folded: a\r\n\tContent-Length: 9",
    b"X-Bare: a\nContent-Length: 9",
    b"X-Bare: a\rContent-Length: 9",
    b"X-Nul: a\x00b",
    b"X-High: \xff",
    b": no name",
    b"no colon",
    b"X y: z",
    b" X-Begins: with a space",
]
METHODS = [b"GET", b"POST", b"POST", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT"]
TARGETS = [b"/", b"/jobs", b"/jobs/a?wait=1", b"//x/y", b"http://a/jobs", b"HTTP://A", b"http://b/jobs", b"*", b"a:1"]
# No space: more than one between a method, its target and the version is read by some and refused by others, h11 among
# them, and is the same request to all (RFC 9112, section 3).
MISPLACED = [b"\n", b"\r", b"\x00", b"\t", b"\r\n", b":", b"0", b""]
VERSIONS = [b"HTTP/1.1"] * 200 + [b"HTTP/1.0", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"http/1.1"]


def _recased(rng: random.Random, header: bytes) -> bytes:
    name, colon, value = header.partition(b":")
    text = "".join(rng.choice((letter.lower(), letter.upper())) for letter in name.decode("latin-1"))
    return text.encode("latin-1") + colon + value


def _chunked(rng: random.Random, body: bytes) -> bytes:
    parts = []
    while body:
        size = rng.randint(1, len(body))
        extension = rng.choice([b""] * 6 + [b";a=b", b";a", b';a="q"', b";" + b"x" * 200])
        digits = rng.choice([b"%x", b"%X", b"%04x"]) % size
        end = b"\n" if rng.random() < 0.01 else b"\r\n"
        parts.append(digits + extension + end + body[:size] + b"\r\n")
        body = body[size:]
    trailers = rng.choice(
        [b""] * 4 + [b"X-T: 1\r\n", b"Host: b\r\nContent-Length: 9\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n"]
    )
    return b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


def request(rng: random.Random) -> bytes:
    """One request, honest more often than not."""
    method, target = rng.choice(METHODS[:7]), rng.choice(TARGETS[:4])
    if rng.random() < 0.08:
        method, target = rng.choice(METHODS), rng.choice(TARGETS)
    headers = [b"Host: a", *rng.sample(HONEST, rng.choice((0, 1, 1, 2, 3)))]
    body = rng.choice(BODIES)
    framing = rng.random()
    if framing < 0.4:
        headers.append(b"Content-Length: %d" % len(body))
    elif framing < 0.8:
        headers.append(b"Transfer-Encoding: chunked")
        body = _chunked(rng, body)
    else:
        body = b""
    if rng.random() < 0.1:
        headers.append(rng.choice(ODD))
    if rng.random() < 0.05:
        headers.append(b"Connection: close")
    if rng.random() < 0.02:
        headers.remove(b"Host: a")
    rng.shuffle(headers)
    headers = [_recased(rng, header) if rng.random() < 0.5 else header for header in headers]
    line = method + b" " + target + b" " + rng.choice(VERSIONS)
    return b"".join(part + b"\r\n" for part in (line, *headers)) + b"\r\n" + body


def stream(rng: random.Random) -> bytes:
    """Requests of one connection, one after the other; now and then with a byte that does not belong there."""
    raw = b"".join(request(rng) for _ in range(rng.choice((1, 2, 2, 3, 5))))
    if rng.random() < 0.1:
        place = rng.randrange(len(raw))
        raw = raw[:place] + rng.choice(MISPLACED) + raw[place + rng.randint(0, 1) :]
    return raw


def packets(rng: random.Random, raw: bytes) -> list[bytes]:
    """The same bytes in pieces: few, many, or each by itself."""
    cuts = rng.choice((0, 1, 2, 5, 20, len(raw)))
    places = sorted({0, len(raw), *(rng.randrange(1, len(raw)) for _ in range(min(cuts, len(raw) - 1)))})
    return [raw[begin:end] for begin, end in pairwise(places)]


# -- the readers -----------------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """A connection without a network: says whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def writelines(self, parts: Any) -> None:
        self.sent += b"".join(parts)

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


async def served(parts: list[bytes]) -> Ending:
    """What the protocol hands to an application that reads each body whole."""
    requests: list[Seen] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        message, body = await receive(), b""
        while message["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
                requests.append(Seen(scope["method"].encode(), target, body))
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            message = await receive()

    settings: uvicorn.Config = config(app, backlog=1)
    settings.load()
    state, wire = ServerState(), Wire()
    protocol: Any = settings.http_protocol_class(config=settings, server_state=state, app_state={})  # type: ignore[call-arg]
    protocol.connection_made(wire)
    for part in parts:
        if not wire.closed:
            protocol.data_received(part)
            await asyncio.sleep(0)
    for _ in range(MAX_STEPS):
        if not state.tasks:
            break
        await asyncio.sleep(0)
    ended = wire.closed
    protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    return Ending(requests, ended)


def reference(raw: bytes) -> Ending:
    """What h11 reads of the same bytes; it goes no further than the first request that ends the connection."""
    requests: list[Seen] = []
    while raw := raw.lstrip(b"\r\n"):  # empty lines before a request mean nothing (RFC 9112, section 2.2)
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
        reader.receive_data(raw)
        method = target = body = b""
        try:
            while (event := reader.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Request):
                    method, target = event.method, event.target
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
        except h11.RemoteProtocolError:
            return Ending(requests, closed=True)
        if event is h11.NEED_DATA:
            return Ending(requests, closed=False)
        requests.append(Seen(method, _path(target), body))
        reader.send(h11.Response(status_code=404, headers=[("content-length", "0")]))  # and no other protocol
        if reader.their_state is not h11.DONE:
            return Ending(requests, closed=True)
        raw = reader.trailing_data[0]
    return Ending(requests, closed=False)


def _path(target: bytes) -> bytes:
    """The path and query of a target that names a host, as a proxy is sent them."""
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() != b"http" or target.startswith(b"/"):
        return target
    return b"/" + rest.partition(b"/")[2]


async def check(seed: int) -> Ending:
    """Compare the readers on one stream; what the protocol did.

    Raises:
        AssertionError: they saw different requests.
    """
    rng = random.Random(seed)
    raw = stream(rng)
    parts = packets(rng, raw)
    expected, ending = reference(raw), await served(parts)
    said = f"seed {seed}: {parts}\nh11: {expected}\nserver: {ending}"
    assert ending.requests == expected.requests[: len(ending.requests)], said
    assert len(ending.requests) == len(expected.requests) or ending.closed, said
    return ending


async def compare(seeds: range) -> str:
    """Compare the readers on one stream for each seed; how it went."""
    requests = closed = 0
    for seed in seeds:
        ending = await check(seed)
        requests += len(ending.requests)
        closed += ending.closed
    return f"{len(seeds):,} streams: {requests:,} requests, the same for both; {closed:,} connections closed"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.stdout.write(asyncio.run(compare(range(given.seed, given.seed + given.count))) + "\n")
