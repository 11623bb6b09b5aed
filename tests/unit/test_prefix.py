"""Where a request finds the API: each server and framework says it in another way, and all of them mean the same."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Router

from asyncjob.server.http.prefix import Place, link_prefix, locate
from asyncjob.server.http.requests import Scope
from asyncjob.server.http.routes import Path, find

ROUTES = ["/", "/jobs", "/jobs/{id}", "/jobs/{id}/cancel", "/page/lit-html/directives/repeat.js", "/docs", "/schedules"]


def _prefixes(first: str) -> st.SearchStrategy[str]:
    """Prefixes of up to three segments; those of the proxy and of the framework differ, or nobody could tell them."""
    segment = st.from_regex(f"{first}[a-z0-9_~ %é-]{{0,8}}", fullmatch=True)
    return st.lists(segment, max_size=3).map(lambda names: "".join(f"/{name}" for name in names))


def _scope(path: str, root_path: str | None = None, raw_path: bytes | None = None) -> dict[str, Any]:
    scope: dict[str, Any] = {"path": path}
    if root_path is not None:
        scope["root_path"] = root_path
    if raw_path is not None:
        scope["raw_path"] = raw_path
    return scope


WAYS = {
    "nothing in front": ("", "", "/jobs/a", "", "/jobs/a"),
    "uvicorn --root-path": ("/api", "", "/api/jobs/a", "/api", "/api/jobs/a"),
    "hypercorn --root-path, stripped by the proxy": ("/api", "", "/jobs/a", "/api", "/jobs/a"),
    "hypercorn --root-path, not stripped": ("/api", "", "/api/jobs/a", "/api", "/api/jobs/a"),
    "mounted in Starlette or FastAPI": ("", "/work", "/work/jobs/a", "/work", "/work/jobs/a"),
    "and uvicorn --root-path": ("/api", "/work", "/api/work/jobs/a", "/api/work", "/api/work/jobs/a"),
    "and FastAPI(root_path=), stripped": ("/api", "/work", "/work/jobs/a", "/api/work", "/work/jobs/a"),
    "mounted in Litestar": ("", "/work", "/jobs/a/", "", "/work/jobs/a"),
    "and uvicorn --root-path in front of it": ("/api", "/work", "/jobs/a/", "/api", "/api/work/jobs/a"),
    "and hypercorn --root-path, stripped": ("/api", "/work", "/jobs/a/", "/api", "/work/jobs/a"),
    "mounted by hand, as ASGI 2 had it": ("", "/work", "/jobs/a", "/work", "/work/jobs/a"),
}
"""What is in front, where the API is mounted, and then `path`, `root_path` and `raw_path` of the scope."""


@pytest.mark.parametrize("way", WAYS)
def test_the_job_and_the_prefix_are_found_whoever_is_in_front(way: str) -> None:
    front, mounted, path, root_path, raw_path = WAYS[way]
    place = locate(_scope(path, root_path, raw_path.encode()))
    assert (place.path, place.name, place.prefix) == (*find("/jobs/a"), front + mounted)


@pytest.mark.parametrize(("front", "kept"), [("", ""), ("/api", "/api"), ("/api", "")])
@pytest.mark.parametrize("kind", [Starlette, FastAPI, Router])
def test_what_is_mounted_in_a_real_framework_is_found(kind: type[Any], front: str, kept: str) -> None:
    found: list[Place] = []

    async def mounted(scope: Scope, receive: object, send: object) -> None:
        found.append(locate(scope))

    async def run() -> None:
        path = f"{kept}/work/jobs/a"
        request = {"type": "http", "method": "GET", "headers": [], "query_string": b""}
        await app({**request, **_scope(path, front, path.encode())}, None, None)

    app = kind()
    app.mount("/work", mounted)
    asyncio.run(run())
    assert found == [(*find("/jobs/a"), f"{front}/work")]


@given(
    _prefixes("[x-z]"),
    _prefixes("[t-w]"),
    st.sampled_from(ROUTES),
    st.from_regex("[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,5}", fullmatch=True),
)
def test_every_route_is_found_below_every_prefix_in_each_way(front: str, mount: str, route: str, name: str) -> None:
    route = route.replace("{id}", name)
    whole, short = front + mount + route, mount + route
    expected = (*find(route), link_prefix(front + mount))

    def encoded(path: str) -> bytes:
        return link_prefix(path).encode() + (b"/" if path.endswith("/") else b"")

    starlette = [_scope(path, front + mount, encoded(path)) for path in (whole, short)]
    by_hand = [_scope(route, front + mount, encoded(path)) for path in (whole, short, route)]
    litestar = [_scope(route.rstrip("/") + "/", front, encoded(path)) for path in (whole, short)]
    silent = [_scope(path, front + mount) for path in (whole, short, route)]
    for scope in starlette + by_hand + litestar + silent:
        assert tuple(locate(scope)) == expected, scope
    for scope in (_scope(path, "", encoded(path)) for path in (whole, route)):
        assert tuple(locate(scope, front + mount)) == expected, scope


@pytest.mark.parametrize("path", ["/work", "/work/", "/", ""])
def test_the_page_is_at_the_prefix_with_a_slash_and_without(path: str) -> None:
    assert locate(_scope(path, "/work", path.encode())) == (*find("/"), "/work")


@pytest.mark.parametrize("path", ["/workjobs", "/work/work/nothing", "/other/jobs", "/work//jobs", "//jobs", "/jobs/"])
def test_nothing_else_is_there(path: str) -> None:
    assert locate(_scope(path, "/work", path.encode())).path is None


def test_a_prefix_that_is_a_route_too_is_read_as_the_prefix_first() -> None:
    def path(asked: str) -> tuple[Path | None, str]:
        return locate(_scope(asked, "/jobs", asked.encode()))[:2]

    assert path("/jobs") == find("/jobs")  # a submission, by way of a proxy that strips
    assert path("/jobs/") == find("/")
    assert path("/jobs/jobs") == find("/jobs")
    assert path("/jobs/a") == path("/jobs/jobs/a") == find("/jobs/a")


@pytest.mark.parametrize(
    ("root_path", "prefix"),
    [
        ("", ""),
        ("/", ""),
        ("/work/", "/work"),
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/%5Cevil.example"),
        ('/"><script>', "/%22%3E%3Cscript%3E"),
        ("/a\r\nset-cookie: b=c; path=/", "/a%0D%0Aset-cookie:%20b=c%3B%20path="),
        ("/é", "/%C3%A9"),
    ],
)
def test_a_prefix_leads_nowhere_else_and_ends_no_header(root_path: str, prefix: str) -> None:
    assert link_prefix(root_path) == prefix
    assert locate(_scope("/jobs", root_path)).prefix == prefix


def test_a_long_prefix_costs_no_more_than_a_short_one() -> None:
    root_path = "/a" * 30_000
    assert locate(_scope(root_path + "/jobs", root_path)).path is find("/jobs")[0]
    assert locate(_scope("/a/jobs", root_path)).path is None
