"""Clients as nobody wants them: idle, slow, greedy, gone. For tests, and for the soak to run beside its load.

One thread goes round them once a second; what they cost themselves is next to nothing.
"""

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from tests.serving import Server

IDLE = 1_000
OF_EACH_OTHER_KIND = 20
ROUND_SECONDS = 1.0
LINE = b"GET /jobs/none HTTP/1.1\r\nhost: localhost\r\n"
SLOW_BODY = b"POST /jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n"
CUT = SLOW_BODY[:30]
UNREAD = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n"
WAIT = b"GET /jobs/%b?wait=60 HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Hostile:
    """All kinds of them, connected to a server from `with` to its end.

    Args:
        url: the server's.
        job_id: one that does not end soon, for those that wait for it and leave.
        idle: how many send nothing.
    """

    def __init__(self, url: str, job_id: str, idle: int = IDLE) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._address = (host, int(port))
        self._wait = WAIT % job_id.encode()
        self._idle = idle
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._go_round)

    def _connect(self, stack: ExitStack, count: int, first: bytes = b"") -> list[socket.socket]:
        connections = [stack.enter_context(socket.create_connection(self._address)) for _ in range(count)]
        for connection in connections:
            connection.setblocking(False)
            connection.send(first)
        return connections

    def _go_round(self) -> None:
        while not self._enough.wait(ROUND_SECONDS):
            for more, connections in self._talkers.items():
                for connection in connections:
                    with suppress(OSError):  # the server reads no more, or has ended it
                        connection.send(more)
            with ExitStack() as leavers:
                self._connect(leavers, OF_EACH_OTHER_KIND, self._wait)

    def __enter__(self) -> Self:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < 2 * IDLE:
            resource.setrlimit(resource.RLIMIT_NOFILE, (2 * IDLE, hard))
        with ExitStack() as stack:
            self._connect(stack, self._idle)
            self._connect(stack, OF_EACH_OTHER_KIND, CUT)
            self._connect(stack, OF_EACH_OTHER_KIND, UNREAD)
            self._talkers = {
                b"x": self._connect(stack, OF_EACH_OTHER_KIND, SLOW_BODY),
                b"x-and: so on\r\n": self._connect(stack, OF_EACH_OTHER_KIND, LINE),
                (LINE + b"\r\n") * 1_000: self._connect(stack, OF_EACH_OTHER_KIND),
            }
            self._stack = stack.pop_all()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()
        self._stack.close()


def ask_as_usual(server: Server, requests: int, **job: Any) -> Iterator[None]:
    """What an ordinary client asks meanwhile: it submits jobs and lists them in turn, and yields after each answer."""
    for number in range(requests):
        if number % 2:
            assert server.client.get("/jobs?limit=1").status_code == 200
        else:
            server.submit(**job)
        yield
