"""The two hot routes, submit and get, as plain ASGI in front of Starlette.

A profile of 64 clients showed the routing, Request and Response objects to cost these two more than the work itself;
every other route is Starlette's (routes.py). The API key is checked here too, since this is where every request enters.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException

from asyncjob.contract import (
    MAX_BODY_BYTES,
    RETRY_AFTER_SECONDS,
    ApiError,
    check_content_type,
    parse_submission,
    parse_wait,
    too_large,
)
from asyncjob.local.engine import Engine
from asyncjob.local.logs import logger

BODY_SECONDS = 30.0  # how long a client may take to send a body

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_RETRY_AFTER = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())
_OPEN_PATHS = frozenset({"/healthz"})  # a load balancer has no key


class ClientLeft(Exception):
    """The client closed the connection before its request was whole."""


class Endpoints:
    """The whole ASGI application.

    Args:
        engine: runs the jobs.
        others: the application for every route but the two.
        api_key: what clients must send as `x-api-key`; None to let everybody in.
    """

    def __init__(self, engine: Engine, others: App, api_key: str | None) -> None:
        self._engine = engine
        self._others = others
        self._api_key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._dispatch(scope, receive, send)
        except ApiError as error:
            await send_error(send, error)
        except HTTPException as error:  # Starlette's own 404 and 405
            message = "Not found" if error.status_code == 404 else error.detail
            await send_error(send, ApiError(error.status_code, message, dict(error.headers or {})))
        except ClientLeft:
            pass
        except Exception:
            logger.exception("unexpected error")
            await send_error(send, ApiError(500, "Internal server error"))

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if self._api_key is not None and path not in _OPEN_PATHS:
            self._check_key(_header(scope, b"x-api-key"))
        if method == "POST" and path == "/jobs":
            await self._submit(scope, receive, send)
        elif method in ("GET", "HEAD") and path.startswith("/jobs/") and path.find("/", 6) < 0:
            await self._get(scope, send, path[6:])
        else:
            scope["app"] = self  # has Starlette raise its refusals instead of answering them as plain text
            await self._others(scope, receive, send)

    def _check_key(self, given: bytes | None) -> None:
        if self._api_key is None or given is None or not hmac.compare_digest(given, self._api_key):
            raise ApiError(403, "Forbidden: send the server's API key as x-api-key")

    async def _submit(self, scope: Scope, receive: Receive, send: Send) -> None:
        check_content_type(_header(scope, b"content-type"))
        submission = parse_submission(self._engine.jobs, await read_body(scope, receive))
        body, headers = accepted(await self._engine.submit(submission))
        await send_json(send, 202, body, headers)

    async def _get(self, scope: Scope, send: Send, job_id: str) -> None:
        if scope["query_string"]:
            job = await self._engine.wait(job_id, parse_wait(parse_query(scope)))
        else:
            job = self._engine.get(job_id)
        await send_json(send, 200, msgspec.json.encode(job), () if job.status.is_final else (_RETRY_AFTER,))


def parse_query(scope: Scope) -> dict[str, str]:
    """The query by name; of a name that is given twice the last."""
    try:
        return dict(parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise ApiError(400, "the query string is malformed") from None


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The request's body, whole.

    Raises:
        ApiError: 413, it is over the limit; 408, it took too long.
        ClientLeft: the rest will not come.
    """
    length = _header(scope, b"content-length")
    if length is not None and int(length) > MAX_BODY_BYTES:
        raise too_large()
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise too_large()
        return body
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_parts(message, receive)
    except TimeoutError:
        raise ApiError(408, "the body did not arrive in time", {"Connection": "close"}) from None


async def _read_parts(message: MutableMapping[str, Any], receive: Receive) -> bytes:
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > MAX_BODY_BYTES:
            raise too_large()
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
            "headers": [_JSON, (b"content-length", str(len(body)).encode()), *headers],
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


def _header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None
