"""/schedules: what begins jobs by itself."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused

pytestmark = pytest.mark.needs("schedules")

Schedule = dict[str, Any]
Put = Callable[..., Schedule]
DAILY = {"cron": "0 9 * * *"}
WAIT_SECONDS = 60


@pytest.fixture
def path(api: httpx.Client, job_id: str) -> Iterator[str]:
    """Where a schedule of the test's own is, which is gone afterwards."""
    yield f"/schedules/{job_id}"
    api.delete(f"/schedules/{job_id}")


@pytest.fixture
def put(api: httpx.Client, path: str) -> Put:
    def put(**fields: Any) -> Schedule:
        answer = api.put(path, json={"type": "sleep", "parameters": {"seconds": 0}, **fields})
        assert answer.status_code == 200, answer.text
        schedule: Schedule = answer.json()
        return schedule

    return put


def _last_run(api: httpx.Client, path: str) -> Schedule:
    """The last run, as soon as there is one."""
    deadline = time.monotonic() + WAIT_SECONDS
    while "lastRun" not in (schedule := api.get(path).json()):
        assert time.monotonic() < deadline, schedule
        time.sleep(0.05)
    run: Schedule = schedule["lastRun"]
    return run


def test_a_schedule_is_shown_as_it_was_made(api: httpx.Client, path: str, put: Put) -> None:
    made = put(**DAILY, tz="Europe/Berlin", missed="none", overlap="skip")
    next_run = datetime.fromisoformat(made.pop("nextRunAt"))
    assert timedelta(0) < next_run - datetime.now(next_run.tzinfo) <= timedelta(hours=25)
    assert (next_run.hour in (7, 8), next_run.minute, next_run.second) == (True, 0, 0)
    assert made == {
        "scheduleId": path.rpartition("/")[2],
        "type": "sleep",
        "cron": "0 9 * * *",
        "tz": "Europe/Berlin",
        "parameters": {"seconds": 0},
        "missed": "none",
        "overlap": "skip",
        "declared": False,
        "paused": False,
        "createdAt": made["createdAt"],
    }
    assert api.get(path).json() == {**made, "nextRunAt": next_run.strftime("%Y-%m-%dT%H:%M:%S.000Z")}
    listed, query = [], ""
    while True:
        page = api.get(f"/schedules?limit=1000{query}").json()
        listed += page["schedules"]
        if "next" not in page:
            break
        query = f"&cursor={page['next']}"
    assert made["scheduleId"] in [schedule["scheduleId"] for schedule in listed]


def test_a_period_is_shown_in_seconds_and_means_its_multiples(put: Put) -> None:
    made = put(every="1h30m")
    assert (made["every"], "cron" in made, "tz" in made) == (5_400, False, False)
    assert datetime.fromisoformat(made["nextRunAt"]).timestamp() % 5_400 == 0


def test_a_schedule_begins_jobs_by_itself(api: httpx.Client, path: str, put: Put, ended: Callable[[str], Job]) -> None:
    made = put(every=1)
    run = _last_run(api, path)
    job = ended(run["jobId"])
    assert (job["status"], job["type"], job["parameters"]) == ("Success", "sleep", {"seconds": 0})
    at = datetime.fromisoformat(run["runAt"])
    assert run["jobId"] == f"{made['scheduleId']}~{at:%Y%m%dT%H%M%SZ}"
    assert at >= datetime.fromisoformat(made["nextRunAt"])


def test_what_the_last_job_has_become_is_shown(
    api: httpx.Client, path: str, put: Put, ended: Callable[[str], Job]
) -> None:
    put(**DAILY, parameters={"seconds": 100_000})
    job_id = api.post(f"{path}/run-now").json()["jobId"]
    job = ended(job_id)
    run = api.get(path).json()["lastRun"]
    assert (run["jobId"], run["status"], run["error"]) == (job_id, "Failure", job["error"])


def test_a_schedule_runs_now_beside_its_times(
    api: httpx.Client, path: str, put: Put, accepted: Callable[..., str], ended: Callable[[str], Job]
) -> None:
    made = put(**DAILY)
    first, second = (accepted(api.post(f"{path}/run-now")) for _ in range(2))
    assert first != second
    assert {ended(job_id)["status"] for job_id in (first, second)} == {"Success"}
    assert api.get(path).json()["nextRunAt"] == made["nextRunAt"]


