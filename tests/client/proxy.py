"""A proxy that loses connections: it hands a request on, and where it is told to, cuts instead of answering."""

import re
import socket
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Proxy:
    """Between a client and a server, from `with` to its end.

    Args:
        url: the server's.

    Attributes:
        url: where it listens.
        cuts: one for each of the next requests: True to cut its connection once the server has answered it.
        lines: the first lines of the requests that were handed on.
    """

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts: deque[bool] = deque()
        self.lines: list[str] = []
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server, suppress(OSError):
            while request := _message(client):
                self.lines.append(request.partition(b"\r\n")[0].decode())
                server.sendall(request)
                answer = _message(server)
                if self.cuts and self.cuts.popleft():
                    return
                client.sendall(answer)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()


def _message(source: socket.socket) -> bytes:
    """The next request or answer, whole; empty at the end of the connection."""
    text = b""
    while b"\r\n\r\n" not in text:
        part = source.recv(65_536)
        if not part:
            return b""
        text += part
    head = text.index(b"\r\n\r\n") + 4
    length = LENGTH.search(text[:head])
    while length and len(text) < head + int(length[1]):
        text += source.recv(65_536)
    return text
