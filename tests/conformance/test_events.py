"""GET /jobs/{jobId}/events and GET /events: server-sent events."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused
from tests.eventstream import Event, read

pytestmark = pytest.mark.needs("events")

Submit = Callable[..., str]
Connect = Callable[[], httpx.Client]
END = {"Success", "Failure", "Canceled"}


def test_a_jobs_events_are_the_job_until_it_is_final(api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(0.5)
    with api.stream("GET", f"/jobs/{job_id}/events") as answer:
        events = list(read(answer))
    assert events[-1].data == api.get(f"/jobs/{job_id}").json()
    statuses = [event.data["status"] for event in events]
    assert statuses[-1] == "Success"
    assert statuses == sorted(statuses, key=["Pending", "Running", "Success"].index)
    assert len(statuses) == len(set(statuses)) >= 2


def test_a_final_job_is_told_once_and_not_again(
    api: httpx.Client, submitted: Submit, ended: Callable[[str], Job]
) -> None:
    job_id = submitted(0)
    job = ended(job_id)
    with api.stream("GET", f"/jobs/{job_id}/events") as answer:
        (event,) = read(answer)
    assert event.data == job
    again = api.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": str(event.id)})
    assert (again.status_code, again.content) == (204, b"")


def test_what_a_listener_to_a_job_has_seen_is_not_sent_again(api: httpx.Client, submitted: Submit) -> None:
    path = f"/jobs/{submitted(2)}/events"
    with api.stream("GET", path) as answer:
        seen = next(event for event in read(answer) if event.data["status"] == "Running")
    with api.stream("GET", path, headers={"Last-Event-ID": str(seen.id)}) as answer:
        assert next(read(answer)).data["status"] == "Success"


def test_an_unknown_job_has_no_events(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.get(f"/jobs/{job_id}/events"), 404) == "Not found"


def _follow(client: httpx.Client, job_id: str, last_id: str | None, until: set[str]) -> list[Event]:
    """The events about a job, from an id on, until the job has one of the statuses."""
    found = []
    with client.stream("GET", "/events", headers={} if last_id is None else {"Last-Event-ID": last_id}) as answer:
        for event in read(answer):
            if event.data is not None and event.data.get("jobId") == job_id:
                found.append(event)
                if event.data["status"] in until:
                    return found
    raise AssertionError("the stream has ended")


def test_every_change_of_every_job_is_told_in_order(connect: Connect, api: httpx.Client, job_id: str) -> None:
    with connect() as other, other.stream("GET", "/events") as answer:
        events = read(answer)
        assert next(events).data is None  # it listens from here on
        assert api.post("/jobs", json={"jobId": job_id, "seconds": 0.1}).status_code == 202
        found = []
        for event in events:
            if event.data["jobId"] == job_id:
                found.append(event.data)
                if event.data["status"] in END:
                    break
    assert [change["status"] for change in found] == ["Pending", "Running", "Success"]
    assert found[0] == {"jobId": job_id, "type": found[0]["type"], "status": "Pending", "attempt": 1}


def test_who_comes_back_gets_what_happened_meanwhile(connect: Connect, api: httpx.Client, submitted: Submit) -> None:
    with connect() as other, other.stream("GET", "/events") as answer:
        last_id = next(read(answer)).id
    job_id = submitted(0)
    api.get(f"/jobs/{job_id}?wait=20")
    with connect() as other:
        pending, *_ = _follow(other, job_id, last_id, END)
        assert pending.data["status"] == "Pending"
        later = _follow(other, job_id, pending.id, END)
    assert [event.data["status"] for event in later] == ["Running", "Success"]


@pytest.mark.parametrize("last_id", [b"x", b"0-1", b"", b"\xe9"])
def test_an_id_that_is_not_known_is_answered_with_a_gap(api: httpx.Client, last_id: bytes) -> None:
    with api.stream("GET", "/events", headers={b"Last-Event-ID": last_id}) as answer:
        event = next(read(answer))
    assert (event.name, event.data) == ("gap", {})
    assert event.id


@pytest.mark.parametrize("path", ["/events", "/jobs/x/events"])
def test_events_are_only_to_be_read(api: httpx.Client, path: str) -> None:
    assert_refused(api.post(path), 405)
    assert api.head("/events").status_code == 200
