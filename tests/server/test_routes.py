"""The route table is what the server does: dispatch, `Allow`, access, OpenAPI and the docs agree with it."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncjob.openapi import OPERATIONS, document
from asyncjob.server.http.routes import ROUTES, Route, find
from asyncjob.sleep import jobs as sleep_jobs
from tests.serving import Server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PATHS = sorted({route.path for route in ROUTES})
LOCAL = Path(__file__).parent.parent.parent / "docs" / "local.md"
KEY = "k" * 16


def _methods(path: str) -> set[str]:
    methods = {route.method for route in ROUTES if route.path == path}
    return methods | ({"HEAD"} if "GET" in methods else set())


def _example(path: str) -> str:
    named = path.replace("{jobId}", "nobody").replace("{scheduleId}", "nothing")
    return named.replace("{file+}", "docs.js" if path.startswith("/docs") else "app.js")


def test_the_table_of_routes_in_the_docs_is_the_table() -> None:
    rows = re.findall(
        r"^\| `((?:GET|POST|PUT|DELETE) /[^`]*)` \| (yes|no) \| (.*) \|$", LOCAL.read_text(), re.MULTILINE
    )
    assert [(request, key) for request, key, _ in rows] == [
        (route.request, "no" if route.is_open else "yes") for route in ROUTES
    ]
    said = {request: summary for request, _, summary in rows}
    assert {request: said[request] for request in OPERATIONS} == {
        request: operation.summary for request, operation in OPERATIONS.items()
    }


def test_every_request_of_the_contract_is_served_and_described_and_nothing_else_is_described() -> None:
    described = {route.request for route in ROUTES if route.operation is not None}
    assert described == set(OPERATIONS)
    paths = document(sleep_jobs, "1", described)["paths"]
    found = {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method != "parameters"}
    assert found == described
    assert all(OPERATIONS[route.request] is route.operation for route in ROUTES if route.operation is not None)


def test_an_engine_that_serves_less_describes_less() -> None:
    paths = document(sleep_jobs, "1", ["POST /jobs", "GET /jobs/{jobId}"])["paths"]
    assert {path: set(item) - {"parameters"} for path, item in paths.items()} == {
        "/jobs": {"post"},
        "/jobs/{jobId}": {"get"},
    }


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_a_path_has_not_is_refused_with_those_that_it_has(server: Server, path: str) -> None:
    for method in set(METHODS) - _methods(path):
        answer = server.client.request(method, _example(path))
        assert answer.status_code == 405, method
        allowed = answer.headers["allow"].split(", ")
        assert sorted(allowed) == sorted(_methods(path)), method  # none missing, none twice


def test_with_a_key_just_the_open_routes_are_open(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", KEY) as server:
        for route in ROUTES:
            if route.path.endswith("events"):
                continue  # they do not end by themselves
            for method in {route.method} | ({"HEAD"} if route.method == "GET" else set()):
                answer = server.client.request(method, _example(route.path), json={})
                assert (answer.status_code != 401) is route.is_open, (method, route.path)
                with_key = server.client.request(method, _example(route.path), json={}, headers={"x-api-key": KEY})
                assert with_key.status_code not in (401, 403) or route.path == "/session", (method, route.path)
        for method in METHODS:
            assert server.client.request(method, "/nowhere").status_code == 401  # not even that it is not there


def test_the_routes_of_a_path_agree_on_whether_they_are_open() -> None:
    for path in PATHS:
        assert len({route.is_open for route in ROUTES if route.path == path}) == 1, path


def _searched(path: str) -> tuple[str, str] | None:
    """The path of the table that matches, and its variable part; slowly, a pattern a row."""
    for route in sorted(ROUTES, key=lambda route: ("{" in route.path, route.path.endswith("+}"))):
        name = re.sub(r"\\{\w+Id\\}", "([^/]+)", re.escape(route.path)).replace(re.escape("{file+}"), "(.*)")
        if match := re.fullmatch(name, path, re.DOTALL):
            return route.path, match[1] if match.groups() else ""
    return None


PIECES = st.sampled_from(
    [
        "/",
        "//",
        "jobs",
        "cancel",
        "events",
        "page",
        "docs",
        "stats",
        "schedules",
        "pause",
        "x",
        ".",
        "..",
        "\n",
        "\x00",
        "é",
        "{jobId}",
        "*",
        "+",
    ]
)


@example(path="/pagex")
@example(path="/page")
@example(path="page/x")
@example(path="/stats\n")
@example(path="/jobs//cancel")
@given(path=st.lists(PIECES, max_size=8).map("".join) | st.text(alphabet="/jobsx\n", max_size=12))
def test_a_path_is_found_as_if_the_table_were_searched(path: str) -> None:
    found, name = find(path)
    assert (None if found is None else (next(iter(found.routes.values())).path, name)) == _searched(path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.request)
def test_every_route_is_found_at_its_own_path(route: Route) -> None:
    found, _ = find(_example(route.path))
    assert found is not None and found.routes[route.method] is route
