"""The options of a submission, and `POST /jobs?wait=`."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused, whereabouts

Accepted = Callable[..., str]
Submit = Callable[..., str]
Ended = Callable[[str], Job]


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


UNKNOWN: list[Any] = [{"nonsense": 1}, {"jobId": "x"}, {"Delay": 1}, {"": None}]


@pytest.mark.needs("named")
@pytest.mark.needs("delay")
@pytest.mark.parametrize("options", UNKNOWN, ids=ascii)
def test_an_unknown_option_is_refused_by_name(api: httpx.Client, options: dict[str, Any]) -> None:
    message = assert_refused(api.post("/jobs", json={"seconds": 0, "options": options}), 400)
    assert repr(next(iter(options))) in message


VALUES: dict[str, list[Any]] = {
    "delay": [-1, "soon", None, True, [], "1h 90x", 1e12],
    "runAt": ["tomorrow", "2099-01-01T00:00:00", 5, None],
    "priority": [11, -11, 1.5, "high", True, None],
    "startBy": ["tomorrow", "2099-01-01T00:00:00", None],
}
WRONG = [
    pytest.param(name, value, marks=pytest.mark.needs("delay" if name == "runAt" else name), id=ascii((name, value)))
    for name, values in VALUES.items()
    for value in values
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_an_option_with_no_such_value_is_refused_by_name(
    api: httpx.Client, capabilities: set[str], name: str, value: Any
) -> None:
    message = assert_refused(api.post("/jobs", json={"seconds": 0, "options": {name: value}}), 400)
    assert name in message or "named" not in capabilities


@pytest.mark.needs("delay")
def test_a_delayed_job_shows_its_time_and_runs_then(api: httpx.Client, submitted: Submit, ended: Ended) -> None:
    begun = time.monotonic()
    job_id = submitted(0, options={"delay": 1.5})
    job = api.get(f"/jobs/{job_id}").json()
    assert job["status"] == "Pending"
    assert _milliseconds(job["runAt"]) == _milliseconds(job["createdAt"]) + 1_500
    job = ended(job_id)
    assert (job["status"], "runAt" in job) == ("Success", False)
    assert time.monotonic() - begun >= 1.5
    assert _milliseconds(job["startedAt"]) >= _milliseconds(job["createdAt"]) + 1_500


@pytest.mark.needs("delay")
def test_a_job_with_a_time_runs_then_and_with_a_time_that_has_passed_at_once(
    api: httpx.Client, submitted: Submit, ended: Ended
) -> None:
    later, now = _in(1.5), _in(-3_600)
    job_id, other = submitted(0, options={"runAt": later}), submitted(0, options={"runAt": now})
    assert "runAt" not in api.get(f"/jobs/{other}").json()
    assert ended(other)["status"] == "Success"
    job = ended(job_id)
    assert _milliseconds(job["startedAt"]) >= _milliseconds(later)


@pytest.mark.needs("delay")
def test_a_delay_and_a_time_contradict_each_other(api: httpx.Client) -> None:
    assert_refused(api.post("/jobs", json={"seconds": 0, "options": {"delay": 1, "runAt": _in(1)}}), 400)


@pytest.mark.needs("delay")
def test_a_job_that_waits_for_its_time_can_be_run_now_and_then_not_again(
    api: httpx.Client, submitted: Submit, accepted: Accepted, ended: Ended
) -> None:
    job_id = submitted(0, options={"delay": "1h"})
    assert accepted(api.post(f"/jobs/{job_id}/run-now"), job_id) == job_id
    assert ended(job_id)["status"] == "Success"
    assert job_id in assert_refused(api.post(f"/jobs/{job_id}/run-now"), 409)


@pytest.mark.needs("delay")
def test_an_unknown_job_cannot_be_run_now(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.post(f"/jobs/{job_id}/run-now"), 404) == "Not found"


@pytest.mark.needs("delay")
@pytest.mark.needs("cancel")
def test_a_job_that_waits_for_its_time_can_be_canceled(api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(0, options={"delay": "1h"})
    job = api.post(f"/jobs/{job_id}/cancel").json()
    assert (job["status"], "runAt" in job) == ("Canceled", False)
    assert_refused(api.post(f"/jobs/{job_id}/run-now"), 409)


@pytest.mark.needs("delay")
@pytest.mark.needs("conflict")
def test_options_are_a_part_of_the_request(
    api: httpx.Client, submitted: Submit, accepted: Accepted, job_id: str
) -> None:
    submitted(0, jobId=job_id, options={"delay": 3_600})
    again = {"jobId": job_id, "seconds": 0, "options": {"delay": "1h"}}
    accepted(api.post("/jobs", json=again), job_id)
    for options in ({"delay": 3_601}, {}):
        assert_refused(api.post("/jobs", json={**again, "options": options}), 409)


@pytest.mark.needs("priority")
def test_a_priority_is_shown_unless_it_is_0(api: httpx.Client, submitted: Submit, ended: Ended) -> None:
    for priority in (-10, 10):
        job_id = submitted(0, options={"priority": priority})
        assert api.get(f"/jobs/{job_id}").json()["priority"] == priority
        assert ended(job_id)["priority"] == priority
    assert "priority" not in ended(submitted(0, options={"priority": 0}))


@pytest.mark.needs("startBy")
def test_a_job_that_begins_in_time_runs_and_shows_by_when_it_had_to(submitted: Submit, ended: Ended) -> None:
    by = _in(3_600)
    job = ended(submitted(0, options={"startBy": by}))
    assert job["status"] == "Success"
    assert _milliseconds(job["startBy"]) == _milliseconds(by)


@pytest.mark.needs("startBy")
def test_a_job_that_it_is_too_late_for_is_a_failure_that_never_started(submitted: Submit, ended: Ended) -> None:
    job = ended(submitted(0, options={"startBy": _in(-1)}))
    assert (job["status"], job["error"]["type"]) == ("Failure", "Expired")
    assert "startedAt" not in job


@pytest.mark.needs("startBy")
@pytest.mark.needs("retry")
def test_an_expired_job_that_is_retried_runs(
    api: httpx.Client, submitted: Submit, accepted: Accepted, ended: Ended
) -> None:
    job_id = submitted(0, options={"startBy": _in(-1)})
    assert ended(job_id)["status"] == "Failure"
    accepted(api.post(f"/jobs/{job_id}/retry"), job_id)
    job = ended(job_id)
    assert (job["status"], job["attempt"]) == ("Success", 2)


@pytest.mark.needs("postWait")
def test_a_submission_that_waits_is_answered_with_the_job_once_it_has_ended(api: httpx.Client) -> None:
    answer = api.post("/jobs?wait=20", json={"seconds": 0.2})
    assert answer.status_code == 200
    job = answer.json()
    assert (job["status"], job["results"]) == ("Success", {"message": "I slept for 0.2 seconds"})
    assert whereabouts(api, answer) == f"/jobs/{job['jobId']}"
    assert "retry-after" not in answer.headers


@pytest.mark.needs("postWait")
def test_a_submission_that_has_waited_in_vain_is_accepted_as_any_other(api: httpx.Client, accepted: Accepted) -> None:
    for query in ("wait=0.1", "wait=0", ""):
        accepted(api.post(f"/jobs?{query}", json={"seconds": 2}))


@pytest.mark.needs("postWait")
@pytest.mark.parametrize("query", ["wait=5&nonsense=1", "nonsense=1", "wait=61", "wait=x", "wait="])
def test_a_submission_with_another_query_is_refused_and_saves_nothing(
    api: httpx.Client, job_id: str, query: str
) -> None:
    message = assert_refused(api.post(f"/jobs?{query}", json={"jobId": job_id, "seconds": 0}), 400)
    assert "nonsense" in message or "wait" in message
    assert_refused(api.get(f"/jobs/{job_id}"), 404)


@pytest.mark.needs("postWait")
@pytest.mark.parametrize("change", ["cancel", "retry", "run-now"])
def test_a_change_of_a_job_takes_no_query(api: httpx.Client, job_id: str, change: str) -> None:
    message = assert_refused(api.post(f"/jobs/{job_id}/{change}?nonsense=1"), 400)
    assert message == "unknown query parameter 'nonsense'; this request knows none"
