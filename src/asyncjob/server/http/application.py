"""The ASGI application: every request finds its route, is let in or not, and gets an answer."""

import msgspec

from asyncjob.contract import ApiError
from asyncjob.openapi import document
from asyncjob.server.engine import Engine
from asyncjob.server.http import answers
from asyncjob.server.http.access import Access, WrongKey
from asyncjob.server.http.answers import Answer, Header
from asyncjob.server.http.cors import PREFLIGHT
from asyncjob.server.http.prefix import locate
from asyncjob.server.http.problems import as_problem, wants_problem
from asyncjob.server.http.requests import ClientLeft, Message, Receive, Request, Scope, Send, by_name
from asyncjob.server.http.routes import ROUTES
from asyncjob.server.http.sessions import Headers
from asyncjob.server.http.streams import EventStream
from asyncjob.server.refusals import NotFound
from asyncjob.version import __version__


class Application:
    """An engine behind HTTP, as ASGI.

    Args:
        engine: runs the jobs.
        access: who may come in.
        root_path: the prefix that a proxy in front of this server has, where ASGI's scope names none.
    """

    def __init__(self, engine: Engine, access: Access, root_path: str = "") -> None:
        self._engine = engine
        self._access = access
        self._root_path = root_path
        described = [route.request for route in ROUTES if route.operation is not None]
        self._document = msgspec.json.encode(
            document(engine.jobs, __version__, described, options=engine.options, key_needed=access.needs_key)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = by_name(scope["headers"])
        allowing = self._access.cors.allowing(headers)
        if allowing:
            send = _adding(allowing, send)
        try:
            answer = await self._answer(scope, headers, receive)
            await answer.send(send)
        except WrongKey as refusal:
            await self._access.refuse_late(scope["client"])
            await self._refuse(refusal, headers, send)
        except ClientLeft:
            pass
        except Exception as error:
            await self._refuse(error, headers, send)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive) -> Answer | EventStream:
        method = scope["method"]
        if self._access.cors.is_preflight(method, headers):
            self._access.check(method, True, headers)
            return answers.nothing(PREFLIGHT)
        path, name, prefix = locate(scope, self._root_path)
        session = self._access.check(method, path is not None and path.is_open, headers)
        if path is None:
            raise NotFound
        route = path.routes.get(method)
        if route is None:
            raise ApiError(405, "Method Not Allowed", {"allow": path.allow})
        return await route.handler(
            Request(
                self._engine,
                self._access,
                self._document,
                method,
                prefix,
                name,
                headers,
                scope["query_string"],
                session,
                receive,
                scope.get("asyncjob.job_id"),
            )
        )

    async def _refuse(self, error: Exception, headers: Headers, send: Send) -> None:
        answer = answers.refused(error)
        self._engine.metrics.refused(answer.status)
        await (as_problem(answer) if wants_problem(headers) else answer).send(send)


def _adding(headers: list[Header], send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers
