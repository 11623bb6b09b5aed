"""GET /jobs/{jobId}."""

import re
from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

Submit = Callable[..., str]
Ended = Callable[[str], Job]


def test_the_original_systems_example_works_to_the_letter(submitted: Submit, ended: Ended, job_id: str) -> None:
    submitted(3, jobId=job_id)
    job = ended(job_id)
    original = {key: job[key] for key in ("jobId", "status", "results", "createdAt")}
    assert original == {
        "jobId": job_id,
        "status": "Success",
        "results": {"message": "I slept for 3 seconds"},
        "createdAt": job["createdAt"],
    }
    assert TIME.fullmatch(job["createdAt"])


def test_a_job_that_ended_well_has_its_fields_in_order(submitted: Submit, ended: Ended, job_id: str) -> None:
    submitted(0, jobId=job_id)
    job = ended(job_id)
    assert list(job) == [
        "jobId",
        "type",
        "status",
        "parameters",
        "results",
        "attempt",
        "createdAt",
        "startedAt",
        "finishedAt",
    ]
    assert job["parameters"] == {"seconds": 0}
    assert job["attempt"] == 1
    times = [job["createdAt"], job["startedAt"], job["finishedAt"]]
    assert all(TIME.fullmatch(time) for time in times)
    assert times == sorted(times)


@pytest.mark.parametrize("given", ["0", "0.0", "1", "0.25", "1e-3"])
def test_the_number_is_given_back_as_a_client_would_read_it(
    api: httpx.Client, ended: Ended, job_id: str, given: str
) -> None:
    body = f'{{"jobId": "{job_id}", "seconds": {given}}}'
    assert api.post("/jobs", content=body, headers={"content-type": "application/json"}).status_code == 202
    shown = given if given != "1e-3" else "0.001"
    assert ended(job_id)["results"] == {"message": f"I slept for {shown} seconds"}


@pytest.mark.parametrize("seconds", [100_000, 5.001, 1e300])
def test_a_sleep_over_the_limit_is_a_failure_that_names_it(
    submitted: Submit, ended: Ended, job_id: str, seconds: float
) -> None:
    submitted(seconds, jobId=job_id)
    job = ended(job_id)
    assert job["status"] == "Failure"
    assert "results" not in job
    assert set(job["error"]) == {"type", "message"}
    assert "5" in job["error"]["message"]


@pytest.mark.needs("visible")
def test_a_job_can_be_read_as_soon_as_its_202_has_left(api: httpx.Client, submitted: Submit) -> None:
    for _ in range(20):
        assert api.get(f"/jobs/{submitted(0)}").status_code == 200


@pytest.mark.needs("visible")
def test_a_job_that_is_not_final_says_when_to_ask_again(
    api: httpx.Client, submitted: Submit, ended: Ended, job_id: str
) -> None:
    submitted(1, jobId=job_id)
    answer = api.get(f"/jobs/{job_id}")
    assert answer.json()["status"] in ("Pending", "Running")
    assert answer.headers["retry-after"] == "1"
    assert not {"results", "error", "finishedAt"} & set(answer.json())
    ended(job_id)
    answer = api.get(f"/jobs/{job_id}")
    assert answer.json()["status"] == "Success"
    assert "retry-after" not in answer.headers


def test_an_unknown_job_is_not_found(api: httpx.Client, job_id: str) -> None:
    answer = api.get(f"/jobs/{job_id}")
    assert answer.status_code == 404
    assert answer.json() == {"message": "Not found"}


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/%22",
        "/jobs/%00",
        "/jobs/%FF",
        "/jobs/..%2Fjobs",
        "/jobs/a%2Fb",
        "/jobs/%C3%BC",
        "/jobs/a%22%2C%22status%22%3A%22Success",
        "/jobs/%24input.path('%24')",
        f"/jobs/{'x' * 129}",
        "/jobs/'%20OR%201=1--",
    ],
)
def test_what_can_be_no_id_is_not_found_either(api: httpx.Client, path: str) -> None:
    assert_refused(api.get(path), 404)


def test_an_id_may_be_percent_encoded(api: httpx.Client, submitted: Submit, ended: Ended, job_id: str) -> None:
    chosen = f"{job_id}~x"
    submitted(0, jobId=chosen)
    ended(chosen)
    assert api.get(f"/jobs/{job_id}%7E%78").json()["jobId"] == chosen
