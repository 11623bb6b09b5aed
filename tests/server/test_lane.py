"""The lane answers as the ordinary way does, to the byte: the same requests, valid and not, in every split.

Two engines on real files, one behind a lane and one without, get the same bytes on connections without a network, so
that it is known what arrives in which packet. No worker runs, so a job stays as it was left.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from uvicorn.server import ServerState

from asyncjob.loading import load
from asyncjob.server import tracing
from asyncjob.server.engine import Engine
from asyncjob.server.exposition import text
from asyncjob.server.http import lane as lane_module
from asyncjob.server.http.access import Access
from asyncjob.server.http.application import Application
from asyncjob.server.http.lane import Lane, LaneProtocol
from asyncjob.server.http.listener import config
from asyncjob.server.settings import Settings
from asyncjob.sqlite.store import SqliteStore
from asyncjob.store import NotSaved, Observer
from tests.differential import Wire
from tests.server.lane_requests import ADD, HASTY, IN_LANE, JSON, ORDINARY, POSTED, SHOWN, TOGETHER, get, post
from tests.serving import FUNCTIONS

TURNS = 10  # of the event loop, in which all is said that waits for no disk
CHANGING = re.compile(
    rb'[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17}|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=etag: ")[0-9a-f]{16}(?=")'
)


class Line(Wire):
    """A connection without a network that tells when something happens on it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.changed.set()

    def writelines(self, parts: Any) -> None:
        super().writelines(parts)
        self.changed.set()

    def close(self) -> None:
        super().close()
        self.changed.set()

    abort = write_eof = close


class Side:
    """An engine and its connections, with a lane or without."""

    def __init__(self, folder: Path, name: str, **settings: Any) -> None:
        chosen = Settings(target=FUNCTIONS, database=folder / f"{name}.db", **settings)
        self.store = SqliteStore(chosen.database)
        self.engine = Engine(load(FUNCTIONS), chosen, self.store)
        access = Access(chosen)
        self.lane = Lane(self.engine, access, chosen.root_path) if name == "lane" else None
        self.config: Any = config(Application(self.engine, access, chosen.root_path), 1, self.lane)
        self.config.load()

    def connect(self) -> "Client":
        return Client(self.config)

    async def ask(self, *packets: bytes) -> tuple[bytes, bool]:
        """Send packets on a new connection; all that was answered, and whether the lane has answered any."""
        client = self.connect()
        for packet in packets:
            client.send(packet)
            await asyncio.sleep(0)
        return await client.answers(), client.in_lane


class Client:
    """One connection, without a network."""

    def __init__(self, settings: Any) -> None:
        self.state, self.wire = ServerState(), Line()
        self.state.default_headers = [(b"date", b"Wed, 25 Nov 2026 08:00:00 GMT"), *settings.encoded_headers]
        self.protocol = settings.http_protocol_class(config=settings, server_state=self.state, app_state={})
        self.protocol.connection_made(self.wire)
        self.in_lane = False
        if isinstance(self.protocol, LaneProtocol):
            answer, self.protocol.answer = self.protocol.answer, self._answer_in_lane  # type: ignore[method-assign, assignment]
            self._answer = answer

    def _answer_in_lane(self, *answer: Any) -> None:
        self.in_lane = True
        self._answer(*answer)

    def send(self, packet: bytes) -> None:
        if not self.wire.closed:
            self.protocol.data_received(packet)

    def _is_answering(self) -> bool:
        """Whether an answer is due to what has arrived."""
        running = self.protocol._running
        waits_for_more = running is self.protocol.cycle and getattr(running, "more_body", False)
        return self.protocol._is_answering() and not waits_for_more

    async def answers(self) -> bytes:
        """All that is answered, with what differs each time made the same."""
        turns = quiet = 0
        while quiet < TURNS:  # an answer that is complete leaves a turn later
            await asyncio.sleep(0)
            turns += 1
            quiet = 0 if self._is_answering() else quiet + 1
            if not quiet and turns >= TURNS:  # the disk is waited for, and not turned for
                self.wire.changed.clear()
                await self.wire.changed.wait()
                turns = 0
        said = bytes(self.wire.sent) + (b"(closed)" if self.wire.closed else b"")
        self.protocol.connection_lost(None)
        await asyncio.gather(*self.state.tasks)
        return CHANGING.sub(b"?", said)


Test = Callable[[Side, Side], Awaitable[None]]


def compare(folder: Path, test: Test, **settings: Any) -> None:
    """Run a test on a side with a lane, and on one without."""

    async def run() -> None:
        sides = [Side(folder, name, **settings) for name in ("lane", "ordinary")]
        for side in sides:
            await side.store.start(Observer())
        try:
            await test(*sides)
        finally:
            for side in sides:
                await side.engine.close()

    asyncio.run(run())


