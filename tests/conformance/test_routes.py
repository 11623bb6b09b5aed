"""Every wrong route and method, and the published description of the right ones."""

import httpx
import pytest

from tests.conformance.answers import assert_refused

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # what every engine can route at all
ROUTES = {  # what an engine must declare to have them
    ("/jobs", "post"): None,
    ("/jobs/{jobId}", "get"): None,
    ("/jobs", "get"): "list",
    ("/jobs/{jobId}", "delete"): "delete",
    ("/jobs/{jobId}/cancel", "post"): "cancel",
    ("/jobs/{jobId}/retry", "post"): "retry",
    ("/jobs/{jobId}/run-now", "post"): "delay",
    ("/jobs/{jobId}/attempts", "get"): "attempts",
    ("/jobs/{jobId}/events", "get"): "events",
    ("/events", "get"): "events",
    ("/jobs/{jobId}/deliveries", "get"): "notify",
    ("/jobs/{jobId}/logs", "get"): "logs",
    ("/stats", "get"): "stats",
    ("/schedules", "get"): "schedules",
    ("/schedules/{scheduleId}", "get"): "schedules",
    ("/schedules/{scheduleId}", "put"): "schedules",
    ("/schedules/{scheduleId}", "delete"): "schedules",
    ("/schedules/{scheduleId}/pause", "post"): "schedules",
    ("/schedules/{scheduleId}/resume", "post"): "schedules",
    ("/schedules/{scheduleId}/run-now", "post"): "schedules",
}


@pytest.mark.needs("route")
@pytest.mark.parametrize("path", ["/job", "/jobs//", "/JOBS", "/jobs/x/y", "/v1/jobs", "/%2e%2e"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_no_such_route_is_not_found(api: httpx.Client, method: str, path: str) -> None:
    assert assert_refused(api.request(method, path), 404) == "Not found"


@pytest.mark.needs("slash")
@pytest.mark.parametrize("path", ["/jobs/", "/jobs/x/", "/jobs/x/cancel/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_slash_at_the_end_makes_another_route(api: httpx.Client, method: str, path: str) -> None:
    assert assert_refused(api.request(method, path), 404) == "Not found"


@pytest.mark.needs("allow")
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/jobs", {"GET", "POST"}),
        ("/jobs/x", {"GET", "DELETE"}),
        ("/jobs/x/cancel", {"POST"}),
        ("/jobs/x/retry", {"POST"}),
        ("/openapi.json", {"GET"}),
    ],
)
def test_a_wrong_method_is_refused_with_the_right_ones(api: httpx.Client, path: str, allowed: set[str]) -> None:
    for method in set(METHODS) - allowed:
        answer = api.request(method, path)
        assert_refused(answer, 405)
        assert allowed <= {name.strip() for name in answer.headers["allow"].split(",")}


@pytest.mark.needs("openapi")
def test_the_published_description_names_every_route_and_parameter(api: httpx.Client, capabilities: set[str]) -> None:
    document = api.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = {
        (path, method) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    assert operations == {route for route, needed in ROUTES.items() if needed is None or needed in capabilities}
    assert "seconds" in str(document["components"]["schemas"])
