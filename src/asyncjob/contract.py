"""The contract's bodies, limits and errors: what a request may say, and how a refusal is worded.

Pure functions from bytes to values, so that every engine refuses the same requests in the same words. Statuses and
messages are public API: change them with that in mind.
"""

import json
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Status
from asyncjob.job_log import BEGIN, Level, Place, place_at
from asyncjob.options import NONE, InvalidOptions, Options, parse_options
from asyncjob.registry import InvalidParameters, JobFunction, Jobs

MAX_BODY_BYTES = 1_048_576  # what Lambda takes as one asynchronous event
MAX_WAIT_SECONDS = 60
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
RETRY_AFTER_SECONDS = 1

JOB_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}")  # RFC 3986's unreserved characters, no leading dot
NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")  # as JSON writes one, without a sign
STRUCTURED_STRING = re.compile(r' *"([^"\\]*)" *(?:; *[a-z*][a-z0-9_.*-]*(?:=(?:"[^"\\]*"|[A-Za-z0-9?:/+*._-]+))?)* *')
SURROGATE = re.compile("[\ud800-\udfff]")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
JOB_ID_RULE = "1 to 128 of A-Z a-z 0-9 - . _ ~, not beginning with a dot"


class ApiError(Exception):
    """A refused request, as the client will see it.

    Attributes:
        status: the HTTP status.
        message: one sentence: what is wrong, and where.
        headers: further response headers.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


class Submission(msgspec.Struct, frozen=True):
    """A valid `POST /jobs`. `parameters` is the JSON object without the API's own fields, its values unchanged.

    `options.notify` may be any text here: the engine decides which URLs are allowed.
    """

    job_id: str | UnsetType
    type: str
    parameters: bytes
    options: Options = NONE


class PageQuery(msgspec.Struct, frozen=True):
    """A valid query for a job's attempts or deliveries. `after` is the cursor: the page begins above this number."""

    limit: int = DEFAULT_PAGE
    after: int = 0


class LogQuery(msgspec.Struct, frozen=True):
    """A valid query for a job's log: the lines after a place, of one attempt or of all, of at least a level."""

    limit: int = DEFAULT_PAGE
    after: Place = BEGIN
    attempt: int | None = None
    level: Level = Level.DEBUG


class ListQuery(msgspec.Struct, frozen=True):
    """A valid query of `GET /jobs`. `before` is the cursor: the page begins below this sequence number."""

    status: Status | None = None
    type: str | None = None
    limit: int = DEFAULT_PAGE
    before: int | None = None


def _exact(number: str) -> float | Decimal:
    value, nearest = Decimal(number), float(number)
    return nearest if value == Decimal(repr(nearest)) else value


_decode = msgspec.json.Decoder().decode
_decode_literally = msgspec.json.Decoder(float_hook=lambda number: msgspec.Raw(number.encode())).decode
_decode_exactly = msgspec.json.Decoder(float_hook=_exact).decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def parse_submission(jobs: Jobs, body: bytes, options: Collection[str] = ()) -> Submission:
    """Check the body of `POST /jobs`.

    Args:
        jobs: the registry.
        body: JSON, in UTF-8.
        options: the names of those that the engine can keep.

    Raises:
        ApiError: 400, whose message says what is wrong, and where.
    """
    fields = decode_object(body)
    job_id = fields.pop("jobId", UNSET)
    if job_id is not UNSET and not (isinstance(job_id, str) and JOB_ID.fullmatch(job_id)):
        raise ApiError(400, f"jobId must be {JOB_ID_RULE}")
    given = fields.pop("options", UNSET)
    name = select_type(jobs, fields.pop("type", UNSET))
    try:
        chosen = NONE if given is UNSET else parse_options(given, options)
        return Submission(job_id, name, checked_parameters(jobs[name], fields, body), chosen)
    except (InvalidParameters, InvalidOptions) as error:
        raise ApiError(400, str(error)) from None


def under_key(submission: Submission, key: str) -> Submission:
    """The submission under the id that an `Idempotency-Key` is.

    Args:
        submission: with that id, or with none.
        key: the header: a string of RFC 8941, whose parameters, if it has any, say nothing here.

    Raises:
        ApiError: 400, it is none, or no job can have that id, or the body names another one.
    """
    match = STRUCTURED_STRING.fullmatch(key)
    if match is None or not JOB_ID.fullmatch(match[1]):
        raise ApiError(400, f"Idempotency-Key must be a job's id in double quotes: {JOB_ID_RULE}")
    if submission.job_id not in (UNSET, match[1]):
        raise ApiError(400, "Idempotency-Key and jobId are different; give one of them")
    return msgspec.structs.replace(submission, job_id=match[1])


def checked_parameters(function: JobFunction, fields: dict[str, Any], body: bytes) -> bytes:
    """The parameters as they are saved. For a function that takes decimals, numbers keep the digits that were sent.

    Args:
        function: theirs.
        fields: the parameters.
        body: the JSON object that they were sent in, perhaps with other fields.

    Raises:
        InvalidParameters: they do not fit.
    """
    if not function.takes_decimals:
        function.check(fields)
        return _encode(fields)
    sent = _decode_literally(body)
    parameters = _encode({name: sent[name] for name in fields})
    function.read(parameters)
    return parameters


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        ApiError: 400, it is none.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)  # which Windows' PowerShell sends
    try:
        fields = _decode(body)
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply") from None
    except UnicodeDecodeError:
        raise ApiError(400, "the body is not valid UTF-8") from None
    except msgspec.MsgspecError as error:
        surrogate = _find_surrogate(body)
        if surrogate is not None:
            raise ApiError(400, f"{surrogate} has half a surrogate pair, which is no character") from None
        reason = str(error) if body.strip() else "it is empty"
        raise ApiError(400, f"the body is not valid JSON: {reason}") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "the body must be a JSON object")
    return fields


