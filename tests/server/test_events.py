"""Events beneath the contract: every transition, the bounds, and the end of a stream."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from asyncjob.job import Status
from asyncjob.server import events as module
from asyncjob.server.events import MANY, RING, Events, JobEvent, Streams
from asyncjob.server.refusals import Unavailable
from tests.eventstream import Event, parse, read
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import FUNCTIONS, PatchedServer, Server

SMALL_BUFFERS = """
import socket
from asyncjob.cli import app
from asyncjob.server import events
from asyncjob import serve as server

def listen_with_small_buffers(settings, listen=server.listen):
    listener = listen(settings)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    return listener

events.RING = 32
server.listen = listen_with_small_buffers
app()
"""


@contextmanager
def listening(server: Server, last_id: str | None = None) -> Iterator[Iterator[Event]]:
    """The events of a server from now on, after the first that only says that they are listened to."""
    headers = {} if last_id is None else {"last-event-id": last_id}
    with (
        httpx.Client(base_url=server.url, timeout=30) as client,
        client.stream("GET", "/events", headers=headers) as answer,
    ):
        events = read(answer)
        next(events)
        yield events


def _told(events: Iterator[Event], number: int) -> list[tuple[str, int]]:
    return [(event.data["status"], event.data["attempt"]) for _, event in zip(range(number), events, strict=False)]


def test_lost_attempts_and_retries_are_told(server: Server, tmp_path: Path) -> None:
    with listening(server) as events:
        job_id = server.submit("dies", runs=str(tmp_path / "runs"))
        assert _told(events, 5) == [("Pending", 1), ("Running", 1), ("Pending", 2), ("Running", 2), ("Failure", 2)]
        server.client.post(f"/jobs/{job_id}/retry")
        assert _told(events, 2) == [("Pending", 3), ("Running", 3)]


def test_progress_and_a_cancel_are_told(server: Server, tmp_path: Path) -> None:
    with listening(server) as events:
        job_id = server.submit("reports", started=str(tmp_path / "started"))
        told = next(event.data for event in events if "progress" in event.data)
        assert told == {
            "jobId": job_id,
            "type": "reports",
            "status": "Running",
            "attempt": 1,
            "progress": {"fraction": 0.5, "message": "half"},
        }
        server.client.post(f"/jobs/{job_id}/cancel")
        assert next(event.data["status"] for event in events if "progress" not in event.data) == "Canceled"


def test_a_jobs_own_events_tell_its_progress(server: Server, tmp_path: Path) -> None:
    job_id = server.submit("reports", started=str(tmp_path / "started"))
    with httpx.Client(base_url=server.url) as client, client.stream("GET", f"/jobs/{job_id}/events") as answer:
        events = read(answer)
        assert next(event for event in events if "progress" in event.data).data["progress"]["fraction"] == 0.5
        server.client.post(f"/jobs/{job_id}/cancel")
        assert list(events)[-1].data["status"] == "Canceled"


def test_a_server_that_stops_tells_what_it_puts_back_and_ends_the_streams(tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    with Server(tmp_path / "jobs.db", "--grace", "0", target=FUNCTIONS) as server, listening(server) as events:
        job_id = server.submit("holds", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "the job")
        with httpx.Client(base_url=server.url) as client, client.stream("GET", f"/jobs/{job_id}/events") as answer:
            assert server.stop() == 0
            assert [event.data["status"] for event in read(answer)][-1] == "Pending"
        assert [event.data["status"] for event in events] == ["Pending", "Running", "Pending"]


def test_who_comes_back_to_another_server_is_told_of_a_gap(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        with listening(server) as events:
            server.submit("add", a=1)
            last_id = next(events).id
        server.stop()
        server.start()
        with server.client.stream("GET", "/events", headers={"last-event-id": str(last_id)}) as answer:
            assert next(read(answer)).name == "gap"


def test_a_client_that_left_is_forgotten(server: Server) -> None:
    wait_for(lambda: server.client.get("/healthz").status_code == 200, "a worker")
    before = server.open_sockets()
    for _ in range(5):
        with listening(server):
            assert server.open_sockets() > before
    wait_for(lambda: server.open_sockets() == before, "the end of the connections")


def test_a_slow_reader_is_dropped_and_learns_of_the_gap(tmp_path: Path) -> None:
    with PatchedServer(tmp_path / "jobs.db", SMALL_BUFFERS) as server, socket.socket() as slow:
        host, port = server.url.removeprefix("http://").split(":")
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect((host, int(port)))
        slow.settimeout(30)
        slow.sendall(b"GET /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        parts = [slow.recv(4_096)]
        for number in range(1_000):
            server.client.post("/jobs", json={"jobId": f"{number:x<128}", "seconds": 0})
        while parts[-1]:
            parts.append(slow.recv(65_536))
        text = b"".join(parts)
        assert text.count(b"jobId") < 3_000
        *_, last = parse(iter(line for line in text.decode().splitlines() if not line or ":" in line))
        with server.client.stream("GET", "/events", headers={"last-event-id": str(last.id)}) as answer:
            assert next(read(answer)).name == "gap"


# -- the ring by itself ----------------------------------------------------------------------------------------------


def _run(test: Callable[[Events], Awaitable[None]]) -> None:
    asyncio.run(test(Events()))  # type: ignore[arg-type]


def _tell(events: Events, number: int) -> None:
    for job in range(number):
        events.tell(JobEvent(str(job), "add", Status.PENDING, 1))


def test_nothing_is_kept_while_nobody_listens() -> None:
    events = Events()
    _tell(events, 1)
    assert not events.wanted
    assert not any(events._ring)


def test_changes_are_kept_for_a_while_after_the_last_listener_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(events: Events) -> None:
        first = events.stream(None)
        (hello,) = parse(iter((await anext(first)).decode().split("\n")))
        await first.aclose()
        _tell(events, 1)
        second = events.stream(hello.id)
        await anext(second)
        assert b'"jobId":"0"' in await anext(second)
        monkeypatch.setattr(module, "KEPT_SECONDS", 0)
        await second.aclose()
        await asyncio.sleep(0.01)  # the timer's turn
        assert not events.wanted
        _tell(events, 1)
        third = events.stream(hello.id)
        assert b"event: gap" in await anext(third)
        await third.aclose()

    _run(test)


def test_a_listener_falls_behind_the_ring_and_no_sooner() -> None:
    async def test(events: Events) -> None:
        async with asyncio.timeout(30):
            quick, slow = events.stream(None), events.stream(None)
            await anext(quick), await anext(slow)
            _tell(events, RING)
            told = 0
            while told < RING:
                told += (await anext(quick)).count(b"\n\n")
            assert told == RING
            _tell(events, 1)
            assert b'"jobId":"0"' in await anext(quick)
            assert [text async for text in slow] == []
            await quick.aclose()

    _run(test)


def test_many_listeners_are_told_once_of_a_job_that_changed_often_and_one_of_each_change() -> None:
    async def told(events: Events, count: int) -> list[bytes]:
        async with asyncio.timeout(30):
            streams = [events.stream(None) for _ in range(count)]
            for stream in streams:
                await anext(stream)
            for status in (Status.PENDING, Status.RUNNING, Status.SUCCESS):
                for job_id in ("a", "b"):
                    events.tell(JobEvent(job_id, "echo", status, 1))
            texts = [await anext(stream) for stream in streams]
            for stream in streams:
                await stream.aclose()
            return texts

    async def test(events: Events) -> None:
        (alone,) = await told(events, 1)
        assert alone.count(b"data: ") == 6
        among_many = set(await told(events, MANY + 1))
        assert len(among_many) == 1
        text = among_many.pop()
        assert text.count(b"data: ") == text.count(b"Success") == 2

    _run(test)


def test_a_silent_stream_says_something_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.01)

    async def test(events: Events) -> None:
        stream = events.stream(None)
        await anext(stream)
        assert await anext(stream) == b":\n\n"
        await stream.aclose()

    _run(test)


def test_beyond_so_many_a_listener_is_refused_and_let_in_once_another_has_left() -> None:
    streams = Streams("listeners", 1)
    with streams.opened(), pytest.raises(Unavailable, match="1 listeners are served already"), streams.opened():
        pass
    with streams.opened():
        pass


def test_listeners_are_told_together_and_the_same_bytes() -> None:
    async def test(events: Events) -> None:
        streams = [events.stream(None) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        _tell(events, 5)
        texts = [await anext(stream) for stream in streams]
        assert texts[0].count(b"jobId") == 5
        assert texts[0] is texts[1] is texts[2]
        for stream in streams:
            await stream.aclose()

    _run(test)
