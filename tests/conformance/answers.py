"""The shapes of the API's answers."""

from typing import Any

import httpx

Job = dict[str, Any]


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