def test_one_that_must_not_overlap_does_not_run_beside_its_last_job(
    api: httpx.Client, path: str, put: Put, ended: Callable[[str], Job]
) -> None:
    put(**DAILY, overlap="skip", parameters={"seconds": 2})
    job_id = api.post(f"{path}/run-now").json()["jobId"]
    assert job_id in assert_refused(api.post(f"{path}/run-now"), 409)
    ended(job_id)
    assert api.post(f"{path}/run-now").status_code == 202


def test_a_paused_schedule_has_no_next_time_until_it_is_resumed(api: httpx.Client, path: str, put: Put) -> None:
    put(**DAILY)
    for _ in range(2):
        paused = api.post(f"{path}/pause")
        assert (paused.status_code, paused.json()["paused"], "nextRunAt" in paused.json()) == (200, True, False)
    assert put(every="10m")["paused"] is True  # changing it does not resume it
    for _ in range(2):
        resumed = api.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["paused"], "nextRunAt" in resumed.json()) == (200, False, True)


def test_another_timing_counts_from_now_on_and_another_parameter_changes_no_time(path: str, put: Put) -> None:
    first = put(**DAILY)
    second = put(**DAILY, parameters={"seconds": 1})
    assert (second["nextRunAt"], second["parameters"]) == (first["nextRunAt"], {"seconds": 1})
    third = put(every="1m")
    assert third["nextRunAt"] != first["nextRunAt"]
    assert third["createdAt"] == first["createdAt"]


def test_a_deleted_schedule_is_gone_and_its_jobs_stay(
    api: httpx.Client, path: str, put: Put, ended: Callable[[str], Job]
) -> None:
    put(**DAILY)
    job_id = api.post(f"{path}/run-now").json()["jobId"]
    answer = api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_refused(api.get(path), 404)
    assert_refused(api.delete(path), 404)
    assert ended(job_id)["status"] == "Success"


@pytest.mark.parametrize("request_", ["GET", "DELETE", "POST /pause", "POST /resume", "POST /run-now"])
def test_an_unknown_schedule_is_not_found(api: httpx.Client, path: str, request_: str) -> None:
    method, _, then = request_.partition(" ")
    assert assert_refused(api.request(method, path + then), 404) == "Not found"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "cron"),
        ({"cron": "0 9 * * *", "every": "1m"}, "cron"),
        ({"cron": "0 9 * *"}, "five fields"),
        ({"cron": "0 24 * * *"}, "hour"),
        ({"cron": "0 0 30 2 *"}, "day of month"),
        ({"cron": "30 2 * 3 7L", "tz": "Europe/Berlin"}, "never"),
        ({"cron": 9}, "five fields"),
        ({"cron": "0 9 * * *", "tz": "Europe/Bernil"}, "time zone"),
        ({"cron": "0 9 * * *", "tz": "../../etc/passwd"}, "time zone"),
        ({"cron": "0 9 * * *", "tz": None}, "time zone"),
        ({"every": "1s", "tz": "UTC"}, "tz"),
        ({"every": 0}, "period"),
        ({"every": 0.5}, "period"),
        ({"every": "soon"}, "length of time"),
        ({"every": "1m", "missed": "some"}, "missed"),
        ({"every": "1m", "overlap": 1}, "overlap"),
        ({"every": "1m", "missed": "all", "overlap": "skip"}, "overlap"),
        ({"every": "1m", "parameters": {"seconds": "three"}}, "seconds"),
        ({"every": "1m", "parameters": {}}, "seconds"),
        ({"every": "1m", "parameters": 3}, "parameters"),
        ({"every": "1m", "type": "no such"}, "type"),
        ({"every": "1m", "options": {"runAt": "2030-01-01T00:00:00Z"}}, "runAt"),
        ({"every": "1m", "options": 3}, "options"),
        ({"every": "1m", "timezone": "UTC"}, "timezone"),
        ([], "object"),
    ],
)
def test_a_wrong_schedule_is_refused_and_changes_nothing(api: httpx.Client, path: str, body: Any, says: str) -> None:
    whole = {"type": "sleep", "parameters": {"seconds": 0}, **body} if isinstance(body, dict) else body
    assert says in assert_refused(api.put(path, json=whole), 400)
    assert_refused(api.get(path), 404)


@pytest.mark.parametrize("schedule_id", [".x", "a~b", "x" * 65, "a%20b"])
def test_a_wrong_id_is_refused(api: httpx.Client, schedule_id: str) -> None:
    assert "id" in assert_refused(api.put(f"/schedules/{schedule_id}", json={"every": "1m"}), 400)
