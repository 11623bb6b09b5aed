"""The fast path of the two hottest routes: `POST /jobs`, and `GET /jobs/{jobId}` without a query.

Programs send the same headers again and again. What the parser, the limits and the access check said of a block of
headers they would say of the same bytes again. So a request is answered here if it arrives in one packet, alone, and
its headers are, to the byte, those of a request that went the ordinary way and was let in. It gets no scope, no task
and no cycle of uvicorn, and its answer is one `bytes`. Everything else goes the ordinary way: what is new, in pieces,
pipelined, over a limit, traced, from a browser with a cookie, refused by the contract or not to be saved at the moment.
No framing is decided here, and no refusal but what is known only after the commit.

tests/server/test_lane.py holds it against the ordinary way, byte by byte.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from asyncjob.contract import JOB_ID, MAX_BODY_BYTES, ApiError, Submission, parse_submission
from asyncjob.server import tracing
from asyncjob.server.admission import Earlier, not_saved
from asyncjob.server.engine import OPTIONS, Engine
from asyncjob.server.http import answers, jobs
from asyncjob.server.http.access import Access
from asyncjob.server.http.answers import Answer, Header
from asyncjob.server.http.prefix import link_prefix, tails
from asyncjob.server.http.problems import wants_problem
from asyncjob.server.http.protocol import HttpProtocol
from asyncjob.server.http.requests import by_name, check_content_encoding, check_content_type
from asyncjob.server.http.routes import ROUTES
from asyncjob.store import NotSaved

MAX_KNOWN = 256  # blocks of headers that are known at once, for each route
MAX_KNOWN_BYTES = 2_048  # of one of them
FAST = {route.method: route for route in ROUTES if route.handler in (jobs.submit, jobs.get)}
VERSION = b" HTTP/1.1"
CLOSE = (b"connection", b"close")
MATTERS = frozenset(  # for each request anew
    (
        b"cookie",
        b"expect",
        b"idempotency-key",
        b"if-none-match",
        b"origin",
        b"prefer",
        b"transfer-encoding",
        b"traceparent",
        b"upgrade",
    )
)


class Lane:
    """What all connections of a server know of the requests that they may answer by themselves.

    A block of headers is kept with the API key in it, if there is one. It is looked up by its hash, which a stranger
    cannot know, so the time that it takes tells nothing of the key.

    Attributes:
        engine: what runs the jobs.
        prefix: as links have it.
        posts: the first line of a submission.
        get: the first line of a GET, with the job's id as its group.

    Args:
        engine: as above.
        access: who may come in.
        root_path: as for Application.
    """

    def __init__(self, engine: Engine, access: Access, root_path: str = "") -> None:
        self.engine = engine
        self.posts = tuple(b"POST %b%b\r\n" % (path, VERSION) for path in _paths("POST", root_path))
        paths = b"|".join(re.escape(path) for path in _paths("GET", root_path))
        self.get = re.compile(b"GET (?:%b)(%b)%b\r\n" % (paths, JOB_ID.pattern.encode(), re.escape(VERSION)))
        self.prefix = link_prefix(root_path)
        self._access = access
        self._known: dict[str, dict[bytes, int]] = {method: {} for method in FAST}
        self._traces = tracing.is_on()  # which is decided while the functions are loaded
        self._default_headers: list[Header] = []
        self._default_lines = b""
        self._accepted: dict[int, list[bytes]] = {}

    def body_size(self, method: str, block: bytes) -> int | None:
        """How long the body is that follows these headers; None if they are not known."""
        return self._known[method].get(block)

    def learn(self, method: str, block: bytes, headers: list[Header]) -> None:
        """Know these headers from now on, if requests with them are ordinary and are let in.

        Args:
            method: of the request that brought them.
            block: from the end of the request line to the blank line, both included.
            headers: the same, as the parser read them.
        """
        lines = len(headers) + 2  # each header is one line, and nothing but CRLF ends a line
        if self._traces and method == "POST":
            return
        if len(block) > MAX_KNOWN_BYTES or any(block.count(end) != lines for end in (b"\r", b"\n", b"\r\n")):
            return
        values = dict(headers)
        size = int(values.get(b"content-length", b"0"))
        if MATTERS & values.keys() or (not 0 < size <= MAX_BODY_BYTES if method == "POST" else size):
            return
        if wants_problem(by_name(headers)):
            return
        try:
            self._access.check(method, FAST[method].is_open, values)
            if method == "POST":
                check_content_type(values.get(b"content-type"))
                check_content_encoding(values.get(b"content-encoding"))
        except ApiError:
            return
        known = self._known[method]
        if len(known) >= MAX_KNOWN:
            del known[next(iter(known))]
        known[block] = size

    def refused(self, error: Exception) -> Answer:
        """The answer to a job that was not saved, or not as a new one."""
        answer = answers.refused(error)
        self.engine.metrics.refused(answer.status)
        return answer

    def text(self, answer: Answer, default_headers: list[Header], keep_alive: bool = True) -> bytes:
        """An answer as uvicorn sends it, whole."""
        if default_headers is not self._default_headers:  # once a second, because of `Date`
            self._default_headers, self._default_lines = default_headers, _lines(default_headers)
            self._accepted.clear()
        lines = self._default_lines + _lines(answer.headers if keep_alive else [*answer.headers, CLOSE])
        return b"%b%b\r\n%b" % (STATUS_LINE[answer.status], lines, answer.body)

    def accepted(self, job_id: str, default_headers: list[Header]) -> bytes:
        """The text of a 202; what ids of one length have in common is made once a second."""
        size = len(job_id)
        parts = self._accepted.get(size)
        if parts is None or default_headers is not self._default_headers:
            place = "\0" * size
            parts = self.text(answers.accepted(self.prefix, place), default_headers).split(place.encode())
            self._accepted[size] = parts
        return job_id.encode().join(parts)


def _paths(method: str, root_path: str) -> list[bytes]:
    """How a request's path begins: below the prefix, and without it unless that could be read as another path below."""
    path = FAST[method].path.partition("{")[0]
    ways = {root_path + path}
    if not any(path.startswith(f"{tail}/") for tail in tails(root_path)):
        ways.add(path)
    return [way.encode() for way in ways]