def _find_surrogate(body: bytes) -> str | None:
    """Where the body escapes half a surrogate pair, or None. Such JSON is valid, but the string is not text."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    places = [(value, "$")]
    while places:
        part, path = places.pop()
        if isinstance(part, str) and SURROGATE.search(part):
            return path
        if isinstance(part, list):
            places += [(item, f"{path}[{index}]") for index, item in enumerate(part)]
        elif isinstance(part, dict):
            for key, item in part.items():
                if SURROGATE.search(key):
                    return f"a key of {path}"
                places.append((item, f"{path}.{key}"))
    return None


def select_type(jobs: Jobs, name: Any) -> str:
    """The function that a request names; UNSET names the only one.

    Raises:
        ApiError: 400, there is no such function, or more than one.
    """
    if isinstance(name, str) and name in jobs:
        return name
    names = jobs.names
    if name is not UNSET:
        raise ApiError(400, f"type must be one of: {', '.join(names)}")
    if len(names) > 1:
        raise ApiError(400, f"type is missing; it must be one of: {', '.join(names)}")
    return names[0]


def same_request(one: Submission, other: Submission) -> bool:
    """Whether two submissions under one id are the same request."""
    return one.type == other.type and one.options == other.options and same_parameters(one.parameters, other.parameters)


def same_parameters(one: bytes, other: bytes) -> bool:
    """Whether two saved parameters are equal; the order of an object's keys does not matter."""
    try:
        return one == other or _encode_sorted(_decode_exactly(one)) == _encode_sorted(_decode_exactly(other))
    except RecursionError:  # nested as deeply as is just accepted, and not identical
        return False


def parse_wait(query: dict[str, str]) -> float:
    """The seconds of `?wait=`, from 0 (the default) to 60.

    Raises:
        ApiError: 400.
    """
    _refuse_unknown(query, ("wait",))
    text = query.get("wait", "0")
    if not NUMBER.fullmatch(text) or float(text) > MAX_WAIT_SECONDS:
        raise ApiError(400, f"wait must be a number of seconds from 0 to {MAX_WAIT_SECONDS:g}")
    return float(text)


def parse_list_query(query: dict[str, str]) -> ListQuery:
    """The filters and the page of `GET /jobs`.

    Raises:
        ApiError: 400.
    """
    _refuse_unknown(query, ("status", "type", "limit", "cursor"))
    status = query.get("status")
    if status is not None and status not in list(Status):
        raise ApiError(400, f"status must be one of: {', '.join(Status)}")
    limit, before = _page(query)
    return ListQuery(None if status is None else Status(status), query.get("type"), limit, before)


def parse_stats_query(query: dict[str, str]) -> str | None:
    """The type whose jobs `GET /stats` counts; None for all.

    Raises:
        ApiError: 400.
    """
    _refuse_unknown(query, ("type",))
    return query.get("type")


def parse_page_query(query: dict[str, str]) -> PageQuery:
    """The page of `GET /jobs/{jobId}/attempts` and of its `deliveries`.

    Raises:
        ApiError: 400.
    """
    _refuse_unknown(query, ("limit", "cursor"))
    limit, after = _page(query)
    return PageQuery(limit, after or 0)


def parse_log_query(query: dict[str, str]) -> LogQuery:
    """The filters and the page of `GET /jobs/{jobId}/logs`.

    Raises:
        ApiError: 400.
    """
    _refuse_unknown(query, ("attempt", "level", "limit", "cursor"))
    limit, after = _page(query)
    attempt, level = query.get("attempt"), query.get("level", Level.DEBUG)
    if attempt is not None and not re.fullmatch(r"[1-9]\d{0,8}", attempt, re.ASCII):
        raise ApiError(400, "attempt must be a whole number from 1 on")
    if level not in list(Level):
        raise ApiError(400, f"level must be one of: {', '.join(Level)}")
    return LogQuery(limit, place_at(after or 0), None if attempt is None else int(attempt), Level(level))


def parse_events_query(query: dict[str, str]) -> bool:
    """Whether `GET /jobs/{jobId}/events` is to tell of the job's log, too. It has never refused what it does not know.

    Raises:
        ApiError: 400.
    """
    if query.get("logs", "false") not in ("true", "false"):
        raise ApiError(400, "logs must be true or false")
    return query.get("logs") == "true"


def parse_no_query(query: dict[str, str]) -> None:
    """The query of a request that takes none.

    Raises:
        ApiError: 400.
    """
    _refuse_unknown(query, ())


def _page(query: dict[str, str]) -> tuple[int, int | None]:
    limit, cursor = query.get("limit", str(DEFAULT_PAGE)), query.get("cursor")
    if not re.fullmatch(r"\d{1,4}", limit, re.ASCII) or not 1 <= int(limit) <= MAX_PAGE:
        raise ApiError(400, f"limit must be a whole number from 1 to {MAX_PAGE}")
    if cursor is not None and not re.fullmatch(r"\d{1,18}", cursor, re.ASCII):
        raise ApiError(400, "cursor must be the next of an earlier page")
    return int(limit), None if cursor is None else int(cursor)


def _refuse_unknown(query: dict[str, str], known: tuple[str, ...]) -> None:
    for name in query:
        if name not in known:
            offered = f"known: {', '.join(known)}" if known else "this request knows none"
            raise ApiError(400, f"unknown query parameter {name!r}; {offered}")
