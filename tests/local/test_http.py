"""HTTP beneath the contract: clients that are slow, odd, gone, or from elsewhere."""

import json
import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import Gate, lines, wait_for
from tests.serving import FUNCTIONS, PatchedServer, Server

JSON = "content-type: application/json\r\n"


def _connect(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def _read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def _answers(raw: bytes) -> list[tuple[int, Any]]:
    """The status and the JSON body of each answer."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        found.append((int(head[9:12]), json.loads(rest[:length])))
        raw = rest[length:]
    return found


def test_what_is_no_http_is_refused_as_json(server: Server) -> None:
    with _connect(server) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert _answers(_read_all(connection)) == [(400, {"message": "the request is not valid HTTP"})]


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with _connect(server) as connection:
        post = f"POST /jobs HTTP/1.1\r\nhost: localhost\r\n{JSON}content-length: 22\r\n\r\n" + '{"type":"add","a":[1]}'
        get = "GET /jobs/none HTTP/1.1\r\nhost: localhost\r\n\r\n"
        last = "GET /jobs?limit=0 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        connection.sendall((post + get + post + last).encode())
        assert [status for status, _ in _answers(_read_all(connection))] == [400, 404, 400, 400]


def test_headers_without_end_are_refused(server: Server) -> None:
    with _connect(server) as connection:
        connection.sendall(b"GET /jobs HTTP/1.1\r\nhost: localhost\r\nx-long: ")
        sent = 0
        try:
            while sent < 4_000_000:
                sent += connection.send(b"x" * 65_536)
        except OSError:
            pass
        assert sent < 4_000_000


def test_large_headers_are_refused_however_they_arrive(server: Server) -> None:
    for size, status in ((40_000, 404), (70_000, 431)):
        with _connect(server) as connection:
            head = f"GET /jobs/none HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-long: {'x' * size}\r\n\r\n"
            connection.sendall(head.encode())
            ((answered, body),) = _answers(_read_all(connection))
            assert (answered, list(body)) == (status, ["message"])


def test_a_body_that_speaks_of_an_upgrade_is_left_as_it_is(server: Server) -> None:
    with _connect(server) as connection:
        body = b"{}\r\nupgrade:xx"
        head = f"POST /jobs HTTP/1.1\r\nhost: localhost\r\n{JSON}content-length: {len(body)}\r\n\r\n"
        last = b"GET /jobs/none HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode() + body + last)
        assert [status for status, _ in _answers(_read_all(connection))] == [400, 404]


def test_a_large_body_is_not_taken_for_a_large_head(server: Server) -> None:
    answer = server.client.post("/jobs", json={"type": "echo", "value": "x" * 900_000})
    assert answer.status_code == 202
    assert server.result(answer.json()["jobId"])["results"] == "x" * 900_000


def test_a_request_to_upgrade_is_answered_as_if_it_had_not_asked(server: Server) -> None:
    with _connect(server) as connection:
        asks = "connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
        head = f"POST /jobs HTTP/1.1\r\nhost: localhost\r\n{asks}{JSON}content-length: 20\r\n\r\n"
        connection.sendall(head.encode() + b'{"type":"add","a":1}')
        assert [status for status, _ in _answers(_read_all(connection))] == [202]


@pytest.mark.parametrize(
    "cut", [b"", b"POST /jobs HT", b"POST /jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{"]
)
def test_a_request_that_does_not_come_is_ended(tmp_path: Path, cut: bytes) -> None:
    patched = "import asyncjob.local.http, asyncjob.cli; asyncjob.local.http.REQUEST_SECONDS = 0.5; asyncjob.cli.app()"
    with PatchedServer(tmp_path / "jobs.db", patched) as server, _connect(server) as connection:
        connection.sendall(cut)
        assert _answers(_read_all(connection)) == [(408, {"message": "the request did not arrive in time"})]
        assert server.client.get("/jobs").status_code == 200


def test_a_client_that_leaves_is_waited_for_no_more(server: Server, tmp_path: Path, gate: Gate) -> None:
    job_id = server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
    wait_for(lambda: lines(tmp_path / "started"), "the job")
    before = server.open_sockets()
    waiting = [HTTPConnection(server.url.removeprefix("http://")) for _ in range(50)]
    for connection in waiting:
        connection.request("GET", f"/jobs/{job_id}?wait=60")
    wait_for(lambda: server.open_sockets() >= before + 50, "the clients")
    for connection in waiting:
        connection.close()
    wait_for(lambda: server.open_sockets() <= before, "their end")
    gate.open()
    assert server.result(job_id)["status"] == "Success"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "127.0.0.1:1"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:8000"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, 200),
        ({"host": "localhost:8000", "origin": "http://localhost:9000"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_a_web_page_from_elsewhere_is_kept_out(server: Server, headers: dict[str, str], status: int) -> None:
    assert server.client.get("/jobs", headers=headers).status_code == status
    answer = server.client.post("/jobs", json={"type": "add", "a": 1}, headers=headers)
    assert answer.status_code == (202 if status == 200 else 403)


def test_with_a_key_any_name_is_served(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", "k" * 16, target=FUNCTIONS) as server:
        headers = {"host": "jobs.example", "origin": "https://jobs.example", "x-api-key": "k" * 16}
        assert server.client.post("/jobs", json={"type": "add", "a": 1}, headers=headers).status_code == 202


def test_a_head_request_is_answered_without_a_body(server: Server) -> None:
    job_id = server.submit("add", a=1)
    server.result(job_id)
    for path in (f"/jobs/{job_id}", "/jobs", "/openapi.json"):
        answer = server.client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