async def prepare(*sides: Side) -> None:
    """Two jobs, one of them over, and a lane that knows what it can know."""
    for side in sides:
        for request in (
            post(b'{"type":"add","a":1,"jobId":"over"}'),
            get(b"over/cancel", line=b"POST /jobs/%b HTTP/1.1"),
        ):
            await side.ask(request)
        for request in IN_LANE.values():
            await side.ask(request)


@pytest.mark.parametrize("name", IN_LANE)
def test_the_lane_answers_what_it_knows_and_says_the_same(tmp_path: Path, name: str) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        expected = await ordinary.ask(IN_LANE[name])
        said, in_lane = await lane.ask(IN_LANE[name])
        assert said == expected[0] and said.startswith(b"HTTP/1.1 ") and in_lane and not expected[1]

    compare(tmp_path, test)


def test_both_say_the_same_to_every_request_in_every_split(tmp_path: Path) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        for name, request in (IN_LANE | ORDINARY).items():
            (expected, _), *again = [await side.ask(request) for side in (ordinary, lane, lane)]
            assert [said for said, _ in again] == [expected] * 2, name
            assert again[1][1] == (name in IN_LANE), name
            cuts = range(1, len(request), 1 if len(request) < 1_000 else 97)
            split = await asyncio.gather(*(lane.ask(request[:cut], request[cut:]) for cut in cuts))
            for cut, (said, in_lane) in zip(cuts, split, strict=True):
                assert (said, in_lane and name in IN_LANE) == (expected, False), (name, request[:cut], request[cut:])
            assert (await lane.ask(*(request[at : at + 1] for at in range(len(request)))))[0] == expected, name

    compare(tmp_path, test)


@pytest.mark.parametrize("name", TOGETHER)
def test_both_say_the_same_to_requests_that_follow_each_other(tmp_path: Path, name: str) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        request = TOGETHER[name]
        cuts = range(0, len(request), 1 if len(request) < 1_000 else 331)
        answers, expected = [
            await asyncio.gather(*(side.ask(request[:cut], request[cut:]) for cut in cuts)) for side in (lane, ordinary)
        ]
        for cut, one, other in zip(cuts, answers, expected, strict=True):
            assert one[0] == other[0], (request[:cut], request[cut:])
        assert any(in_lane for _, in_lane in answers) or "smuggled" in name or len(request) > 1_000

    compare(tmp_path, test)


def test_what_arrives_while_the_lane_saves_a_job_waits_for_its_answer(tmp_path: Path) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        expected = b"".join([(await ordinary.ask(request))[0] for request in (POSTED, SHOWN, HASTY)])
        client = lane.connect()
        for request in (POSTED, SHOWN, HASTY):
            client.send(request)
        assert not client.wire.sent
        assert await client.answers() == expected

    compare(tmp_path, test)


def test_a_server_that_stops_ends_the_connection_after_the_lane_has_answered(tmp_path: Path) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        said = []
        for side in (lane, ordinary):
            client = side.connect()
            client.send(POSTED)
            client.protocol.shutdown()
            assert not client.wire.closed
            said.append(await client.answers())
        assert said[0] == said[1] and b"connection: close\r\n" in said[0] and said[0].endswith(b"(closed)")

    compare(tmp_path, test)


@pytest.mark.parametrize("request_", [POSTED, SHOWN])
def test_a_connection_is_closed_when_nothing_follows_an_answer_of_the_lane(tmp_path: Path, request_: bytes) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        client = lane.connect()
        protocol = client.protocol
        assert isinstance(protocol, LaneProtocol)
        long_after = protocol.loop.time() + 2 * protocol.timeout_keep_alive

        async def closed(packet: bytes, answers: int) -> bool:
            client.send(packet)
            while client.wire.sent.count(b"HTTP/1.1 ") < answers:
                protocol.close_if_idle(long_after)  # it waits for the answer
                await asyncio.sleep(0)
            protocol.close_if_idle(protocol.loop.time())
            assert not client.wire.closed
            protocol.close_if_idle(long_after)
            return client.wire.closed

        assert not await closed(b"", 0)  # it has sent nothing yet
        assert not await closed(request_[:20], 0)
        assert not await closed(request_[20:], 1)  # the ordinary way has a timer
        assert await closed(request_, 2) and client.in_lane
        await client.answers()

    compare(tmp_path, test)


def test_a_client_that_leaves_takes_nothing_with_it(tmp_path: Path) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        client = lane.connect()
        client.send(post(b'{"type":"add","a":5,"jobId":"left"}'))
        client.protocol.connection_lost(None)
        await lane.store._writer.do(lambda connection: None)
        await asyncio.sleep(0)
        assert lane.engine.get("left").job_id == "left" and not client.wire.sent

    compare(tmp_path, test)


