"""`ETag` and `If-None-Match` on a job."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused

pytestmark = pytest.mark.needs("etag")

Submit = Callable[..., str]
Ended = Callable[[str], Job]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"a", {}', "*"])
def test_a_job_that_the_client_has_is_not_sent_again(
    api: httpx.Client, submitted: Submit, ended: Ended, form: str
) -> None:
    job_id = submitted(0)
    ended(job_id)
    tag = api.get(f"/jobs/{job_id}").headers["etag"]
    assert tag[0] == tag[-1] == '"'
    for method in ("GET", "HEAD"):
        answer = api.request(method, f"/jobs/{job_id}", headers={"if-none-match": form.format(tag)})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in answer.headers


def test_a_job_that_has_changed_is_sent(api: httpx.Client, begun: Callable[[float], str], ended: Ended) -> None:
    job_id = begun(1)
    before = api.get(f"/jobs/{job_id}").headers["etag"]
    ended(job_id)
    answer = api.get(f"/jobs/{job_id}", headers={"if-none-match": before})
    assert (answer.status_code, answer.json()["status"]) == (200, "Success")
    assert answer.headers["etag"] != before


@pytest.mark.needs("wait")
def test_a_wait_goes_before_it(api: httpx.Client, begun: Callable[[float], str]) -> None:
    job_id = begun(1)
    before = api.get(f"/jobs/{job_id}").headers["etag"]
    answer = api.get(f"/jobs/{job_id}?wait=20", headers={"if-none-match": before})
    assert (answer.status_code, answer.json()["status"]) == (200, "Success")
    again = api.get(f"/jobs/{job_id}?wait=20", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("tags", ['"a"', "nonsense", '"', ""])
def test_another_version_is_sent_as_ever(api: httpx.Client, submitted: Submit, ended: Ended, tags: str) -> None:
    job_id = submitted(0)
    ended(job_id)
    assert api.get(f"/jobs/{job_id}", headers={"if-none-match": tags}).status_code == 200


def test_an_unknown_job_has_no_version(api: httpx.Client, job_id: str) -> None:
    assert_refused(api.get(f"/jobs/{job_id}", headers={"if-none-match": "*"}), 404)


@pytest.mark.needs("events")
def test_it_is_the_id_of_the_jobs_event(api: httpx.Client, submitted: Submit, ended: Ended) -> None:
    job_id = submitted(0)
    ended(job_id)
    tag = api.get(f"/jobs/{job_id}").headers["etag"]
    assert api.get(f"/jobs/{job_id}/events").text.startswith(f"id: {tag[1:-1]}\n")
