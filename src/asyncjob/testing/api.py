"""The contract in front of an engine in memory: what a client asks, and what it is answered, without a network."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import msgspec

from asyncjob.contract import (
    MAX_BODY_BYTES,
    RETRY_AFTER_SECONDS,
    ApiError,
    parse_list_query,
    parse_submission,
    parse_wait,
)
from asyncjob.job import Job, Status
from asyncjob.openapi import document
from asyncjob.options import WIRE_NAMES
from asyncjob.testing.engine import Engine
from asyncjob.version import __version__

OPTIONS = tuple(WIRE_NAMES.values())
REQUESTS = (
    *("POST /jobs", "GET /jobs", "GET /jobs/{jobId}", "POST /jobs/{jobId}/cancel", "POST /jobs/{jobId}/retry"),
    *("DELETE /jobs/{jobId}", "POST /jobs/{jobId}/run-now", "GET /stats"),
)


def answer(engine: Engine, request: httpx.Request) -> httpx.Response:
    """Answer a request."""
    try:
        return _answer(engine, request)
    except ApiError as error:
        return json_response({"message": error.message}, error.status)


def _answer(engine: Engine, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911 - one for each route
    query, parts = dict(request.url.params), request.url.path.strip("/").split("/")
    match request.method, *parts:
        case "POST", "jobs":
            return _submit(engine, request.content)
        case "GET", "jobs":
            return _list(engine, query)
        case "GET", "jobs", job_id:
            return _shown((engine.wait if parse_wait(query) else engine.find)(job_id).job)
        case "GET", "jobs", _, "logs":
            raise ApiError(501, "functions log in the test's own process here: its fixture caplog has it")
        case "DELETE", "jobs", job_id:
            engine.delete(job_id)
            return httpx.Response(204)
        case "POST", "jobs", job_id, "cancel":
            return _shown(engine.cancel(job_id).job)
        case "POST", "jobs", job_id, "run-now":
            engine.run_now(job_id)
            return _accepted({"jobId": job_id})
        case "POST", "jobs", job_id, "retry":
            engine.retry(job_id)
            return _accepted({"jobId": job_id})
        case "GET", "stats":
            counts = {status: sum(kept.job.status is status for kept in engine.kept.values()) for status in Status}
            return json_response({"jobs": counts, "ended": {"seconds": 10, "counts": []}})
        case "GET", "healthz":
            return json_response({"status": "ok"})
        case "GET", "openapi.json":
            return json_response(document(engine.jobs, __version__, REQUESTS, options=OPTIONS))
    raise ApiError(404, "Not found")


def _submit(engine: Engine, body: bytes) -> httpx.Response:
    if len(body) > MAX_BODY_BYTES:
        raise ApiError(413, f"the body is over the limit of {MAX_BODY_BYTES:,} bytes")
    job_id, duplicate = engine.submit(parse_submission(engine.jobs, body, OPTIONS))
    return _accepted({"jobId": job_id} | ({"duplicate": True} if duplicate else {}))


def _list(engine: Engine, query: dict[str, str]) -> httpx.Response:
    asked = parse_list_query(query)
    numbered = list(enumerate(kept.job for kept in engine.kept.values()))[: asked.before]
    wanted: Callable[[Job], bool] = lambda job: (  # noqa: E731
        asked.status in (None, job.status) and asked.type in (None, job.type)
    )
    found = [(number, job) for number, job in reversed(numbered) if wanted(job)]
    page = found[: asked.limit]
    more = {"next": str(page[-1][0])} if len(found) > len(page) else {}
    return json_response({"jobs": [job for _, job in page], **more})


def _shown(job: Job) -> httpx.Response:
    return json_response(job)


def _accepted(answer: dict[str, Any]) -> httpx.Response:
    headers = {"location": f"/jobs/{answer['jobId']}", "retry-after": str(RETRY_AFTER_SECONDS)}
    return json_response(answer, 202, headers)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    """An answer with JSON, which took no time."""
    content = msgspec.json.encode(value)
    response = httpx.Response(status, content=content, headers={"content-type": "application/json", **(headers or {})})
    response.elapsed = timedelta()
    return response
