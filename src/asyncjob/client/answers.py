"""What the answers of an API say, and why there was none: without I/O, and whatever it is that has answered."""

import email.utils
import re
import time
from typing import Any

import httpx
import msgspec

from asyncjob.client.connection import shown
from asyncjob.client.errors import ClientError, NotFound, Refused, Unreachable


def reason(error: httpx.RequestError) -> str:
    """Why there was no answer."""
    if isinstance(error, httpx.ConnectTimeout):
        return "it took too long to connect"
    if isinstance(error, httpx.ReadTimeout):
        return "something there accepts connections, but took too long to answer"
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    return str(error) or type(error).__name__


def retry_after(response: httpx.Response) -> float:
    """The seconds of Retry-After, which may be a date; 0 without it."""
    text = response.headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def elsewhere(response: httpx.Response) -> str:
    """Where a 303 leads. It must be the same API: keys and signatures go nowhere else.

    Raises:
        Unreachable: it leads to another server.
    """
    here = response.request.url
    try:
        there = here.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, ValueError):
        raise Unreachable(f"{shown(here)} redirects to something that is not a URL") from None
    if (there.scheme, there.host, there.port) != (here.scheme, here.host, here.port):
        raise Unreachable(f"{shown(here)} redirects to another server, {there.host}, which this client does not follow")
    return str(there)


def document(response: httpx.Response) -> dict[str, Any]:
    """The JSON object that an answer is.

    Raises:
        Unreachable: it is none, or cannot be read.
    """
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise foreign(response) from None
    except RecursionError:
        url = shown(response.request.url)
        raise Unreachable(f"{url} answered with JSON that is nested too deeply for this Python to read") from None


def foreign(response: httpx.Response) -> ClientError:
    """The error for an answer that no job API gives."""
    return Unreachable(f"{shown(response.request.url)} answered ({response.status_code}), but it is not a job API")


def refusal(response: httpx.Response) -> Refused:
    """An answer as a refusal. If it is not JSON, such as a proxy's page, only the status counts."""
    try:
        message = msgspec.json.decode(response.content)["message"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
        leads = response.headers.get("location", "")[:200]
        message = f"{response.reason_phrase}, it redirects to {leads!r}" if leads else response.reason_phrase
    if response.status_code == 404:
        return NotFound(404, str(message), shown(response.request.url))
    return Refused(response.status_code, str(message))
