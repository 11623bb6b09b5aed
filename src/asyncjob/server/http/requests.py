"""A request, as handlers get it: what was asked of whom, its query, and its body within bounds.

A path is known before its body is read, and a body is read by the handler that wants one: what nobody asked for costs
nothing, and a stranger's is never read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from asyncjob.contract import MAX_BODY_BYTES, ApiError
from asyncjob.server.engine import Engine
from asyncjob.server.http.access import Access
from asyncjob.server.http.sessions import Headers, Session

# What ASGI hands to an application.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Result = TypeVar("Result")

LISTS = frozenset((b"accept", b"if-none-match", b"prefer"))  # headers that may be given in several lines


class ClientLeft(Exception):
    """The client closed the connection, or was too slow, before its request was whole or its answer was due."""


class Request(msgspec.Struct):
    """One request.

    Attributes:
        engine: what it is asked of.
        access: who may come in, for the sign-in.
        document: the OpenAPI document, as JSON.
        method: as it was sent; `HEAD` goes to the handler of `GET`.
        prefix: what clients write before each path of the API, percent-encoded, such as `/work`; empty for nothing.
        name: the variable part of the path, percent-decoded; empty where the route has none.
        headers: the last value of each, by its name in lower case; of lists, all values.
        query_string: what follows the `?`.
        session: the browser's sign-in that let the request in, if it was one.
        receive: ASGI's.
        job_id: for the job that it may make, if it names none: whoever has handed it over may do that again.
    """

    engine: Engine
    access: Access
    document: bytes
    method: str
    prefix: str
    name: str
    headers: Headers
    query_string: bytes
    session: Session | None
    receive: Receive
    job_id: str | None = None

    def header(self, name: bytes) -> str | None:
        """The header as text, if it was sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self) -> dict[str, str]:
        """The query by name.

        Raises:
            ApiError: 400.
        """
        return parse_query(self.query_string)

    async def json(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """The body, whole, of a request that says it is JSON.

        Args:
            limit: in bytes.

        Raises:
            ApiError: 415, it is something else; 413, it is over the limit.
            ClientLeft: the rest will not come.
        """
        check_content_type(self.headers.get(b"content-type"))
        check_content_encoding(self.headers.get(b"content-encoding"))
        if int(self.headers.get(b"content-length", b"0")) > limit:
            raise _too_large(limit)
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) <= limit:
                return body
        return await self._join(message, limit)

    async def _join(self, message: Message, limit: int) -> bytes:
        parts = bytearray()
        while message["type"] == "http.request":
            parts += message.get("body", b"")
            if len(parts) > limit:
                raise _too_large(limit)
            if not message.get("more_body"):
                return bytes(parts)
            message = await self.receive()
        raise ClientLeft

    async def left(self) -> None:
        """Wait for the client to leave."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def unless_left(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for the work, or for the client to leave, which cancels it.

        Raises:
            ClientLeft: before the work was done.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.left())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientLeft
            return await working
        finally:
            working.cancel()
            leaving.cancel()


def by_name(pairs: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers by name: the last value of each, or all values of one that is a list."""
    headers = dict(pairs)
    if len(headers) < len(pairs):
        for name in LISTS & headers.keys():
            headers[name] = b",".join([value for other, value in pairs if other == name])
    return headers


def parse_query(query_string: bytes) -> dict[str, str]:
    """The query by name; of a name that is given twice the last.

    Raises:
        ApiError: 400.
    """
    try:
        return dict(parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise ApiError(400, "the query string is malformed") from None


def check_content_type(content_type: bytes | None) -> None:
    """Accept JSON, with any parameters. A missing header counts as JSON, as in API Gateway.

    Raises:
        ApiError: 415.
    """
    if content_type is not None and content_type != b"application/json":
        mime = content_type.partition(b";")[0].strip().lower()
        if mime != b"application/json":
            raise ApiError(415, "the Content-Type must be application/json")


def check_content_encoding(content_encoding: bytes | None) -> None:
    """Accept only an uncompressed body.

    Raises:
        ApiError: 415.
    """
    if content_encoding is not None and content_encoding.strip().lower() not in (b"", b"identity"):
        raise ApiError(415, "the body must not be compressed: send it without a Content-Encoding")


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is over the limit of {limit:,} bytes")
