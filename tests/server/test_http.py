"""HTTP beneath the contract: clients that are slow, odd, gone, or from elsewhere."""

import json
import socket
import time
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Gate, lines, wait_for
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


GET = b"GET /jobs/none HTTP/1.1\r\nhost: localhost\r\n\r\n"
LAST = b"GET /jobs/none HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
SMUGGLED = b"POST /jobs/victim/cancel HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"


def _asked(server: Server, *packets: bytes) -> list[tuple[int, Any]]:
    """What is answered to bytes that arrive in these packets."""
    with _connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, packet in enumerate(packets):
            if number:
                time.sleep(0.05)  # or the system may send two of them as one, and the test would test less
            connection.sendall(packet)
        return _answers(_read_all(connection))


@pytest.mark.parametrize("name", [b"upgrade", b"Upgrade", b"UPGRADE", b"uPgRaDe"])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_of_a_request_to_upgrade_is_never_run(server: Server, name: bytes, chunked: bool) -> None:
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(SMUGGLED)
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED) if chunked else SMUGGLED
    begin = b"POST /jobs HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n%b\r\n" % framing
    head = begin + name + b": h2c\r\n"
    for packets in (
        (head + b"\r\n" + body + LAST,),
        (head, b"\r\n" + body + LAST),  # the head's end, alone
        (head + b"\r", b"\n" + body + LAST),
        (begin + name[:3], name[3:] + b": h2c\r\n\r\n" + body, LAST),
        (head + b"\r\n" + body[:10], body[10:] + LAST),
    ):
        assert [status for status, _ in _asked(server, *packets)] == [400, 404], packets


def test_a_client_that_offers_http2_with_each_request_keeps_its_connection(server: Server) -> None:
    """As Java's java.net.http.HttpClient does over cleartext."""
    body = b'{"type":"add","a":1}'
    post = (
        b"POST /jobs HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\nHost: localhost\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
        b"User-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n" % len(body)
    )
    answers = _asked(server, post, body, post + body, post + body + post, body + LAST)
    assert [status for status, _ in answers] == [202] * 4 + [404]


def test_a_trailer_says_nothing(tmp_path: Path) -> None:
    key = "a key of 20 characters"
    job = b"2\r\n{}\r\n0\r\n"
    head = b"POST /jobs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n%b\r\n"
    with Server(tmp_path / "jobs.db", "--api-key", key) as server:
        asked = _asked(server, head % b"", job + b"x-api-key: " + key.encode() + b"\r\n\r\n")
        assert [status for status, _ in asked] == [401]
        for trailer in (
            b"content-type: text/plain",
            b"content-encoding: gzip",
            b"host: x",
            b"origin: https://evil.example",
        ):
            with_key = head % (b"x-api-key: " + key.encode() + b"\r\n")
            ((status, answer),) = _asked(server, with_key + job + trailer + b"\r\n\r\n")
            assert status == 400 and "seconds" in answer["message"]


@pytest.mark.parametrize("name", [b"Connection", b"proxy-connection"])
def test_a_trailer_cannot_close_a_connection_that_others_use(server: Server, name: bytes) -> None:
    head = b"POST /jobs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    with _connect(server) as connection:
        connection.sendall(
            head + b"2\r\n{}\r\n0\r\n" + name + b": close\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
        )
        (*_, (status, answer)) = _answers(_read_all(connection))  # which ends: it is closed
        assert (status, answer["message"]) == (400, "connection must not be a trailer")


@pytest.mark.parametrize("more", [b"x-t: %b\r\n" % (b"x" * 1_000), b"a:\r\n" * 200])
def test_trailers_and_chunk_extensions_are_bounded(server: Server, more: bytes) -> None:
    head = b"POST /jobs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"
    for begin, part in ((b"0\r\n", more), (b"1;", b"x" * 1_000)):
        with _connect(server) as connection:
            connection.sendall(head + begin)
            for _ in range(100):
                with suppress(OSError):
                    connection.sendall(part)
            ((status, answer),) = _answers(_read_all(connection))
            assert (status, "trailers" in answer["message"]) == (400, True)


