"""GET /jobs/{jobId}/attempts."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused

pytestmark = pytest.mark.needs("attempts")


def test_the_attempts_of_a_job_are_told_the_first_one_first(
    api: httpx.Client, submitted: Callable[..., str], ended: Callable[[str], Job]
) -> None:
    job_id = submitted(0)
    first = ended(job_id)
    assert api.post(f"/jobs/{job_id}/retry").status_code == 202
    second = ended(job_id)
    assert api.get(f"/jobs/{job_id}/attempts").json() == {
        "attempts": [
            {name: job[name] for name in ("attempt", "status", "startedAt", "finishedAt")} for job in (first, second)
        ]
    }


def test_an_unknown_job_has_no_attempts(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.get(f"/jobs/{job_id}/attempts"), 404) == "Not found"


def test_attempts_come_in_pages(api: httpx.Client, submitted: Callable[..., str], ended: Callable[[str], Job]) -> None:
    job_id = submitted(0)
    for _ in range(2):
        ended(job_id)
        assert api.post(f"/jobs/{job_id}/retry").status_code == 202
    ended(job_id)
    seen, query = [], "limit=2"
    while query:
        page = api.get(f"/jobs/{job_id}/attempts?{query}").json()
        seen.append([one["attempt"] for one in page["attempts"]])
        query = f"limit=2&cursor={page['next']}" if "next" in page else ""
    assert seen == [[1, 2], [3]]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=x", "cursor=-1", "status=Success"])
def test_a_query_of_attempts_that_is_not_understood_is_refused(
    api: httpx.Client, submitted: Callable[..., str], query: str
) -> None:
    assert_refused(api.get(f"/jobs/{submitted(0)}/attempts?{query}"), 400)
