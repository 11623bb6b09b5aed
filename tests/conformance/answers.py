"""The shapes of the API's answers."""

import os
from typing import Any

import httpx

Job = dict[str, Any]


def whereabouts(api: httpx.Client, answer: httpx.Response) -> str:
    """The path below the API, or the whole address if it is elsewhere, to which an answer's `Location` leads.

    CONFORMANCE_LOCATED is where the API believes that it is, if that is not where it is reached.
    """
    base = os.environ.get("CONFORMANCE_LOCATED", str(api.base_url))
    return str(answer.request.url.join(answer.headers["location"])).removeprefix(base.rstrip("/"))


def assert_refused(answer: httpx.Response, status: int) -> str:
    """The answer is a refusal in the one shape of errors; its message."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    body = answer.json()
    assert list(body) == ["message"]
    message = body["message"]
    assert isinstance(message, str)
    assert message
    return message