def test_a_body_in_very_small_chunks_is_taken(server: Server) -> None:
    body = json.dumps({"type": "echo", "value": "x" * 20_000}).encode()
    answer = server.client.post("/jobs", content=(body[place : place + 1] for place in range(len(body))))
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"transfer-encoding: gzip, chunked", 501),
        (b"transfer-encoding: chunked, chunked", 400),
        (b"transfer-encoding: identity", 501),
        (b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", 400),
        (b"transfer-encoding: chunked\r\ncontent-length: 5", 400),
        (b"content-length: 5\r\ntransfer-encoding: chunked", 400),
        (b"content-length: 5\r\ncontent-length: 5", 400),
        (b"content-length: 5, 5", 400),
        (b"transfer-encoding : chunked", 400),
        (b"host: localhost", 400),
        (b"x-api-key: a\r\nx-api-key: b", 400),
        (b"content-type: application/json\r\nContent-Type: text/plain", 400),
        (b"x-folded: a\r\n b", 400),
        (b"\r\n".join([b"x:"] * 101), 431),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(server: Server, head: bytes, status: int) -> None:
    answers = _asked(server, b"POST /jobs HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n\r\n0\r\n\r\n" + LAST)
    assert [one for one, _ in answers] == [status]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"POST /jobs HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked", 400),
        (b"GET /jobs HTTP/1.1", 400),
        (b"GET /jobs HTTP/1.1\r\nhost: localhost\r\nhost: localhost", 400),
        (b"GET /jobs HTTP/2.0\r\nhost: localhost", 505),
        (b"GET /jobs", 505),
        (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost", 501),
        (b"GET http://evil.example/jobs HTTP/1.1\r\nhost: localhost", 400),
        (b"GET http://localhost@evil.example/jobs HTTP/1.1\r\nhost: localhost", 400),
        (b"GET http://localhost/jobs?limit=0 HTTP/1.1\r\nconnection: close\r\nhost: localhost", 400),
        (b"GET http://LOCALHOST/jobs/none HTTP/1.1\r\nconnection: close\r\nhost: localhost", 404),
        (b"OPTIONS * HTTP/1.1\r\nconnection: close\r\nhost: localhost", 404),
        (b"TRACE /jobs HTTP/1.1\r\nconnection: close\r\nhost: localhost", 405),
        (b"GET /jobs/none HTTP/1.0", 404),
    ],
)
def test_odd_requests_get_one_answer_and_no_connection(server: Server, request_line: bytes, status: int) -> None:
    assert [one for one, _ in _asked(server, request_line + b"\r\n\r\n")] == [status]


def test_a_request_that_cannot_be_read_is_answered_after_those_before_it(
    server: Server, tmp_path: Path, gate: Gate
) -> None:
    job_id = server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
    wait = f"GET /jobs/{job_id}?wait=60 HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    with _connect(server) as connection:
        connection.sendall(wait + GET + b"NOT HTTP\r\n\r\n")
        gate.open()
        assert [status for status, _ in _answers(_read_all(connection))] == [200, 404, 400]


def test_a_client_that_leaves_ends_a_stream_behind_which_it_has_asked_for_more(server: Server) -> None:
    before = server.open_sockets()
    stream = b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with _connect(server) as connection:
        connection.sendall(stream + GET)
        assert b"text/event-stream" in connection.recv(65_536)
    server.submit("add", a=1)
    wait_for(lambda: server.open_sockets() <= before + 1, "the end of the stream")  # 1: the client's that submits


IMPATIENT = "import asyncjob.server.http.protocol as http, asyncjob.cli; {}; asyncjob.cli.app()"


def test_blank_lines_are_no_way_to_stay(tmp_path: Path) -> None:
    with (
        PatchedServer(tmp_path / "jobs.db", IMPATIENT.format("http.REQUEST_SECONDS = 0.5")) as server,
        _connect(server) as connection,
    ):
        connection.sendall(GET)
        assert b"404" in connection.recv(65_536)
        connection.sendall(b"\r\n\r\n")
        assert [status for status, _ in _answers(_read_all(connection))] == [408]


def test_unfinished_requests_hold_so_much_together_and_the_longest_gives_way(tmp_path: Path) -> None:
    with PatchedServer(tmp_path / "jobs.db", IMPATIENT.format("http.MAX_UNFINISHED_BYTES = 1_000_000")) as server:
        head = b"POST /jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n"
        with ExitStack() as stack:
            connections = [stack.enter_context(_connect(server)) for _ in range(12)]
            for connection in connections:
                connection.sendall(head + b" " * 100_000)
            for connection in connections[:2]:
                ((status, answer),) = _answers(_read_all(connection))
                assert (status, answer) == (503, {"message": "too many requests are arriving at once"})
            assert server.submit("sleep", seconds=0)
            connections[-1].setblocking(False)
            with pytest.raises(BlockingIOError):  # it is neither answered nor closed
                connections[-1].recv(1)


def test_the_body_of_a_stranger_is_not_kept(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", "k" * 16) as server, ExitStack() as stack:
        before = server.memory_kb()
        for path in (b"/jobs", b"/session"):
            head = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1048576\r\n\r\n" % path
            for _ in range(100):
                connection = stack.enter_context(_connect(server))
                with suppress(OSError):
                    connection.sendall(head + b" " * 1_000_000)
        assert server.client.get("/healthz").status_code in (200, 503)
        assert server.memory_kb() - before < 60_000  # it was over 100 MB for each of the two
        assert {status for status, _ in _asked(server, head)} == {413}


def test_there_are_so_many_connections_at_most_and_the_server_goes_on(tmp_path: Path) -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))"
    with (
        PatchedServer(tmp_path / "jobs.db", f"{few}; import asyncjob.cli; asyncjob.cli.app()") as server,
        ExitStack() as stack,
    ):
        assert server.submit("sleep", seconds=0)
        many = [stack.enter_context(_connect(server)) for _ in range(250)]
        refused = _answers(_read_all(many[-1]))
        assert refused == [(503, {"message": "too many connections"})]
        job = server.client.post("/jobs", json={"seconds": 0})  # on the connection that it has
        assert job.status_code == 202


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
    patched = (
        "from asyncjob import cli; from asyncjob.server.http import protocol; protocol.REQUEST_SECONDS = 0.5; cli.app()"
    )
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
