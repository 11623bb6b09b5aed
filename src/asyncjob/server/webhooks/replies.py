"""What is taken from a receiver's answer: little, bounded in size, and in our own words.

A receiver is a stranger that a client has named. What it says must not reach that client, who could otherwise read what
only the server can request; nor may it fill the log or keep the server busy reading.
"""

import os
import re
import ssl
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpcore

MAX_HEAD_BYTES = 32_768  # of an answer, with all informational ones before it
READ_BYTES = 4_096  # between two of the event loop's turns
MAX_DETAIL = 300  # characters
_SECONDS = re.compile(rb"[0-9]{1,20}")
_MAX_DATE = 40  # characters of an HTTP date


class Reply(NamedTuple):
    """What became of a try.

    Attributes:
        error: what went wrong, for whoever may read the job; None if nothing did.
        status: the answer's HTTP status; None if there was no answer.
        retry_after: how many seconds the receiver asks to wait.
        detail: what else is known, for the log.
    """

    error: str | None
    status: int | None = None
    retry_after: float = 0.0
    detail: str = ""


class AnswerTooLong(Exception):
    """The receiver sends more than is read."""


def no_reply(error: Exception) -> Reply:
    """What became of a try that raised this."""
    detail = ascii(f"{type(error).__name__}: {error}")[1:-1]
    return Reply(_words(error), detail=detail[:MAX_DETAIL])


def _words(error: Exception) -> str:
    """What went wrong, in the words of this file, of OpenSSL or of the system."""
    for cause in _causes(error):
        if isinstance(cause, AnswerTooLong):
            return f"the answer's head is over {MAX_HEAD_BYTES:,} bytes"
        if isinstance(cause, ssl.SSLCertVerificationError):  # its message names no other host than the one asked for
            return f"TLS failed: CERTIFICATE_VERIFY_FAILED ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'the connection broke'}"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    if isinstance(error, httpcore.RemoteProtocolError):
        return "the answer is not HTTP, or broke off"
    return f"the connection failed: {type(error).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """The seconds of the answer's Retry-After, which may also be a date; 0 if there is none that can be read."""
    text = next((value.strip() for name, value in headers if name.lower() == b"retry-after"), b"")
    if _SECONDS.fullmatch(text):
        return float(text)
    if len(text) > _MAX_DATE:
        return 0.0
    try:
        date = parsedate_to_datetime(text.decode("ascii"))
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


class _BoundedStream(httpcore.AsyncNetworkStream):
    """A connection of which only a bounded number of bytes is read: informational answers could go on for ever."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = MAX_HEAD_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # httpcore's interface
        data = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        self._left -= len(data)
        if self._left < 0:
            raise AnswerTooLong
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return _BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.AnyIOBackend):
    """Makes connections that are read no further than a head may be long."""

    async def connect_tcp(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        return _BoundedStream(await super().connect_tcp(*arguments, **named))
