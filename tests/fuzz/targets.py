"""What is fuzzed: each target takes bytes that a stranger could send and raises where they do harm.

A refusal is no harm. Any other exception is, and so is an answer that contradicts itself.
"""

import re
from collections.abc import Callable

import msgspec

from asyncjob import JobContext, Jobs
from asyncjob.contract import (
    JOB_ID,
    MAX_PAGE,
    MAX_WAIT_SECONDS,
    ApiError,
    parse_list_query,
    parse_page_query,
    parse_submission,
    parse_wait,
    same_request,
)
from asyncjob.server.http.requests import parse_query
from asyncjob.server.refusals import NotAllowed
from asyncjob.server.webhooks.receivers import NotifyPolicy
from asyncjob.server.workers.channel import Unbelievable, Unpacker, pack

jobs = Jobs()


@jobs.job
def resize(width: int, height: float = 1.0, names: list[str] | None = None) -> None:
    """A function with the usual kinds of parameters."""


@jobs.job
async def fetch(context: JobContext, urls: dict[str, bytes]) -> None:
    """Another, so that the type has to be named."""


def submission(data: bytes) -> None:
    """The body of `POST /jobs`."""
    try:
        parsed = parse_submission(jobs, data)
    except ApiError as error:
        assert error.status == 400 and error.message
        return
    assert parsed.type in jobs
    assert isinstance(parsed.job_id, msgspec.UnsetType) or JOB_ID.fullmatch(parsed.job_id)
    assert isinstance(msgspec.json.decode(parsed.parameters), dict)
    assert same_request(parsed, parsed)


def query(data: bytes) -> None:
    """The query strings of all routes that take one."""
    try:
        names = parse_query(data)
    except ApiError as error:
        assert error.status == 400
        return
    for parse in (parse_list_query, parse_page_query, parse_wait):
        try:
            parsed = parse(names)
        except ApiError as error:
            assert error.status == 400 and error.message
        else:
            limit = getattr(parsed, "limit", 1)
            assert 1 <= limit <= MAX_PAGE
            assert not isinstance(parsed, float) or 0 <= parsed <= MAX_WAIT_SECONDS


def channel(data: bytes) -> None:
    """What a worker's process writes; the first byte says in how large pieces it arrives."""
    size, sent = (data[0] or 1, data[1:]) if data else (1, b"")
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    whole, cut = _unpacked([sent]), _unpacked(pieces)
    assert whole is None or whole == cut


def _unpacked(pieces: list[bytes]) -> bytes | None:
    """The messages, packed again, since one with a NaN is not equal to itself.

    None where one cannot be read, which costs that worker its connection.
    """
    unpacker = Unpacker()
    try:
        return pack([message for piece in pieces for message in unpacker.feed(piece)])
    except Unbelievable:
        return None


def notify(data: bytes) -> None:
    """An allow list, an entry a line, and on the last line a URL that a client names."""
    *entries, url = data.decode("utf-8", "replace").split("\n")
    try:
        policy = NotifyPolicy(entries)
    except ValueError as error:
        assert len(str(error)) < 2_000
        policy = NotifyPolicy(["hooks.example", "*.example:8443", "10.0.0.0/8:9000", "::1"])
    try:
        policy.check(url)
    except NotAllowed as error:
        assert error.message
    else:
        assert policy.allows_any
        assert re.match("https?://", url, re.IGNORECASE)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "submission": submission,
    "query": query,
    "channel": channel,
    "notify": notify,
}
