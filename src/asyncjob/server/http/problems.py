"""Errors as `application/problem+json` (RFC 9457), for a client whose `Accept` names it.

What everybody else gets, `{"message"}`, is in it too, so that one way to read an error reads both.
"""

from http import HTTPStatus

import msgspec

from asyncjob.server.http.answers import OF_A_BODY, Answer
from asyncjob.server.http.sessions import Headers

PROBLEM = b"application/problem+json"
MAX_RANGES = 50  # of an Accept that are looked at


def wants_problem(headers: Headers) -> bool:
    """Whether the client names it in `Accept`, and likes it no less than JSON. A wildcard asks for nothing new."""
    accept = headers.get(b"accept")
    if accept is None or b"problem" not in accept.lower():
        return False
    liking = {PROBLEM: 0.0, b"application/json": 0.0}
    for media_range in accept.split(b",", MAX_RANGES)[:MAX_RANGES]:
        media_type, *parameters = [part.strip().lower() for part in media_range.split(b";")]
        if media_type in liking:
            liking[media_type] = _quality(parameters)
    return liking[PROBLEM] > 0 and liking[PROBLEM] >= liking[b"application/json"]


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def as_problem(refusal: Answer) -> Answer:
    """The refusal as a problem, with its status and headers."""
    message = msgspec.json.decode(refusal.body)["message"]
    title = HTTPStatus(refusal.status).phrase
    problem = {"type": "about:blank", "title": title, "status": refusal.status, "detail": message, "message": message}
    body = msgspec.json.encode(problem)
    headers = [header for header in refusal.headers if header[0] not in OF_A_BODY]
    return Answer(refusal.status, [(b"content-type", PROBLEM), (b"content-length", b"%d" % len(body)), *headers], body)