def test_what_cannot_be_saved_is_refused_alike_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Any:
        raise NotSaved("no room")

    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        for side in (lane, ordinary):
            monkeypatch.setattr(side.store._writer, "_transact", fails)
        said = [await side.ask(post(b'{"type":"add","a":5}')) for side in (lane, ordinary)]
        assert said == [(said[1][0], True), (said[1][0], False)]
        assert said[0][0].startswith(b"HTTP/1.1 503 ") and b"retry-after: 1\r\n" in said[0][0]
        for side in (lane, ordinary):
            assert b'asyncjob_refusals_total{status="503"} 1.0' in text(side.engine.metrics)
            assert side.store.pending == ordinary.store.pending
        monkeypatch.undo()

    compare(tmp_path, test)


def test_a_full_server_says_so_to_both(tmp_path: Path) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        for request in (post(b'{"type":"add","a":5}'), POSTED):
            said = [(await side.ask(request))[0] for side in (lane, ordinary)]
            assert said[0] == said[1]
        assert said[0].startswith(b"HTTP/1.1 202 ")

    compare(tmp_path, test, max_pending=3)


def test_both_count_the_same_submissions(tmp_path: Path) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        counted = [
            [line for line in text(side.engine.metrics).splitlines() if b"submissions" in line or b"refusals" in line]
            for side in (lane, ordinary)
        ]
        assert counted[0] == counted[1]

    compare(tmp_path, test)


@pytest.mark.parametrize("root_path", ["/work", "/team/work.1", "/jobs", "/team/jobs", "/jobs/known"])
def test_both_say_the_same_below_a_prefix_that_the_proxy_strips_or_not(tmp_path: Path, root_path: str) -> None:
    def below(request: bytes, prefix: bytes) -> bytes:
        return request.replace(b" /", b" %b/" % prefix, 1)

    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        root = root_path.encode()
        for name, request in (IN_LANE | {"a list": get(b"jobs"), "counts": get(b"stats"), "no id": get(b".a")}).items():
            for prefix in (b"", root, root + root, b"/jobs", b"/team", b"/other"):
                asked = below(request, prefix)
                expected = [(await ordinary.ask(asked))[0] for _ in range(2)]
                (first, _), (said, in_lane) = [await lane.ask(asked) for _ in range(2)]
                assert [first, said] == expected, (name, prefix)
                if prefix == root and name in IN_LANE:
                    assert in_lane and said.startswith((b"HTTP/1.1 202 ", b"HTTP/1.1 200 ", b"HTTP/1.1 409 "))
                    assert b"location" not in said or b"\r\nlocation: %b/jobs/" % root in said

    compare(tmp_path, test, root_path=root_path)


def test_only_the_right_key_opens_the_lane(tmp_path: Path) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        keyed = post(ADD, JSON + b"x-api-key: right-and-long-enough\r\n")
        for side in (lane, ordinary):
            await side.ask(keyed)
        assert await lane.ask(keyed) == ((await ordinary.ask(keyed))[0], True)
        for headers in (
            JSON,
            JSON + b"x-api-key: wrong-but-long-enough\r\n",
            JSON + b"x-api-key: right-and-long-enough \r\n",
            JSON + b"x-api-key:right-and-long-enough\r\n",
        ):
            request = post(ADD, headers)
            (expected, _), (said, _), (again, in_lane) = [await one.ask(request) for one in (ordinary, lane, lane)]
            assert said == again == expected
            assert in_lane == headers.endswith(b":right-and-long-enough\r\n")

    compare(tmp_path, test, api_key="right-and-long-enough")


def test_a_server_whose_functions_trace_has_no_lane_for_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        await prepare(lane, ordinary)
        assert not (await lane.ask(POSTED))[1]
        assert (await lane.ask(SHOWN))[1]

    monkeypatch.setattr(tracing, "is_on", lambda: True)
    compare(tmp_path, test)


def test_the_lane_knows_a_bounded_number_of_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(lane: Side, ordinary: Side) -> None:
        assert lane.lane is not None
        for number in range(5):
            await lane.ask(post(ADD, JSON + b"x-request-id: %d\r\n" % number))
        assert len(lane.lane._known["POST"]) == 3
        assert (await lane.ask(post(ADD, JSON + b"x-request-id: 4\r\n")))[1]
        assert not (await lane.ask(post(ADD, JSON + b"x-request-id: 0\r\n")))[1]

    monkeypatch.setattr(lane_module, "MAX_KNOWN", 3)
    compare(tmp_path, test)
