"""GET /jobs."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused

pytestmark = pytest.mark.needs("list")

Submit = Callable[..., str]
Ended = Callable[[str], Job]


def _ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [job["jobId"] for job in answer.json()["jobs"]]


def test_the_newest_job_comes_first_and_looks_as_it_does_alone(
    api: httpx.Client, submitted: Submit, ended: Ended
) -> None:
    ids = [submitted(0) for _ in range(3)]
    jobs = [ended(job_id) for job_id in ids]
    listed = api.get("/jobs?limit=3").json()["jobs"]
    assert listed == jobs[::-1]


def test_the_pages_hold_every_job_once(api: httpx.Client, submitted: Submit) -> None:
    ids = [submitted(0) for _ in range(7)]
    seen: list[str] = []
    query = "limit=2"
    while len(seen) < 7:
        answer = api.get(f"/jobs?{query}")
        assert 1 <= len(_ids(answer)) <= 2
        seen += _ids(answer)
        query = f"limit=2&cursor={answer.json()['next']}"
    assert seen[:7] == ids[::-1]


def test_the_last_page_has_no_next(api: httpx.Client, submitted: Submit) -> None:
    submitted(0)
    answer = api.get("/jobs?limit=1000")
    while "next" in answer.json():
        answer = api.get("/jobs", params={"limit": 1000, "cursor": answer.json()["next"]})
    assert answer.json()["jobs"]


def test_jobs_are_filtered_by_status(api: httpx.Client, submitted: Submit, ended: Ended) -> None:
    good, bad = submitted(0), submitted(100_000)
    ended(good)
    ended(bad)
    assert good in _ids(api.get("/jobs?status=Success"))
    assert bad not in _ids(api.get("/jobs?status=Success"))
    assert _ids(api.get("/jobs?status=Failure&limit=1")) == [bad]
    running = submitted(4)
    assert running in _ids(api.get("/jobs?status=Pending")) + _ids(api.get("/jobs?status=Running"))


def test_jobs_are_filtered_by_type(api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(0)
    assert _ids(api.get("/jobs?type=sleep&limit=1")) == [job_id]
    assert _ids(api.get("/jobs?type=other")) == []


def test_a_filter_holds_for_further_pages_too(api: httpx.Client, submitted: Submit) -> None:
    for _ in range(2):
        submitted(0)
    cursor = api.get("/jobs?limit=1").json()["next"]
    assert _ids(api.get("/jobs", params={"type": "other", "cursor": cursor})) == []


@pytest.mark.parametrize("change", ["{}0x", "x{}", "{}="], ids=repr)
def test_a_cursor_that_was_tampered_with_is_refused(api: httpx.Client, submitted: Submit, change: str) -> None:
    for _ in range(2):
        submitted(0)
    cursor = api.get("/jobs?limit=1").json()["next"]
    assert "cursor" in assert_refused(api.get("/jobs", params={"cursor": change.format(cursor)}), 400)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1.5", "status=Done", "status=success", "status=",
     "cursor=x", "cursor=-1", "cursor=", "state=Success", "limit=٣", "%ff=1"],
)  # fmt: skip
def test_a_query_that_is_not_understood_is_refused(api: httpx.Client, query: str) -> None:
    assert_refused(api.get(f"/jobs?{query}"), 400)
