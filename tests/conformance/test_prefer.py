"""`Prefer: wait=` and `respond-async` (RFC 7240)."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import whereabouts

pytestmark = pytest.mark.needs("prefer")

Submit = Callable[..., str]


def test_a_get_is_held_until_the_job_is_final(api: httpx.Client, submitted: Submit) -> None:
    answer = api.get(f"/jobs/{submitted(0.5)}", headers={"prefer": "wait=20"})
    assert answer.json()["status"] == "Success"
    assert answer.headers["preference-applied"] == "wait=20"


def test_a_submission_is_held_until_the_job_is_final(api: httpx.Client) -> None:
    answer = api.post("/jobs", json={"seconds": 0}, headers={"prefer": "respond-async, wait=20"})
    assert (answer.status_code, answer.json()["status"]) == (200, "Success")
    assert whereabouts(api, answer) == f"/jobs/{answer.json()['jobId']}"
    assert answer.headers["preference-applied"] == "wait=20"


def test_a_submission_that_takes_longer_is_accepted(api: httpx.Client) -> None:
    answer = api.post("/jobs", json={"seconds": 3}, headers={"prefer": "wait=1, respond-async"})
    assert (answer.status_code, list(answer.json())) == (202, ["jobId"])
    assert answer.headers["preference-applied"] == "wait=1, respond-async"


def test_respond_async_is_what_a_submission_does_anyway(api: httpx.Client) -> None:
    answer = api.post("/jobs", json={"seconds": 0}, headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")


def test_the_query_wins(api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(4)
    answer = api.get(f"/jobs/{job_id}?wait=0", headers={"prefer": "wait=60"})
    assert answer.json()["status"] in ("Pending", "Running")
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("prefer", ["wait", "wait=x", "wait=-1", "handling=strict", '"', ";,="])
def test_what_is_malformed_or_unknown_is_ignored(api: httpx.Client, submitted: Submit, prefer: str) -> None:
    job_id = submitted(0)
    answers = [api.get(f"/jobs/{job_id}", headers={"prefer": prefer})]
    answers.append(api.post("/jobs", json={"seconds": 0}, headers={"prefer": prefer}))
    assert [answer.status_code for answer in answers] == [200, 202]
    assert not any("preference-applied" in answer.headers for answer in answers)
