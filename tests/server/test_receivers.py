"""Receivers of notifications that mean harm: none of them delays, poisons or learns what is others'."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.receiver import Receiver
from tests.server.conftest import wait_for
from tests.server.test_webhooks import SECRET, _deliveries, _served, _settled, _url
from tests.serving import Server

HOLES = 128
WORDS = "the-receivers-own-words"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with _served(tmp_path, ASYNCJOB_NOTIFY_SECRET=SECRET) as server:
        yield server


@contextmanager
def _speaking(*says: bytes, repeat: bytes = b"") -> Iterator[int]:
    """A receiver that reads a little, says that, and goes on with the last for as long as it is let; its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.recv(65_536)
                    for piece in says:
                        connection.sendall(piece)
                    while repeat:
                        connection.sendall(repeat)
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_receiver_that_never_answers_delays_nobody_else(server: Server) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=1_000)) as hole, Receiver() as receiver:
        port = hole.getsockname()[1]
        holes = [
            server.submit("add", a=1, options={"notify": f"http://127.0.0.1:{port}/{number}"})
            for number in range(HOLES)
        ]
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        receiver.wait()
        _settled(server, job_id, "Delivered")
        statuses = {_deliveries(server, hole_id)[0]["status"] for hole_id in holes}
    assert statuses == {"Waiting"}


def test_the_cookie_of_one_receiver_is_sent_to_none(server: Server) -> None:
    with Receiver(lambda received: (204, {"set-cookie": "a=b; Path=/"})) as first, Receiver() as second:
        for receiver in (first, second, first):
            _settled(server, server.submit("add", a=1, options={"notify": _url(receiver)}), "Delivered")
    assert not any("cookie" in received.headers for received in (*first.received, *second.received))


@pytest.mark.parametrize(
    ("says", "repeat", "error"),
    [
        (f"HTTP/1.1 500 {WORDS}\r\n{WORDS}: {WORDS}\r\ncontent-length: 0\r\n\r\n", "", "the answer was 500"),
        (f"HTTP/1.1 302 Found\r\nlocation: http://{WORDS}/\r\ncontent-length: 0\r\n\r\n", "", "the answer was 302"),
        (f"{WORDS}\x1b[2J\r\n\r\n", "", "the answer is not HTTP, or broke off"),
        ("", "", "the answer is not HTTP, or broke off"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", "the answer's head is over 32,768 bytes"),
        ("HTTP/1.1 500 No\r\n", f"{WORDS}: {WORDS}\r\n", "the answer's head is over 32,768 bytes"),
        ("HTTP/1.1 500 No\r\na: ", "x" * 65_536, "the answer's head is over 32,768 bytes"),
        ("HTTP/1.1 500 No\r\ncontent-length: 9999999999\r\n\r\n", "x" * 65_536, "the answer was 500"),
    ],
)
def test_what_a_receiver_says_is_bounded_and_not_told_to_clients(
    server: Server, says: str, repeat: str, error: str
) -> None:
    with _speaking(says.encode(), repeat=repeat.encode()) as port:
        job_id = server.submit("add", a=1, options={"notify": f"http://127.0.0.1:{port}/"})
        wait_for(lambda: any(one["tries"] for one in _deliveries(server, job_id)), "a try")
        (delivery,) = _deliveries(server, job_id)
    assert delivery["error"] == error
    log = server.log.read_text()
    assert "\x1b" not in log
    assert all(len(line) < 1_000 for line in log.splitlines())


def test_a_receiver_says_when_to_try_again(server: Server) -> None:
    with Receiver(lambda received: (429, {"retry-after": "3600"})) as receiver:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        receiver.wait()
        wait_for(lambda: any(one["tries"] for one in _deliveries(server, job_id)), "a try")
        (delivery,) = _deliveries(server, job_id)
    assert delivery["nextTryAt"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1_800))
