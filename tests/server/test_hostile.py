"""A thousand idle, slow, greedy and leaving clients at once, and what the others notice of them."""

import socket
import struct
from pathlib import Path

from tests.hostile import IDLE, OF_EACH_OTHER_KIND, Hostile, ask_as_usual
from tests.server.conftest import wait_for
from tests.serving import PatchedServer, Server

IMPATIENT = (
    "import asyncjob.server.http.protocol as http, asyncjob.cli; http.REQUEST_SECONDS = http.READ_SECONDS = {seconds};"
    " asyncjob.cli.app()"
)
MAX_GROWTH_KB = 100_000


def test_beside_hostile_clients_every_request_is_answered_and_they_are_ended(tmp_path: Path) -> None:
    with PatchedServer(tmp_path / "jobs.db", IMPATIENT.format(seconds=4)) as server:
        sockets, memory = server.open_sockets(), server.memory_kb()
        job_id = server.submit("sleep", seconds=5)
        with Hostile(server.url, job_id):
            wait_for(lambda: server.open_sockets() >= sockets + IDLE, "the clients")
            assert len(list(ask_as_usual(server, 400, type="sleep", seconds=0))) == 400
            assert server.memory_kb() - memory < MAX_GROWTH_KB
            wait_for(lambda: server.open_sockets() <= sockets + OF_EACH_OTHER_KIND, "the end of all but the newest")
        wait_for(lambda: server.open_sockets() <= sockets, "their end")
        assert server.memory_kb() - memory < MAX_GROWTH_KB
        assert server.result(job_id)["status"] == "Success"
        assert "unexpected error" not in server.log.read_text()


def test_so_many_requests_sent_ahead_are_answered_and_the_client_is_told_where_it_ends(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"GET /jobs/none HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200)
        answered = b""
        while part := connection.recv(65_536):
            answered += part
    heads = answered.split(b"HTTP/1.1 ")[1:]
    assert 64 <= len(heads) < 200
    assert {head[:3] for head in heads} == {b"404"}
    assert [b"connection: close" in head for head in heads] == [False] * (len(heads) - 1) + [True]


def test_connections_that_are_reset_after_an_answer_leave_nothing_behind(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1") as server:
        _reset(server, 300)
        before = server.memory_kb()
        _reset(server, 1_500)
        assert server.memory_kb() - before < 4_000  # with each kept for uvicorn's 5 seconds, it is 12,000


def _reset(server: Server, connections: int) -> None:
    """As a load balancer ends those that it needs no more."""
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(connections):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(4_096).startswith(b"HTTP/1.1 200")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
