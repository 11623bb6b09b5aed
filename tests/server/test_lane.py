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
from asyncjob.server.http import lane as lane_module
from asyncjob.server.http.access import Access
from asyncjob.server.http.application import Application
from asyncjob.server.http.lane import Lane, LaneProtocol
from asyncjob.server.http.listener import config
from asyncjob.server.http.protocol import MAX_HEADERS, MAX_PIPELINED
from asyncjob.server.settings import Settings
from asyncjob.sqlite.store import SqliteStore
from asyncjob.store import NotSaved, Observer
from tests.differential import Wire
from tests.serving import FUNCTIONS

PATIENCE_SECONDS = 30
TURNS = 10  # of the event loop, in which all is said that waits for no disk
CHANGING = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17}|\d{4}-\d\d-\d\dT[\d:.]+Z")
HOST = b"host: 127.0.0.1:8000\r\n"
JSON = HOST + b"content-type: application/json\r\n"
HASTY = b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n"


def post(body: bytes, headers: bytes = JSON, line: bytes = b"POST /jobs HTTP/1.1") -> bytes:
    return b"%b\r\n%bcontent-length: %d\r\n\r\n%b" % (line, headers, len(body), body)


def get(name: bytes, headers: bytes = HOST, line: bytes = b"GET /jobs/%b HTTP/1.1") -> bytes:
    return b"%b\r\n%b\r\n" % (line % name, headers)


HIDING = b"GET /jobs/known HTTP/1.1\r\nx-smuggled: "
ADD = b'{"type": "add", "a": 1, "jobId": "known"}'
POSTED, SHOWN, OVER = post(ADD), get(b"known"), get(b"over")

IN_LANE = {
    "a job": POSTED,
    "a job without an id": post(b'{"type":"add","a":2}'),
    "a job in odd JSON": post('\ufeff{ "a":3,\r\n\r\n"type":"add","jobId":"odd"}'.encode()),
    "another job with that id": post(b'{"type": "add", "a": 9, "jobId": "known"}'),
    "keep-alive": post(ADD, JSON + b"Connection: keep-alive\r\nUser-Agent: x\r\n"),
    "no content-type": post(ADD, HOST),
    "a charset": post(ADD, HOST + b"Content-Type: Application/JSON; charset=utf-8\r\n"),
    "a length with a zero before it": POSTED.replace(b"length: ", b"length: 0"),
    "a job that waits": SHOWN,
    "a job that is final": OVER,
    "a GET with length 0": get(b"known", HOST + b"content-length: 0\r\n"),
}
"""Requests that the lane answers, once it knows their headers."""

