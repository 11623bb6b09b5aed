"""The ASGI application: every request finds its route, is let in or not, and gets an answer."""

import msgspec

from asyncjob.contract import ApiError
from asyncjob.openapi import document
from asyncjob.server.engine import Engine
from asyncjob.server.http import answers
from asyncjob.server.http.access import Access, WrongKey
from asyncjob.server.http.answers import Answer
from asyncjob.server.http.requests import ClientLeft, Receive, Request, Scope, Send
from asyncjob.server.http.routes import ROUTES, Path, find
from asyncjob.server.http.sessions import Headers, Session
from asyncjob.server.http.streams import EventStream
from asyncjob.server.logs import logger
from asyncjob.server.refusals import Refusal
from asyncjob.version import __version__

CLOSE = {"connection": "close"}


class Application:
    """An engine behind HTTP, as ASGI.

    Args:
        engine: runs the jobs.
        access: who may come in.
    """

    def __init__(self, engine: Engine, access: Access) -> None:
        self._engine = engine
        self._access = access
        described = [route.request for route in ROUTES if route.operation is not None]
        self._document = msgspec.json.encode(document(engine.jobs, __version__, described, notify=engine.notifies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
            await answer.send(send)
        except WrongKey as refusal:
            await self._access.refuse_late(scope["client"])
            await self._refuse(answers.refused(refusal), send)
        except (ApiError, Refusal) as refusal:
            await self._refuse(answers.refused(refusal), send)
        except ClientLeft:
            pass
        except Exception:
            logger.exception("unexpected error")
            await self._refuse(answers.error(500, "Internal server error"), send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | EventStream:
        method, headers = scope["method"], dict(scope["headers"])
        path, name = find(scope["path"])
        session = self._let_in(method, path, headers)
        if path is None:
            raise ApiError(404, "Not found")
        route = path.routes.get(method)
        if route is None:
            raise ApiError(405, "Method Not Allowed", {"allow": path.allow})
        query = scope["query_string"]
        return await route.handler(
            Request(self._engine, self._access, self._document, method, name, headers, query, session, receive)
        )

    def _let_in(self, method: str, path: Path | None, headers: Headers) -> Session | None:
        try:
            return self._access.check(method, path is not None and path.is_open, headers)
        except ApiError as refusal:
            if b"content-length" in headers or b"transfer-encoding" in headers:
                refusal.headers = CLOSE  # the body of somebody who may not come in is not read
            raise

    async def _refuse(self, answer: Answer, send: Send) -> None:
        self._engine.metrics.refused(answer.status)
        await answer.send(send)
