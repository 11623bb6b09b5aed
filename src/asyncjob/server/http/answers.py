"""What is answered: JSON, files, a 202, and every refusal with its status, headers and one shape."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from asyncjob.contract import RETRY_AFTER_SECONDS, ApiError
from asyncjob.server.http.requests import Send
from asyncjob.server.logs import logger
from asyncjob.server.refusals import Conflict, Full, NotAllowed, NotFound, Refusal, TryLater, Unavailable

Header = tuple[bytes, bytes]

JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")
RETRY_AFTER = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())
LONGEST_RETRY_AFTER = 10  # seconds
AGE_SHARE = 10  # of a job's age so far, that part is a reasonable pause before asking again

ENTITY_TAG = re.compile(r'"[^"]*"')  # without the W/ of a weak one, which makes no difference here
OF_A_BODY = (b"content-type", b"content-length")

STATUSES: dict[type[Refusal], int] = {NotAllowed: 400, NotFound: 404, Conflict: 409, Full: 429, Unavailable: 503}


class Answer(msgspec.Struct, gc=False):
    """An answer that is sent at once."""

    status: int
    headers: list[Header]
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it; `send` is ASGI's."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def json(body: bytes, status: int = 200, headers: Iterable[Header] = ()) -> Answer:
    """JSON, which nobody may keep: a job changes."""
    return Answer(status, [JSON, (b"content-length", b"%d" % len(body)), NO_STORE, *headers], body)


def accepted(prefix: str, job_id: str, is_duplicate: bool = False) -> Answer:
    """A 202: the job is saved and will run; or one that is the same was there before."""
    body = b'{"jobId":"%b"}' % job_id.encode()
    return json(duplicate(body) if is_duplicate else body, 202, (location(prefix, job_id), RETRY_AFTER))


def duplicate(body: bytes) -> bytes:
    """The JSON object with one field more, which says that a submission named a job that was there."""
    return body[:-1] + b',"duplicate":true}'


def location(prefix: str, job_id: str) -> Header:
    """Where a job is, at this host."""
    return b"location", f"{prefix}/jobs/{job_id}".encode()


def etag(version: str) -> Header:
    """Which version of a job an answer shows."""
    return b"etag", b'"%b"' % version.encode()


def retry_after(age: float) -> Header:
    """When to ask again for a job that has not ended: after a tenth of its age so far.

    Args:
        age: in seconds; below 0 if the clock was set back.
    """
    return b"retry-after", b"%d" % min(LONGEST_RETRY_AFTER, max(RETRY_AFTER_SECONDS, int(age / AGE_SHARE)))


def unless_known(answer: Answer, known: str) -> Answer:
    """The answer; or a 304 without a body, if its version is one that the client has.

    Args:
        answer: with an ETag.
        known: the request's `If-None-Match`: versions, or `*` for any.
    """
    version = next(value for name, value in answer.headers if name == b"etag").decode()
    if known.strip() != "*" and version not in ENTITY_TAG.findall(known):
        return answer
    return Answer(304, [header for header in answer.headers if header[0] not in OF_A_BODY], b"")


def page(name: str, items: Sequence[object], cursor: int | None) -> Answer:
    """A page of a list, with the cursor of the next one if there is one."""
    answer: dict[str, object] = {name: items}
    if cursor is not None:
        answer["next"] = str(cursor)
    return json(msgspec.json.encode(answer))


def file(content: bytes, media_type: bytes, headers: Iterable[Header] = ()) -> Answer:
    """Text for people or programs; `headers` say how long it may be kept."""
    return Answer(200, [*headers, (b"content-length", b"%d" % len(content)), (b"content-type", media_type)], content)


def nothing(headers: Iterable[Header] = ()) -> Answer:
    """A 204, which has no body."""
    return Answer(204, list(headers), b"")


def refused(refusal: Exception) -> Answer:
    """A refusal: of the request by itself, or by the engine. Anything else is a fault of ours, and logged."""
    if isinstance(refusal, Refusal):
        headers = [RETRY_AFTER] if isinstance(refusal, TryLater) else []
        return error(STATUSES[type(refusal)], refusal.message, headers)
    if not isinstance(refusal, ApiError):
        logger.error("unexpected error", exc_info=refusal)
        return error(500, "Internal server error")
    return error(
        refusal.status,
        refusal.message,
        [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()],
    )


def error(status: int, message: str, headers: Iterable[Header] = ()) -> Answer:
    """The one shape of errors."""
    return json(msgspec.json.encode({"message": message}), status, headers)
