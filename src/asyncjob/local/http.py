"""uvicorn, where it is to behave otherwise than it does by itself."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CLOSE_SECONDS = 5  # what open requests get to finish when the server stops


class GatheringTransport:
    """A transport that sends what one iteration of the event loop writes at once.

    uvicorn writes the head and the body of an answer separately and uvloop makes a system call of each: two packets,
    and two wake-ups of the client, for one small answer.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._written.append(data)
        if len(self._written) == 1:
            asyncio.get_running_loop().call_soon(self._send)

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
    """Sends an answer in one write, and refuses what is no HTTP in the one shape of errors."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport))  # type: ignore[arg-type]

    def send_400_response(self, msg: str) -> None:
        body = b'{"message":"the request is not valid HTTP"}'
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()


class HttpServer(uvicorn.Server):
    """Leaves the signals alone: the jobs end before HTTP does."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


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
