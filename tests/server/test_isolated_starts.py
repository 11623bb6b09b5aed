"""An isolated job runs when it has its process, and waits as any other job until then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncjob.job import now_ms, timestamp
from tests.server.conftest import lines, wait_for
from tests.serving import Server

MODULE = """
import os, time
from pathlib import Path
from asyncjob import Jobs

jobs = Jobs()

@jobs.lifespan
def begins(worker):
    if worker.worker:  # not in the one worker that is for all functions
        with open("starts", "a") as file:
            file.write(f"{os.getpid()}\\n")
        while not Path("gate").exists():
            time.sleep(0.01)
    yield

@jobs.job(isolate=True, timeout=30, retries=0)
def alone() -> int:
    return os.getpid()

@jobs.job(isolate=True, rate="1/h")
def rated() -> int:
    return os.getpid()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "slow.py").write_text(MODULE)
    with Server(tmp_path / "jobs.db", "--workers", "1", target=str(tmp_path / "slow.py")) as server:
        yield server


def _wait_for_starts(folder: Path, count: int) -> None:
    wait_for(lambda: len(lines(folder / "starts")) == count, f"{count} processes that start")


def test_a_job_is_pending_until_its_process_is_ready(server: Server, tmp_path: Path) -> None:
    first, second, third = [server.submit("alone") for _ in range(3)]
    _wait_for_starts(tmp_path, 2)  # one job at once, as there is one worker, and a spare
    assert [server.get(job_id)["status"] for job_id in (first, second, third)] == ["Pending"] * 3
    assert "startedAt" not in server.get(first)
    assert server.client.post(f"/jobs/{first}/cancel").json()["status"] == "Canceled"
    assert "asyncjob_running 0.0" in server.client.get("/metrics").text
    (tmp_path / "gate").touch()
    ended = [server.result(job_id) for job_id in (second, third)]
    assert [(job["status"], job["attempt"]) for job in ended] == [("Success", 1)] * 2


def test_a_job_whose_process_is_not_ready_in_time_has_not_begun(server: Server, tmp_path: Path) -> None:
    start_by = now_ms() + 200
    late = server.submit("alone", options={"startBy": timestamp(start_by)})
    _wait_for_starts(tmp_path, 2)
    wait_for(lambda: now_ms() > start_by, "that time")
    (tmp_path / "gate").touch()
    job = server.result(late)
    assert (job["status"], job["error"]["type"], "startedAt" in job) == ("Failure", "Expired", False)


def test_only_what_has_begun_counts_against_a_rate(server: Server, tmp_path: Path) -> None:
    canceled, other = server.submit("rated"), server.submit("rated")
    _wait_for_starts(tmp_path, 2)
    assert server.client.post(f"/jobs/{canceled}/cancel").json()["status"] == "Canceled"
    (tmp_path / "gate").touch()
    assert server.result(other)["status"] == "Success"


def test_a_restart_finds_jobs_that_had_no_process_as_they_were(server: Server, tmp_path: Path) -> None:
    jobs = [server.submit("alone") for _ in range(2)]
    _wait_for_starts(tmp_path, 2)
    assert server.stop() == 0
    (tmp_path / "gate").touch()
    server.start()
    assert [server.result(job_id)["attempt"] for job_id in jobs] == [1, 1]
