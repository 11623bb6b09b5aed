"""When a job of the durable edition begins: its options, the pauses between its attempts, and what it is too late for.

Time is the double's, whose schedules call as late as AWS may: at the end of their minute.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import PROCESSOR, Api
from tests.aws.double.double import Double
from tests.conformance.answers import assert_refused

MINUTE = 60
SWEEP = 5 * MINUTE


@pytest.fixture(scope="module")
def api(package: str, folder: Path) -> Iterator[Api]:
    with ExitStack() as stack:
        yield Api(stack.enter_context(Double(package, scale=1, bucket=folder)), stack, signed=True)


def _submit(api: Api, job_id: str, type: str = "add", options: Any = None, **parameters: Any) -> None:
    body = {"jobId": job_id, "type": type, **(parameters or {"a": 1})}
    answer = api.post(**body, **({} if options is None else {"options": options}))
    assert answer.status_code == 202, answer.text


def _time(api: Api, seconds: float) -> str:
    at = datetime.fromtimestamp(api.double.clock.now() + seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _status(api: Api, job_id: str) -> str:
    return str(api.get(job_id).json()["status"])


def test_a_delayed_job_waits_and_shows_until_when_and_begins_within_a_minute_of_it(api: Api) -> None:
    _submit(api, "delayed", options={"delay": "1h30m"})
    job = api.get("delayed").json()
    assert (job["status"], list(job)[-2:]) == ("Pending", ["createdAt", "runAt"])
    assert _at(job["runAt"]) - _at(job["createdAt"]) == pytest.approx(5_400, abs=0.001)
    api.double.advance(5_395)
    assert _status(api, "delayed") == "Pending"
    api.double.advance(5 + MINUTE)
    done = api.get("delayed").json()
    assert (done["status"], done["attempt"]) == ("Success", 1)
    assert "runAt" not in done
    assert done["startedAt"] >= job["runAt"]
    assert api.double.schedules.names == []  # it has deleted itself


def test_a_job_that_is_due_within_seconds_needs_no_schedule(api: Api) -> None:
    _submit(api, "soon", options={"delay": 2})
    due = _at(api.get("soon").json()["runAt"])
    started = _at(api.job("soon")["startedAt"])
    assert started >= due
    assert api.double.schedules.names == []


def test_a_time_that_has_passed_is_no_delay(api: Api) -> None:
    _submit(api, "passed", options={"runAt": "2001-09-09T01:46:40Z"})
    assert "runAt" not in api.get("passed").json()
    assert api.job("passed")["status"] == "Success"


def test_a_time_is_shown_in_utc_whatever_its_offset(api: Api) -> None:
    _submit(api, "offset", options={"runAt": "2096-02-29t23:30:00.25-05:30"})
    assert api.get("offset").json()["runAt"] == "2096-03-01T05:00:00.250Z"
    assert api.client.post("/jobs/offset/cancel").json()["status"] == "Canceled"


def test_the_same_request_again_changes_nothing_before_and_after_its_time(api: Api) -> None:
    api.double.advance(1)
    others = len(api.double.schedules.names)
    for options in ({"delay": "20m"}, {"delay": 1200.0}, {"delay": "1200s"}):
        _submit(api, "repeated", options=options)
    before = api.double.item("repeated")
    api.double.advance(1)
    assert len(api.double.schedules.names) == others + 1
    api.double.advance(1_200 + 2 * MINUTE)
    ended = api.double.item("repeated")
    _submit(api, "repeated", options={"delay": "20m"})
    assert api.double.item("repeated") == ended != before


@pytest.mark.parametrize("options", [None, {}, {"delay": 31}, {"startBy": "2096-01-01T00:00:00Z"}], ids=str)
def test_the_same_id_with_other_options_is_a_conflict(api: Api, options: Any) -> None:
    _submit(api, "compared", options={"delay": 3_000})
    assert "options" in assert_refused(api.post(jobId="compared", type="add", a=1, options=options or {}), 409)


def test_no_options_and_empty_ones_are_the_same(api: Api) -> None:
    _submit(api, "empty")
    _submit(api, "empty", options={})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (5, "options"),
        ("delay", "options"),
        ([], "options"),
        (None, "options"),
        ({"priority": 1}, "priority"),
        ({"notify": "https://example.com"}, "notify"),
        ({'"}': 1}, "option"),
        ({"delay": -1}, "options.delay"),
        ({"delay": "90"}, "options.delay"),
        ({"delay": "1h 5x"}, "options.delay"),
        ({"delay": True}, "options.delay"),
        ({"delay": None}, "options.delay"),
        ({"delay": "36501d"}, "options.delay"),
        ({"runAt": "tomorrow"}, "options.runAt"),
        ({"runAt": "2026-02-29T00:00:00Z"}, "options.runAt"),
        ({"runAt": "2026-12-24T18:00:00"}, "options.runAt"),
        ({"startBy": 5}, "options.startBy"),
        ({"delay": 1, "runAt": "2096-01-01T00:00:00Z"}, "contradict"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_by_name(api: Api, options: Any, named: str) -> None:
    answer = api.client.post("/jobs", json={"jobId": "wrong", "type": "add", "a": 1, "options": options})
    assert named in assert_refused(answer, 400).replace("'", " ").replace(":", " ").replace(";", " ").split()
    assert api.get("wrong").status_code == 404


def test_a_delayed_job_can_be_canceled_and_its_retry_runs_at_once(api: Api) -> None:
    _submit(api, "canceled", options={"delay": 900})
    canceled = api.client.post("/jobs/canceled/cancel").json()
    assert canceled["status"] == "Canceled"
    assert "runAt" not in canceled
    assert api.client.post("/jobs/canceled/retry").status_code == 202
    assert (api.job("canceled")["status"], api.job("canceled")["attempt"]) == ("Success", 2)
    api.double.advance(900 + MINUTE)
    assert api.job("canceled")["attempt"] == 2


def test_a_job_between_attempts_shows_when_the_next_one_begins_and_why(api: Api) -> None:
    _submit(api, "patient", type="patient", failures=2)
    api.double.advance(5)
    job = api.get("patient").json()
    assert (job["status"], job["attempt"]) == ("Pending", 2)
    assert job["error"] == {"type": "ConnectionError", "message": "failure 1"}
    assert 530 < _at(job["runAt"]) - _at(job["createdAt"]) < 620
    attempts = api.client.get("/jobs/patient/attempts").json()["attempts"]
    assert [(each["status"], "error" in each) for each in attempts] == [("Failure", True), ("Pending", False)]
    api.double.advance(600 + MINUTE + 5)
    assert (api.get("patient").json()["attempt"], _status(api, "patient")) == (3, "Pending")
    api.double.advance(3_000)
    assert _status(api, "patient") == "Pending"
    api.double.advance(600 + MINUTE + 5)
    job = api.get("patient").json()
    assert (job["status"], job["results"]) == ("Success", 3)
    assert "error" not in job


def test_a_canceled_job_between_attempts_has_no_error(api: Api) -> None:
    _submit(api, "halfway", type="patient", failures=2)
    api.double.advance(5)
    assert "error" in api.get("halfway").json()
    job = api.client.post("/jobs/halfway/cancel").json()
    assert not {"error", "runAt"} & job.keys()


def test_who_finds_a_lost_attempt_keeps_to_the_pauses_of_its_function(api: Api) -> None:
    assert api.post(jobId="lost", type="die_patiently").status_code == 202
    api.double.advance(SWEEP)
    job = api.get("lost").json()
    assert (job["status"], job["attempt"], job["error"]["type"]) == ("Pending", 2, "WorkerLost")
    assert "runAt" in job
    api.double.advance(600 + MINUTE)
    assert api.get("lost").json()["results"] == 2


def test_a_function_that_puts_its_job_off_loses_no_retry(api: Api) -> None:
    _submit(api, "later", type="later", times=4, seconds=300)
    for attempt in range(2, 6):
        api.double.advance(5)
        job = api.get("later").json()
        assert (job["status"], job["attempt"]) == ("Pending", attempt)
        assert job["error"] == {"type": "RetryLater", "message": "not there yet"}
        api.double.advance(300 + MINUTE)
    assert api.get("later").json()["results"] == 5


def test_a_job_is_put_off_a_bounded_number_of_times(api: Api) -> None:
    _submit(api, "endless", type="later", times=10**6, seconds=3_600)
    api.double.advance(5)
    client = api.double.client("dynamodb")
    client.update_item(
        TableName="Jobs",
        Key={"jobId": {"S": "endless"}},
        UpdateExpression="SET postponed = :most",
        ExpressionAttributeValues={":most": {"N": "1000"}},
    )
    api.double.advance(3_600 + MINUTE)
    job = api.get("endless").json()
    assert (job["status"], job["error"]["type"]) == ("Failure", "RetryLater")
    assert "not there yet" in job["error"]["message"]
    assert api.client.post("/jobs/endless/retry").status_code == 202
    api.double.advance(5)
    assert _status(api, "endless") == "Pending"
    assert (api.double.item("endless") or {})["postponed"] == "1"


def test_what_has_not_begun_in_time_is_a_failure_and_a_retry_runs_it(api: Api) -> None:
    _submit(api, "expired", options={"startBy": _time(api, 30), "delay": 600})
    assert api.get("expired").json()["startBy"] > api.get("expired").json()["createdAt"]
    api.double.advance(600 + MINUTE)
    job = api.get("expired").json()
    assert (job["status"], job["error"]["type"], job["attempt"]) == ("Failure", "Expired", 1)
    assert "startedAt" not in job
    assert job["finishedAt"] > job["startBy"]
    attempts = api.client.get("/jobs/expired/attempts").json()["attempts"]
    assert [(each["status"], each["error"]["type"]) for each in attempts] == [("Failure", "Expired")]
    assert api.client.post("/jobs/expired/retry").status_code == 202
    assert api.job("expired")["results"] == 2


def test_what_begins_in_time_is_not_late_in_a_later_attempt(api: Api) -> None:
    _submit(api, "begun", type="patient", options={"startBy": _time(api, 60)}, failures=1)
    api.double.advance(600 + 2 * MINUTE)
    assert api.get("begun").json()["results"] == 2


def test_what_waits_for_a_free_processor_for_too_long_is_not_begun(api: Api) -> None:
    api.double.call(lambda: api.double.functions.hold(PROCESSOR))
    _submit(api, "held", options={"startBy": _time(api, 60)})
    api.double.advance(100)
    api.double.call(lambda: api.double.functions.release(PROCESSOR))
    api.double.advance(5)
    assert api.get("held").json()["error"]["type"] == "Expired"


def test_a_job_that_waits_for_its_time_can_be_run_now(api: Api) -> None:
    _submit(api, "now", options={"delay": "1h"})
    answer = api.client.post("/jobs/now/run-now")
    assert (answer.status_code, answer.json()) == (202, {"jobId": "now"})
    assert answer.headers["location"] == "/prod/jobs/now"
    job = api.job("now")
    assert (job["status"], job["attempt"]) == ("Success", 1)
    api.double.advance(3_600 + MINUTE)
    assert api.get("now").json() == job
    _submit(api, "now", options={"delay": "1h"})
    assert api.get("now").json() == job
    assert "it is Success" in assert_refused(api.client.post("/jobs/now/run-now"), 409)


def test_a_pause_between_attempts_can_be_cut_short(api: Api) -> None:
    _submit(api, "hurried", type="patient", failures=1)
    api.double.advance(5)
    assert api.client.post("/jobs/hurried/run-now").status_code == 202
    assert api.job("hurried")["results"] == 2


def test_a_job_that_does_not_wait_for_a_time_cannot_be_run_now(api: Api) -> None:
    api.double.call(lambda: api.double.functions.hold(PROCESSOR))
    _submit(api, "waiting")
    assert "does not wait for a time" in assert_refused(api.client.post("/jobs/waiting/run-now"), 409)
    api.double.call(lambda: api.double.functions.release(PROCESSOR))
    assert_refused(api.client.post("/jobs/nobody/run-now"), 404)