ORDINARY = {
    "not JSON": post(b'{"type": "add", "a": 1'),
    "no parameter": post(b'{"type": "add"}'),
    "unknown type": post(b'{"type": "nothing"}'),
    "bad id": post(b'{"type": "add", "a": 1, "jobId": ".a"}'),
    "notify": post(b'{"type": "add", "a": 1, "notify": "https://a.example/"}'),
    "empty": post(b""),
    "a query": post(ADD, line=b"POST /jobs?a=1 HTTP/1.1"),
    "a slash": post(ADD, line=b"POST /jobs/ HTTP/1.1"),
    "absolute": post(ADD, line=b"POST http://127.0.0.1:8000/jobs HTTP/1.1"),
    "two spaces": post(ADD, line=b"POST  /jobs HTTP/1.1"),
    "lower case": post(ADD, line=b"post /jobs HTTP/1.1"),
    "HTTP/1.0": post(ADD, line=b"POST /jobs HTTP/1.0"),
    "HTTP/1.2": post(ADD, line=b"POST /jobs HTTP/1.2"),
    "PUT": post(ADD, line=b"PUT /jobs HTTP/1.1"),
    "close": post(ADD, JSON + b"connection: close\r\n"),
    "upgrade": post(ADD, JSON + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"),
    "upgrade alone": post(ADD, JSON + b"upgrade: h2c\r\n"),
    "expect": post(ADD, JSON + b"expect: 100-continue\r\n"),
    "text": post(ADD, HOST + b"content-type: text/plain\r\n"),
    "compressed": post(ADD, JSON + b"content-encoding: gzip\r\n"),
    "traceparent": post(ADD, JSON + b"traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n"),
    "cookie": post(ADD, JSON + b"cookie: asyncjob=x\r\n"),
    "another host": post(ADD, b"host: evil.example\r\n"),
    "another origin": post(ADD, JSON + b"origin: http://evil.example\r\n"),
    "no host": post(ADD, b""),
    "two hosts": post(ADD, JSON + HOST),
    "two lengths": post(ADD, JSON + b"content-length: %d\r\n" % len(ADD)),
    "length and chunked": post(ADD, JSON + b"transfer-encoding: chunked\r\n"),
    "chunked": b"POST /jobs HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (JSON, len(ADD), ADD),
    "a length with a sign": POSTED.replace(b"length: ", b"length: +"),
    "no length": b"POST /jobs HTTP/1.1\r\n" + JSON + b"\r\n",
    "folded": post(ADD, JSON + b"x-a: b\r\n c\r\n"),
    "bare line feed": post(ADD, JSON + b"x-a: b\n"),
    "bare line feeds": POSTED.replace(b"\r\n", b"\n"),
    "bare carriage return": post(ADD, JSON + b"x-a: b\rc: d\r\n"),
    "too many headers": post(ADD, JSON + b"".join(b"x-%d: a\r\n" % number for number in range(MAX_HEADERS))),
    "long headers": post(ADD, JSON + b"x-a: %b\r\n" % (b"b" * 3_000)),
    "blank line before": b"\r\n" + POSTED,
    "cut off": POSTED[:-1],
    "one byte more": POSTED + b"x",
    "no such job": get(b"unknown"),
    "no id": get(b""),
    "hidden": get(b".a"),
    "escaped": get(b"kn%6Fwn"),
    "wait": get(b"known?wait=0"),
    "bad query": get(b"known?a=1"),
    "two segments": get(b"known/attempts"),
    "GET of 1.0": get(b"known", line=b"GET /jobs/%b HTTP/1.0"),
    "HEAD": get(b"known", line=b"HEAD /jobs/%b HTTP/1.1"),
    "GET with a body": get(b"known", HOST + b"content-length: 2\r\n") + b"{}",
    "GET with close": get(b"known", HOST + b"connection: close\r\n"),
    "GET with another's page": get(b"known", HOST + b"origin: http://evil.example\r\n"),
}
"""Requests that it leaves alone."""

TOGETHER = {
    "two jobs": POSTED + post(b'{"type":"add","a":2,"jobId":"second"}'),
    "job, GET, nonsense": POSTED + SHOWN + b"nonsense\r\n\r\n",
    "GET, job, elsewhere": SHOWN + POSTED + HASTY,
    "two GETs": SHOWN + SHOWN,
    "a job and half a GET": POSTED + SHOWN[:20],
    "smuggled in a header": HIDING + OVER,
    "smuggled in a header of the second": SHOWN + HIDING + OVER,
    "a job smuggled in a header": HIDING + POSTED,
    "smuggled in a body": post(OVER),
    "smuggled in a body that nobody reads": post(OVER, HOST + b"content-type: text/plain\r\n"),
    "a job smuggled in a body": post(POSTED) + SHOWN,
    "smuggled in a body without an end": post(POSTED)[:-1],
    "more than may be pipelined": SHOWN + POSTED * (MAX_PIPELINED + 2),
}
"""Several requests on one connection."""


class Side:
    """An engine and its connections, with a lane or without."""

    def __init__(self, folder: Path, name: str, **settings: Any) -> None:
        chosen = Settings(target=FUNCTIONS, database=folder / f"{name}.db", **settings)
        self.store = SqliteStore(chosen.database)
        self.engine = Engine(load(FUNCTIONS), chosen, self.store)
        access = Access(chosen)
        self.lane = Lane(self.engine, access) if name == "lane" else None
        self.config: Any = config(Application(self.engine, access), 1, self.lane)
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
        self.state, self.wire = ServerState(), Wire()
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
        turns = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while turns < TURNS:
                turns = 0 if self._is_answering() else turns + 1
                await asyncio.sleep(0)
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
            assert b'asyncjob_refusals_total{status="503"} 1.0' in side.engine.metrics.text()
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
            [line for line in side.engine.metrics.text().splitlines() if b"submissions" in line or b"refusals" in line]
            for side in (lane, ordinary)
        ]
        assert counted[0] == counted[1]

    compare(tmp_path, test)


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
