"""POST /jobs/{jobId}/cancel."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused

pytestmark = pytest.mark.needs("cancel")

Submit = Callable[..., str]
Ended = Callable[[str], Job]


def test_a_running_job_is_canceled_at_once_and_stays_so(
    api: httpx.Client, begun: Submit, submitted: Submit, ended: Ended
) -> None:
    job_id = begun(1)
    answer = api.post(f"/jobs/{job_id}/cancel")
    assert answer.status_code == 200
    job = answer.json()
    assert job["status"] == "Canceled"
    assert "finishedAt" in job
    assert not {"results", "error"} & set(job)
    later = submitted(1.2)
    assert ended(later)["status"] == "Success"
    assert api.get(f"/jobs/{job_id}").json() == job


def test_canceling_again_changes_nothing(api: httpx.Client, begun: Submit) -> None:
    job_id = begun(3)
    first = api.post(f"/jobs/{job_id}/cancel").json()
    answer = api.post(f"/jobs/{job_id}/cancel")
    assert answer.status_code == 200
    assert answer.json() == first


@pytest.mark.parametrize("seconds", [0, 100_000])
def test_a_job_that_had_ended_is_a_conflict(api: httpx.Client, submitted: Submit, ended: Ended, seconds: int) -> None:
    job_id = submitted(seconds)
    job = ended(job_id)
    assert job["status"] in assert_refused(api.post(f"/jobs/{job_id}/cancel"), 409)
    assert api.get(f"/jobs/{job_id}").json() == job


def test_an_unknown_job_is_not_found(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.post(f"/jobs/{job_id}/cancel"), 404) == "Not found"
