"""DELETE /jobs/{jobId}."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused
from tests.eventstream import read

pytestmark = pytest.mark.needs("delete")

Submit = Callable[..., str]
Ended = Callable[[str], Job]


@pytest.mark.parametrize("seconds", [0, 100_000])
def test_a_deleted_job_is_there_no_more(api: httpx.Client, submitted: Submit, ended: Ended, seconds: int) -> None:
    job_id = submitted(seconds)
    ended(job_id)
    answer = api.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    for answer in (api.get(f"/jobs/{job_id}"), api.delete(f"/jobs/{job_id}")):
        assert assert_refused(answer, 404) == "Not found"


@pytest.mark.needs("list")
def test_a_deleted_job_is_in_no_list(api: httpx.Client, submitted: Submit, ended: Ended) -> None:
    job_id, beside = submitted(), submitted()
    ended(job_id)
    ended(beside)
    assert api.delete(f"/jobs/{job_id}").status_code == 204
    listed = [job["jobId"] for job in api.get("/jobs?limit=100").json()["jobs"]]
    assert job_id not in listed


def test_the_id_of_a_deleted_job_is_free_for_any_other(
    api: httpx.Client, submitted: Submit, ended: Ended, job_id: str
) -> None:
    submitted(0, jobId=job_id)
    first = ended(job_id)
    assert api.delete(f"/jobs/{job_id}").status_code == 204
    submitted(0.1, jobId=job_id)
    second = ended(job_id)
    assert (second["attempt"], second["parameters"]) == (1, {"seconds": 0.1})
    assert second["createdAt"] >= first["finishedAt"]


@pytest.mark.needs("cancel")
@pytest.mark.needs("delay")
def test_a_job_that_was_canceled_before_it_began_can_be_deleted(api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(0, options={"delay": 600})
    assert api.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert api.delete(f"/jobs/{job_id}").status_code == 204
    assert_refused(api.get(f"/jobs/{job_id}"), 404)


def test_a_job_that_is_not_final_is_a_conflict_and_ends_all_the_same(
    api: httpx.Client, begun: Submit, ended: Ended
) -> None:
    job_id = begun(1.5)
    assert job_id in assert_refused(api.delete(f"/jobs/{job_id}"), 409)
    assert ended(job_id)["status"] == "Success"


def test_an_unknown_job_is_not_found(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.delete(f"/jobs/{job_id}"), 404) == "Not found"


@pytest.mark.needs("events")
def test_listeners_are_told_of_a_deleted_job(
    connect: Callable[[], httpx.Client], api: httpx.Client, submitted: Submit, ended: Ended
) -> None:
    job_id = submitted()
    job = ended(job_id)
    with connect() as other, other.stream("GET", "/events") as answer:
        events = read(answer)
        next(events)  # where the stream begins
        assert api.delete(f"/jobs/{job_id}").status_code == 204
        told = next(event for event in events if event.name == "deleted")
    assert told.data == {"jobId": job_id, "type": job["type"]}
