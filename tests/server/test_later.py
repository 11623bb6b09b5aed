"""Jobs that run again later: because they asked for it, or after the pause that their function has chosen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncjob.job import milliseconds
from tests.server.conftest import wait_for
from tests.serving import Server

LATER = str(Path(__file__).parent.parent / "later.py")
HOUR_MS = 3_600_000


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "jobs.db", target=LATER) as server:
        yield server


def _between_attempts(server: Server, job_id: str, attempt: int) -> dict[str, Any]:
    """The job, once it waits for an attempt."""
    wait_for(lambda: (job := server.get(job_id))["attempt"] == attempt and "runAt" in job, f"attempt {attempt}")
    return server.get(job_id)


@pytest.mark.parametrize(("type", "error"), [("waits_for", "NotYet"), ("waits_for_async", "ExceptionGroup")])
def test_a_job_that_comes_back_later_says_when_and_why_and_keeps_its_priority(
    later: Server, tmp_path: Path, type: str, error: str
) -> None:
    job_id = later.submit(type, path=str(tmp_path / "there"), options={"priority": 5})
    for attempt in (2, 3):
        job = _between_attempts(later, job_id, attempt)
        assert (job["status"], job["error"]["type"], job["priority"]) == ("Pending", error, 5)
        assert "not yet" in job["error"]["message"]
        assert abs(milliseconds(job["runAt"]) - milliseconds(job["createdAt"]) - HOUR_MS) < HOUR_MS / 2
        if attempt == 3:
            (tmp_path / "there").touch()
        assert later.client.post(f"/jobs/{job_id}/run-now").status_code in (200, 202)
    job = later.result(job_id)
    assert (job["status"], job["results"]) == ("Success", 3)
    attempts = later.client.get(f"/jobs/{job_id}/attempts").json()["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["Pending", "Pending", "Success"]


def test_it_counts_neither_against_the_retries_nor_for_the_pauses(later: Server) -> None:
    job = later.result(later.submit("comes_back", times=20))
    assert (job["status"], job["results"]) == ("Success", 21)
    job = later.result(later.submit("fails_and_comes_back"))
    assert (job["status"], job["results"]) == ("Success", 9)
    assert 'asyncjob_attempts_put_back_total{reason="postponed"} 26.0' in later.client.get("/metrics").text


@pytest.mark.parametrize(("type", "error"), [("patient", "ConnectionError"), ("dies_patiently", "WorkerLost")])
def test_the_pause_after_a_loss_is_the_functions_own_and_outlives_a_restart(
    later: Server, type: str, error: str
) -> None:
    job_id = later.submit(type)
    job = _between_attempts(later, job_id, 2)
    assert job["error"]["type"] == error
    pause = milliseconds(job["runAt"]) - milliseconds(job["createdAt"])
    assert HOUR_MS * 0.8 < pause < HOUR_MS * 1.2
    later.stop()
    later.start()
    assert later.get(job_id) == job
    later.client.post(f"/jobs/{job_id}/run-now")
    assert later.result(job_id)["results"] == 2


def test_a_job_that_waits_to_come_back_can_be_canceled(later: Server, tmp_path: Path) -> None:
    job_id = later.submit("waits_for", path=str(tmp_path / "never"))
    _between_attempts(later, job_id, 2)
    assert later.client.post(f"/jobs/{job_id}/cancel").json()["status"] == "Canceled"
