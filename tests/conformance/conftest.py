"""What every test of the contract needs. The suite knows a base URL and the declared capabilities, nothing else."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conformance.answers import Job, whereabouts

VISIBLE_SECONDS = 30
END_SECONDS = 60


@pytest.fixture
def job_id() -> str:
    """An id that nobody has used: the suite may run more than once against the same API."""
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def accepted(api: httpx.Client, capabilities: set[str]) -> Callable[..., str]:
    """Takes the answer to a submission, which must be a 202, and the id if one was chosen; gives the job's id."""

    def check(answer: httpx.Response, job_id: str | None = None) -> str:
        assert answer.status_code == 202, answer.text
        assert answer.headers["content-type"].partition(";")[0] == "application/json"
        assert answer.headers["retry-after"] == "1"
        body = answer.json()
        if "id" not in capabilities and body == {}:
            assert "location" not in answer.headers
            return job_id or answer.headers["x-request-id"]
        assert list(body) == ["jobId"]
        assert job_id in (None, body["jobId"])
        assert whereabouts(api, answer) == f"/jobs/{body['jobId']}"
        return str(body["jobId"])

    return check


@pytest.fixture
def submitted(api: httpx.Client, accepted: Callable[..., str]) -> Callable[..., str]:
    """Submits a job, which must be accepted; its id."""

    def submit(seconds: float = 0, **fields: Any) -> str:
        return accepted(api.post("/jobs", json={"seconds": seconds, **fields}), fields.get("jobId"))

    return submit


@pytest.fixture
def begun(api: httpx.Client, submitted: Callable[..., str]) -> Callable[[float], str]:
    """Submits a job that sleeps, and waits until it can be read; its id."""

    def begin(seconds: float) -> str:
        job_id = submitted(seconds)
        deadline = time.monotonic() + VISIBLE_SECONDS
        while api.get(f"/jobs/{job_id}").status_code == 404:
            assert time.monotonic() < deadline, f"job {job_id} cannot be read"
            time.sleep(0.05)
        return job_id

    return begin


@pytest.fixture
def ended(api: httpx.Client, capabilities: set[str]) -> Callable[[str], Job]:
    """Waits until a job is final, however the engine lets one wait."""

    def wait(job_id: str) -> Job:
        query = "?wait=20" if "wait" in capabilities else ""
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            answer = api.get(f"/jobs/{job_id}{query}")
            if answer.status_code == 404 and "visible" not in capabilities:
                time.sleep(0.1)
                continue
            assert answer.status_code == 200, answer.text
            job: Job = answer.json()
            if "finishedAt" in job:
                return job
            if not query:
                time.sleep(0.1)
        raise AssertionError(f"job {job_id} has not ended")

    return wait
