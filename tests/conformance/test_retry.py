"""POST /jobs/{jobId}/retry."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused, whereabouts

pytestmark = pytest.mark.needs("retry")

Submit = Callable[..., str]
Ended = Callable[[str], Job]


@pytest.mark.parametrize("seconds", [0, 100_000])
def test_a_final_job_runs_again_with_its_next_attempt(
    api: httpx.Client, submitted: Submit, ended: Ended, seconds: int
) -> None:
    job_id = submitted(seconds)
    first = ended(job_id)
    answer = api.post(f"/jobs/{job_id}/retry")
    assert answer.status_code == 202
    assert answer.json() == {"jobId": job_id}
    assert whereabouts(api, answer) == f"/jobs/{job_id}"
    assert answer.headers["retry-after"] == "1"
    second = ended(job_id)
    assert (second["attempt"], second["status"]) == (2, first["status"])
    assert second["createdAt"] == first["createdAt"]
    assert second["startedAt"] >= first["finishedAt"]


@pytest.mark.needs("cancel")
def test_a_canceled_job_can_be_retried(api: httpx.Client, submitted: Submit, ended: Ended) -> None:
    job_id = submitted(0.5)
    api.post(f"/jobs/{job_id}/cancel")
    assert api.post(f"/jobs/{job_id}/retry").status_code == 202
    assert (ended(job_id)["status"], ended(job_id)["attempt"]) == ("Success", 2)


def test_a_job_that_is_not_final_is_a_conflict(api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(2)
    assert_refused(api.post(f"/jobs/{job_id}/retry"), 409)


def test_an_unknown_job_is_not_found(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.post(f"/jobs/{job_id}/retry"), 404) == "Not found"
