"""The two hot routes, submit and get, as plain ASGI in front of Starlette.

A Starlette route was measured at 28,000 requests a second on a core that gives 50,000 to a bare handler, and these two
are nearly all requests; every other route is Starlette's (routes.py). Who may come in (access.py) is checked here
too, since this is where every request enters.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException

from asyncjob.contract import (
    MAX_BODY_BYTES,
    RETRY_AFTER_SECONDS,
    ApiError,
    check_content_encoding,
    check_content_type,
    parse_submission,
    parse_wait,
    too_large,
)
from asyncjob.job import Job
from asyncjob.server import tracing
from asyncjob.server.engine import Engine
from asyncjob.server.http.access import Access, Headers, WrongKey
from asyncjob.server.logs import logger

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Result = TypeVar("Result")
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_CLOSE = {"connection": "close"}
_RETRY_AFTER = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())


class ClientLeft(Exception):
    """The client closed the connection, or was too slow, before its request was whole or its answer was due."""


class Endpoints:
    """The whole ASGI application.

    Args:
        engine: runs the jobs.
        others: the application for every route but the two.
        access: who may come in.
    """

    def __init__(self, engine: Engine, others: App, access: Access) -> None:
        self._engine = engine
        self._others = others
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._dispatch(scope, receive, send)
        except WrongKey as error:
            await self._access.refuse_late(scope["client"])
            await self._refuse(send, error)
        except ApiError as error:
            await self._refuse(send, error)
        except HTTPException as error:  # Starlette's own 404 and 405
            message = "Not found" if error.status_code == 404 else error.detail
            await self._refuse(send, ApiError(error.status_code, message, dict(error.headers or {})))
        except ClientLeft:
            pass
        except Exception:
            logger.exception("unexpected error")
            await self._refuse(send, ApiError(500, "Internal server error"))

    async def _refuse(self, send: Send, error: ApiError) -> None:
        self._engine.metrics.refused(error.status)
        await send_error(send, error)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path, headers = scope["method"], scope["path"], dict(scope["headers"])
        try:
            scope["session"] = self._access.check(method, path, headers)
        except ApiError as error:
            if b"content-length" in headers or b"transfer-encoding" in headers:
                error.headers = _CLOSE  # what a stranger wants to send is not read
            raise
        if method == "POST" and path == "/jobs":
            await self._submit(headers, receive, send)
        elif method in ("GET", "HEAD") and path.startswith("/jobs/") and path.find("/", 6) < 0:
            await self._get(scope, receive, send, path[6:])
        else:
            scope["app"] = self  # has Starlette raise its refusals instead of answering them as plain text
            await self._others(scope, receive, send)

    async def _submit(self, headers: Headers, receive: Receive, send: Send) -> None:
        check_content_type(headers.get(b"content-type"))
        check_content_encoding(headers.get(b"content-encoding"))
        submission = parse_submission(self._engine.jobs, await read_body(headers, receive))
        with tracing.submission(submission.type, headers.get(b"traceparent")) as traceparent:
            job_id = await self._engine.submit(submission, traceparent)
        body, answer_headers = accepted(job_id)
        await send_json(send, 202, body, answer_headers)

    async def _get(self, scope: Scope, receive: Receive, send: Send, job_id: str) -> None:
        if scope["query_string"]:
            job = await self._wait(job_id, parse_wait(parse_query(scope)), receive)
        else:
            job = self._engine.get(job_id)
        await send_json(send, 200, msgspec.json.encode(job), () if job.status.is_final else (_RETRY_AFTER,))

    async def _wait(self, job_id: str, seconds: float, receive: Receive) -> Job:
        return await unless_left(self._engine.wait(job_id, seconds), receive)


async def unless_left(work: Coroutine[Any, Any, Result], receive: Receive) -> Result:
    """Wait for the work, or for the client to leave, which cancels it.

    Raises:
        ClientLeft: before the work was done.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return await working
    finally:
        working.cancel()
        leaving.cancel()


async def disconnected(receive: Receive) -> None:
    """Wait for the client to leave."""
    while (await receive())["type"] != "http.disconnect":
        pass


def parse_query(scope: Scope) -> dict[str, str]:
    """The query by name; of a name that is given twice the last."""
    try:
        return dict(parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise ApiError(400, "the query string is malformed") from None


async def read_body(headers: Headers, receive: Receive, limit: int = MAX_BODY_BYTES) -> bytes:
    """The request's body, whole; `limit` is in bytes.

    Raises:
        ApiError: 413, it is over the limit.
        ClientLeft: the rest will not come.
    """
    if int(headers.get(b"content-length", b"0")) > limit:
        raise too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) <= limit:
            return body
    return await _read_parts(message, receive, limit)


async def _read_parts(message: MutableMapping[str, Any], receive: Receive, limit: int) -> bytes:
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > limit:
            raise too_large(limit)
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()
    raise ClientLeft


async def send_json(send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Answer with JSON text."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [_JSON, (b"content-length", str(len(body)).encode()), _NO_STORE, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


def accepted(job_id: str) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """Body and headers of a 202."""
    encoded = job_id.encode()
    return b'{"jobId":"%b"}' % encoded, ((b"location", b"/jobs/" + encoded), _RETRY_AFTER)


async def send_error(send: Send, error: ApiError) -> None:
    """Answer with a refusal, in the one shape of errors."""
    headers = tuple((name.lower().encode(), value.encode()) for name, value in error.headers.items())
    await send_json(send, error.status, msgspec.json.encode({"message": error.message}), headers)
