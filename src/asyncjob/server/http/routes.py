"""The one table of routes: dispatch, `Allow`, who may ask, OpenAPI and the docs all read it.

What OpenAPI says of a request is in asyncjob/openapi.py, which AWS reads too.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from asyncjob.openapi import OPERATIONS, Operation
from asyncjob.server.http import docs, jobs, monitoring, page, schedules, sign_in, streams
from asyncjob.server.http.answers import Answer
from asyncjob.server.http.requests import Request
from asyncjob.server.http.streams import EventStream

Handler = Callable[[Request], Awaitable[Answer | EventStream]]


class Route(NamedTuple):
    """What answers one method on one path.

    Attributes:
        method: `GET` answers `HEAD` too.
        path: with at most one variable part, `{name}` for a segment or, at its end, `{name+}` for all that follows.
        handler: gets the request, with that part as its `name`.
        is_open: whether it needs neither the API key nor a sign-in. All routes of one path agree.
        operation: what OpenAPI says of it; None for what serves people or machines, and not jobs.
    """

    method: str
    path: str
    handler: Handler
    is_open: bool
    operation: Operation | None

    @property
    def request(self) -> str:
        """Method and path, as the docs write them."""
        return f"{self.method} {self.path}"


def _keyed(request: str, handler: Handler) -> Route:
    """A route that wants the API key, if the server has one, or a sign-in."""
    method, path = request.split(" ")
    return Route(method, path, handler, False, OPERATIONS.get(request))


def _open(request: str, handler: Handler) -> Route:
    """A route for everybody: nothing in it tells of jobs."""
    return _keyed(request, handler)._replace(is_open=True)


ROUTES = (
    _keyed("POST /jobs", jobs.submit),
    _keyed("GET /jobs", jobs.list_jobs),
    _keyed("GET /jobs/{jobId}", jobs.get),
    _keyed("DELETE /jobs/{jobId}", jobs.delete),
    _keyed("POST /jobs/{jobId}/cancel", jobs.cancel),
    _keyed("POST /jobs/{jobId}/retry", jobs.retry),
    _keyed("POST /jobs/{jobId}/run-now", jobs.run_now),
    _keyed("GET /jobs/{jobId}/events", streams.job_events),
    _keyed("GET /events", streams.events),
    _keyed("GET /jobs/{jobId}/attempts", jobs.attempts),
    _keyed("GET /jobs/{jobId}/logs", jobs.logs),
    _keyed("GET /jobs/{jobId}/deliveries", jobs.deliveries),
    _keyed("GET /schedules", schedules.list_schedules),
    _keyed("GET /schedules/{scheduleId}", schedules.get),
    _keyed("PUT /schedules/{scheduleId}", schedules.put),
    _keyed("DELETE /schedules/{scheduleId}", schedules.delete),
    _keyed("POST /schedules/{scheduleId}/pause", schedules.pause),
    _keyed("POST /schedules/{scheduleId}/resume", schedules.resume),
    _keyed("POST /schedules/{scheduleId}/run-now", schedules.run_now),
    _keyed("GET /stats", jobs.stats),
    _keyed("GET /metrics", monitoring.metrics),
    _open("GET /healthz", monitoring.health),  # a load balancer has no key
    _open("GET /openapi.json", docs.openapi),
    _open("GET /docs", docs.show),
    _open("GET /docs/{file+}", docs.file),
    _open("GET /", page.show),  # a browser cannot send a key before it has the page to enter it in
    _open("GET /page/{file+}", page.file),
    _open("GET /session", sign_in.tell),
    _open("POST /session", sign_in.sign_in),
    _open("DELETE /session", sign_in.sign_out),
)


@dataclass(frozen=True, slots=True)
class Path:
    """What a path can be asked.

    Attributes:
        routes: by method.
        allow: the methods, for the header `Allow` of a 405.
        is_open: whether they need neither the API key nor a sign-in.
    """

    routes: dict[str, Route]
    allow: str
    is_open: bool


def _path(path: str) -> Path:
    routes = {}
    for route in ROUTES:
        if route.path == path:
            routes[route.method] = route
            if route.method == "GET":
                routes["HEAD"] = route
    return Path(routes, ", ".join(routes), all(route.is_open for route in routes.values()))


_FIXED = {route.path: _path(route.path) for route in ROUTES if "{" not in route.path}
_NAMED: dict[str, Path] = {}  # by what is before the name, which ends the path
_AROUND: dict[tuple[str, str], Path] = {}  # by what is before the name, and the one segment after it
_FOLDERS: dict[str, Path] = {}  # by what is before the rest
for _route in ROUTES:
    if "{" in _route.path:
        _before, _after = _route.path.split("/{")[0], _route.path.split("}")[1]
        if _route.path.endswith("+}"):
            _FOLDERS[_before] = _path(_route.path)
        elif _after:
            _AROUND[_before, _after[1:]] = _path(_route.path)
        else:
            _NAMED[_before] = _path(_route.path)


def find(path: str) -> tuple[Path | None, str]:
    """What is at a path, and the variable part of the path. Every request waits for this."""
    found = _FIXED.get(path)
    if found is not None:
        return found, ""
    before, _, last = path.rpartition("/")
    found = _NAMED.get(before)
    if found is not None:
        return (found if last else None), last
    before, _, name = before.rpartition("/")
    found = _AROUND.get((before, last))
    if found is not None:
        return (found if name else None), name
    end = path.find("/", 1)
    return (_FOLDERS.get(path[:end]) if end > 0 else None), path[end + 1 :]
