"""An HTTP receiver of notifications, in a thread of the test's process."""

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self

Answer = tuple[int, dict[str, str]]


class Received(NamedTuple):
    """A request as it came in; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: str


class Receiver:
    """Keeps what it receives.

    Args:
        answer: called with each request, for the status and the headers of its answer.
        port: to listen on; 0 for any free one.
        tls: makes it speak https.
    """

    def __init__(
        self,
        answer: Callable[[Received], Answer] = lambda received: (204, {}),
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        receiver = self
        self.received: list[Received] = []
        self._came = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                received = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver._keep(received)
                status, headers = answer(received)
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST  # noqa: N815  # the name that the library looks for

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def _keep(self, received: Received) -> None:
        with self._came:
            self.received.append(received)
            self._came.notify_all()

    def wait(self, number: int = 1) -> list[Received]:
        """Wait until so many requests have come; all of them."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.received) >= number, timeout=30), self.received
            return list(self.received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