def _lines(headers: list[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class LaneProtocol(HttpProtocol):
    """A connection that answers what its lane knows, and gives everything else to the ordinary way.

    Attributes:
        lane: of the server.

    Args:
        lane: as above.
    """

    def __init__(self, *args: Any, lane: Lane, **more: Any) -> None:
        super().__init__(*args, **more)
        self.lane = lane
        self._first: tuple[str, bytes] | None = None  # method and headers of the first request in the packet
        self._idle_since: float | None = None  # when the lane answered, if nothing has come since

    def data_received(self, data: bytes) -> None:
        self._first = self._idle_since = None
        if self._is_idle():
            if data.startswith(self.lane.posts):
                start, end = data.find(b"\r\n"), data.find(b"\r\n\r\n") + 4
                block = data[start:end]
                if self.lane.body_size("POST", block) == len(data) - end and self._post(data[end:]):
                    return
                self._first = "POST", block
            elif data.endswith(b"\r\n\r\n") and (get := self.lane.get.match(data)) is not None:
                block = data[get.end() - 2 :]
                if self.lane.body_size("GET", block) == 0 and self._get(get[1].decode()):
                    return
                self._first = "GET", block
        super().data_received(data)

    def _is_idle(self) -> bool:
        """Whether nothing has arrived that is not answered yet, so that a packet begins with a request."""
        cycle = self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and not (self._head_bytes or self._ahead_bytes or self._is_deaf)
            and not (self.flow.write_paused or self.transport.is_closing())
        )

    def on_headers_complete(self) -> None:
        first, self._first = self._first, None
        super().on_headers_complete()
        if first is not None and self.cycle.keep_alive and not self.parser.should_upgrade():
            self.lane.learn(*first, self.headers)

    # -- what is answered --------------------------------------------------------------------------------------------

    def _post(self, body: bytes) -> bool:
        """Save a job; False if something speaks against it, which the ordinary way will find and say."""
        engine = self.lane.engine
        try:
            answering = Answering(self, parse_submission(engine.jobs, body, OPTIONS))
            answering.job_id = engine.save(answering, answering.submission)
        except Exception:  # whatever it is, nothing was written, and the ordinary way meets it again
            return False
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._receiving_since = None
        self.cycle = self._running = answering  # type: ignore[assignment]
        return True

    def _get(self, job_id: str) -> bool:
        """Show a job; False if there is none."""
        try:
            job = self.lane.engine.show(job_id)
        except Exception:  # as above
            return False
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._receiving_since = None
        self.answer(self.lane.text(jobs.shown(job), self.server_state.default_headers))
        return True

    def answer(self, answer: bytes, keep_alive: bool = True) -> None:
        """Send an answer, and go on as after any other."""
        self.transport.write_whole(answer)  # type: ignore[attr-defined]
        if not keep_alive:
            self.transport.close()
        if self.pipeline or self._is_deaf or self.transport.is_closing():
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        if self.flow.read_paused:
            self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def close_if_idle(self, now: float) -> None:
        """Close the connection if nothing has come since the lane answered for as long as uvicorn keeps one open.

        It is asked each second. A timer for each answer would cost a tenth of what a GET does.
        """
        if self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.timeout_keep_alive_handler()


class Answering:
    """A job that is being saved, and who is told of it.

    To the rest of the connection it is a cycle of uvicorn, whose attributes it has; to the store it is a future.

    Attributes:
        job_id: the job's, once it is known.
        submission: what is saved.

    Args:
        connection: where the answer goes.
        submission: as above.
    """

    message_event = asyncio.Event()  # nobody waits for it

    def __init__(self, connection: LaneProtocol, submission: Submission) -> None:
        self.response_started = self.response_complete = self.disconnected = False
        self.keep_alive = True
        self.job_id = ""
        self.submission = submission
        self._connection = connection

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The connection's."""
        return self._connection.loop

    def done(self) -> bool:
        """Whether nobody needs to be told: never, since the submission is counted even if its client has left."""
        return False

    def set_result(self, earlier: Earlier) -> None:
        """The commit is over: answer."""
        lane = self._connection.lane
        try:
            submitted = lane.engine.saved(self.job_id, self.submission, earlier)
        except Exception as error:
            self._refuse(error)
        else:
            if self.keep_alive and not submitted.is_duplicate:
                self._answer(lane.accepted(self.job_id, self._connection.server_state.default_headers))
            else:
                self._answer(self._text(answers.accepted(lane.prefix, *submitted)))

    def set_exception(self, error: Exception) -> None:
        """Nothing was saved: say so."""
        self._refuse(not_saved(error) if isinstance(error, NotSaved) else error)

    def _refuse(self, error: Exception) -> None:
        self._answer(self._text(self._connection.lane.refused(error)))

    def _text(self, answer: Answer) -> bytes:
        return self._connection.lane.text(answer, self._connection.server_state.default_headers, self.keep_alive)

    def _answer(self, text: bytes) -> None:
        if not self.disconnected:
            self.response_complete = True
            self._connection.answer(text, self.keep_alive)
