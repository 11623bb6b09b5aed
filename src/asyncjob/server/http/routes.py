"""Every route but the two hot ones: list, cancel, retry, the OpenAPI document, its page, metrics and health."""

import asyncio
import gzip
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from asyncjob.contract import ApiError, parse_list_query, parse_page_query
from asyncjob.openapi import document
from asyncjob.server.engine import Engine
from asyncjob.server.events import job_version
from asyncjob.server.http import page
from asyncjob.server.http.access import Access, Session
from asyncjob.server.http.endpoints import accepted, parse_query, unless_left
from asyncjob.server.http.stream import EventStream
from asyncjob.version import __version__

# Swagger UI writes style attributes; scripts come from files of this server alone.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCS_FILES = {
    "docs.js": ("docs.js", "text/javascript"),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js.gz", "text/javascript"),
    "swagger-ui.css": ("swagger-ui/swagger-ui.css.gz", "text/css"),
}


def router(engine: Engine, access: Access) -> Router:
    """The routes, as an ASGI application. Refusals leave it as exceptions, for endpoints.py to answer."""
    routes = Routes(engine)
    return Router(
        redirect_slashes=False,
        routes=[
            # The hot ones are answered before they get here; they are named for the Allow header of a 405.
            Route("/jobs", routes.list_jobs, methods=["GET", "POST"]),
            Route("/jobs/{job_id}", _answered_before, methods=["GET"]),
            Route("/jobs/{job_id}/cancel", routes.cancel, methods=["POST"]),
            Route("/jobs/{job_id}/retry", routes.retry, methods=["POST"]),
            Route("/jobs/{job_id}/events", routes.job_events, methods=["GET"]),
            Route("/jobs/{job_id}/attempts", routes.attempts, methods=["GET"]),
            Route("/jobs/{job_id}/deliveries", routes.deliveries, methods=["GET"]),
            Route("/stats", routes.stats, methods=["GET"]),
            Route("/events", routes.events, methods=["GET"]),
            Route("/openapi.json", routes.openapi, methods=["GET"]),
            Route("/docs", routes.docs, methods=["GET"]),
            Route("/docs/{name}", routes.docs_file, methods=["GET"]),
            Route("/metrics", routes.metrics, methods=["GET"]),
            Route("/healthz", routes.health, methods=["GET"]),
            *page.routes(access),
        ],
    )


class Routes:
    """The handlers, on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._openapi = msgspec.json.encode(document(engine.jobs, __version__, notify=engine.notifies))

    async def list_jobs(self, request: Request) -> Response:
        page = self._engine.page(parse_list_query(parse_query(request.scope)))
        return _page("jobs", *await unless_left(page, request.receive))

    async def cancel(self, request: Request) -> Response:
        return _json(msgspec.json.encode(await self._engine.cancel(request.path_params["job_id"])))

    async def retry(self, request: Request) -> Response:
        job_id = request.path_params["job_id"]
        await self._engine.retry(job_id)
        body, headers = accepted(job_id)
        return _json(body, 202, {name.decode(): value.decode() for name, value in headers})

    async def attempts(self, request: Request) -> Response:
        query = parse_page_query(parse_query(request.scope))
        return _page("attempts", *self._engine.attempts(request.path_params["job_id"], query))

    async def deliveries(self, request: Request) -> Response:
        query = parse_page_query(parse_query(request.scope))
        return _page("deliveries", *self._engine.deliveries(request.path_params["job_id"], query))

    async def stats(self, request: Request) -> Response:
        return _json(msgspec.json.encode(await self._engine.stats()))

    async def events(self, request: Request) -> Response:
        events = self._engine.events
        texts = events.follow(request.headers.get("last-event-id"))
        return EventStream(texts, events.listeners.opened(), _ended(request))

    async def job_events(self, request: Request) -> Response:
        job = self._engine.get(request.path_params["job_id"])
        last_id = request.headers.get("last-event-id")
        if job.status.is_final and last_id == job_version(job):
            return Response(status_code=204)  # which tells a browser not to ask again
        texts = self._engine.watch(job.job_id, last_id)
        return EventStream(texts, self._engine.events.watchers.opened(), _ended(request))

    async def openapi(self, request: Request) -> Response:
        return _json(self._openapi)

    async def docs(self, request: Request) -> Response:
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "referrer-policy": "no-referrer"}
        return Response(_static("docs.html"), media_type="text/html", headers=headers)

    async def docs_file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in DOCS_FILES:
            raise ApiError(404, "Not found")
        path, media_type = DOCS_FILES[name]
        content = _static(path)
        headers = {"cache-control": "max-age=3600", "vary": "accept-encoding"}
        if path.endswith(".gz"):
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["content-encoding"] = "gzip"
            else:
                content = _decompressed(path)
        return Response(content, media_type=media_type, headers=headers)

    async def metrics(self, request: Request) -> Response:
        return Response(self._engine.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def health(self, request: Request) -> Response:
        self._engine.check()
        return _json(b'{"status":"ok"}')


async def _answered_before(request: Request) -> Response:
    raise AssertionError(f"{request.url.path} belongs to endpoints.py")


def _ended(request: Request) -> asyncio.Event | None:
    session: Session | None = request.scope["session"]
    return None if session is None else session.ended


@cache
def _decompressed(path: str) -> bytes:
    """One for all: who reads it slowly holds it for as long."""
    return gzip.decompress(_static(path))


@cache
def _static(path: str) -> bytes:
    return resources.files("asyncjob.server.http").joinpath("static", path).read_bytes()


def _page(name: str, page: Sequence[object], cursor: int | None) -> Response:
    answer: dict[str, Any] = {name: page}
    if cursor is not None:
        answer["next"] = str(cursor)
    return _json(msgspec.json.encode(answer))


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, media_type="application/json")
