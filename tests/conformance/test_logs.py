"""GET /jobs/{jobId}/logs, and the log among a job's events. The built-in job says nothing, but how an attempt fails."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused
from tests.eventstream import read

pytestmark = pytest.mark.needs("logs")

Fail = Callable[[int], str]


@pytest.fixture
def failed(api: httpx.Client, submitted: Callable[..., str], ended: Callable[[str], Job]) -> Fail:
    """Have a job fail in so many attempts; its id."""

    def fail(attempts: int) -> str:
        job_id = submitted(1e9)
        for attempt in range(1, attempts + 1):
            assert ended(job_id)["status"] == "Failure"
            if attempt < attempts:
                assert api.post(f"/jobs/{job_id}/retry").status_code == 202
        return job_id

    return fail


def lines(api: httpx.Client, job_id: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/jobs/{job_id}/logs{query}").json()["logs"]
    return found


def test_a_job_that_says_nothing_has_an_empty_log(
    api: httpx.Client, submitted: Callable[..., str], ended: Callable[[str], Job]
) -> None:
    job_id = submitted(0)
    ended(job_id)
    assert api.get(f"/jobs/{job_id}/logs").json() == {"logs": []}


def test_how_an_attempt_failed_is_the_last_line_of_its_log_with_the_traceback(api: httpx.Client, failed: Fail) -> None:
    job_id = failed(1)
    job = api.get(f"/jobs/{job_id}").json()
    (line,) = lines(api, job_id)
    assert line["message"] == f"{job['error']['type']}: {job['error']['message']}"
    assert "\n" in line["traceback"]
    assert job["startedAt"] <= line.pop("at")
    assert {name: line[name] for name in line.keys() - {"message", "traceback"}} == {
        "attempt": 1,
        "number": 1,
        "level": "error",
        "logger": "asyncjob",
    }


def test_a_log_comes_in_pages_the_first_attempt_first(api: httpx.Client, failed: Fail) -> None:
    job_id = failed(3)
    seen, query = [], "?limit=2"
    while query:
        page = api.get(f"/jobs/{job_id}/logs{query}").json()
        seen.append([line["attempt"] for line in page["logs"]])
        query = f"?limit=2&cursor={page['next']}" if "next" in page else ""
    assert seen == [[1, 2], [3]]


def test_who_has_a_line_can_go_on_behind_it(api: httpx.Client, failed: Fail) -> None:
    job_id = failed(2)
    first, second = lines(api, job_id)
    assert lines(api, job_id, f"?cursor={first['attempt'] * 2**40 + first['number']}") == [second]


def test_lines_can_be_chosen_by_attempt_and_level(api: httpx.Client, failed: Fail) -> None:
    job_id = failed(2)
    first, second = lines(api, job_id)
    assert lines(api, job_id, "?attempt=2") == [second]
    assert lines(api, job_id, "?level=error") == [first, second]
    assert lines(api, job_id, "?level=critical") == []


@pytest.mark.parametrize("query", ["limit=0", "cursor=x", "attempt=x", "attempt=0", "level=loud", "status=Success"])
def test_a_query_of_a_log_that_is_not_understood_is_refused(
    api: httpx.Client, submitted: Callable[..., str], query: str
) -> None:
    assert_refused(api.get(f"/jobs/{submitted(0)}/logs?{query}"), 400)


def test_an_unknown_job_has_no_log(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.get(f"/jobs/{job_id}/logs"), 404) == "Not found"


@pytest.mark.needs("events")
def test_a_stream_that_asks_for_it_has_the_log_before_the_end(api: httpx.Client, failed: Fail) -> None:
    job_id = failed(2)
    with api.stream("GET", f"/jobs/{job_id}/events?logs=true") as answer:
        *logged, last = read(answer)
    assert [event.data for event in logged] == lines(api, job_id)
    assert {event.name for event in logged} == {"log"}
    assert (last.name, last.data) == ("message", api.get(f"/jobs/{job_id}").json())
    headers = {"Last-Event-ID": str(logged[0].id)}
    with api.stream("GET", f"/jobs/{job_id}/events?logs=true", headers=headers) as answer:
        assert list(read(answer)) == [*logged[1:], last]
    again = api.get(f"/jobs/{job_id}/events?logs=true", headers={"Last-Event-ID": str(last.id)})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.needs("events")
@pytest.mark.parametrize("query", ["", "?logs=false"])
def test_a_stream_that_does_not_ask_for_the_log_has_none(api: httpx.Client, failed: Fail, query: str) -> None:
    job_id = failed(1)
    with api.stream("GET", f"/jobs/{job_id}/events{query}") as answer:
        assert [event.name for event in read(answer)] == ["message"]


@pytest.mark.needs("events")
def test_a_stream_cannot_be_asked_for_half_a_log(api: httpx.Client, submitted: Callable[..., str]) -> None:
    assert_refused(api.get(f"/jobs/{submitted(0)}/events?logs=some"), 400)
