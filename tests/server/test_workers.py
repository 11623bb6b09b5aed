"""Timeouts, lost workers, and slots."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Gate, alive, lines, wait_for
from tests.serving import FUNCTIONS, Server


def test_a_function_beyond_its_timeout_is_repeated_and_then_a_failure(server: Server, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    job = server.result(server.submit("overruns", runs=str(runs)))
    assert (job["status"], job["attempt"]) == ("Failure", 2)
    assert job["error"]["type"] == "Timeout"
    assert "0.3 seconds" in job["error"]["message"]
    assert len(lines(runs)) == 2


def test_a_thread_beyond_its_timeout_costs_its_process_and_no_other_job(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        started, runs = tmp_path / "started", tmp_path / "runs"
        neighbour = server.submit("holds", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "the neighbour")
        server.result(server.submit("overruns", runs=str(runs)))
        retired = int(lines(started)[0])
        wait_for(lambda: retired != server.result(server.submit("pid"))["results"], "the replacement")
        assert alive(retired)
        gate.open()
        job = server.result(neighbour)
        assert (job["status"], job["results"], job["attempt"]) == ("Success", "done", 1)
        wait_for(lambda: not alive(retired), "the end of the retired worker")


def test_an_async_function_beyond_its_timeout_is_stopped_and_its_worker_lives(server: Server, tmp_path: Path) -> None:
    wait_for(lambda: server.log.read_text().count("worker ready") == 2, "both workers")
    processes = set(server.worker_pids())  # and what is starting the guard, perhaps
    jobs = [server.submit("overruns_async", runs=str(tmp_path / "runs")) for _ in range(3)]
    assert {server.result(job_id)["error"]["type"] for job_id in jobs} == {"Timeout"}
    server.result(server.submit("overruns_async", runs=str(tmp_path / "runs")))
    workers = set(server.worker_pids())
    assert len(workers) == 2 and workers <= processes


def test_a_job_that_kills_its_worker_is_lost_for_good_when_its_retries_are_used_up(
    server: Server, tmp_path: Path
) -> None:
    job = server.result(server.submit("dies", runs=str(tmp_path / "runs")))
    assert (job["status"], job["attempt"]) == ("Failure", 2)
    assert job["error"]["type"] == "WorkerLost"
    assert "exit status 7" in job["error"]["message"]
    assert lines(tmp_path / "runs") == ["died", "died"]
    assert server.result(server.submit("add", a=1))["results"] == 2


def test_the_neighbours_of_a_lost_job_run_again(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        started = tmp_path / "started"
        neighbour = server.submit("holds", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "the neighbour")
        server.result(server.submit("dies_once", runs=str(tmp_path / "runs")))
        wait_for(lambda: len(lines(started)) == 2, "the neighbour's second attempt")
        gate.open()
        job = server.result(neighbour)
        assert (job["status"], job["attempt"]) == ("Success", 2)


def test_a_killed_worker_loses_no_job(server: Server, tmp_path: Path, gate: Gate) -> None:
    wait_for(lambda: server.log.read_text().count("worker ready") == 2, "both workers")
    started = tmp_path / "started"
    jobs = [server.submit("holds", started=str(started), gate=gate.path) for _ in range(20)]
    wait_for(lambda: len(lines(started)) == 20, "all jobs")
    victim = server.worker_pids()[0]
    hit = lines(started).count(str(victim))
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(lines(started)) == 20 + hit, "the second attempts")
    assert 0 < hit < 20
    gate.open()
    ended = [server.result(job_id) for job_id in jobs]
    assert {job["status"] for job in ended} == {"Success"}
    assert sorted(job["attempt"] for job in ended) == [1] * (20 - hit) + [2] * hit


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this policy")
def test_a_worker_that_wakes_takes_no_processor_from_its_server(server: Server) -> None:
    wait_for(lambda: server.log.read_text().count("worker ready") == 2, "both workers")
    assert {os.sched_getscheduler(pid) for pid in server.worker_pids()} == {os.SCHED_BATCH}
    assert os.sched_getscheduler(server.process.pid) == os.SCHED_OTHER


def test_a_dead_worker_is_noticed_even_if_its_child_lives(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        started = tmp_path / "started"
        job_id = server.submit("forks", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "the job")
        os.kill(int(lines(started)[0]), signal.SIGKILL)
        wait_for(lambda: len(lines(started)) == 2, "its second attempt")
        gate.open()
        job = server.result(job_id)
        assert (job["status"], job["attempt"]) == ("Success", 2)


def test_an_exit_in_a_functions_own_task_ends_that_job_alone(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        for _ in range(2):
            job = server.result(server.submit("leaves_in_a_task"))
            assert job["error"] == {"type": "SystemExit", "message": "3"}
        assert server.result(server.submit("echo_async", value=1))["results"] == 1


def test_a_job_that_is_canceled_before_its_worker_hears_of_it_harms_nobody(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        started = tmp_path / "started"
        neighbour = server.submit("hogs", started=str(started), seconds=0.5)
        wait_for(lambda: lines(started), "the neighbour")
        job_id = server.submit("waits", started=str(tmp_path / "never"))
        assert server.client.post(f"/jobs/{job_id}/cancel").json()["status"] == "Canceled"
        job = server.result(neighbour)
        assert (job["status"], job["attempt"]) == ("Success", 1)
        assert server.result(server.submit("echo_async", value=1))["results"] == 1


def test_the_newest_of_a_burst_of_progress_is_shown(server: Server, tmp_path: Path, gate: Gate) -> None:
    job_id = server.submit("tells_twice", started=str(tmp_path / "started"), gate=gate.path)
    wait_for(lambda: server.get(job_id).get("progress") == {"fraction": 0.9}, "the newest progress")
    gate.open()
    assert server.result(job_id)["status"] == "Success"


def test_no_more_jobs_run_at_once_than_asked_for_and_the_rest_wait_their_turn(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "2", "--concurrency", "3", target=FUNCTIONS) as server:
        started = tmp_path / "started"
        jobs = [server.submit("holds", started=str(started), gate=gate.path) for _ in range(8)]
        wait_for(lambda: len(lines(started)) == 3, "three jobs")
        statuses = [server.get(job_id)["status"] for job_id in jobs]
        assert statuses == ["Running"] * 3 + ["Pending"] * 5
        canceled = jobs.pop()
        assert server.client.post(f"/jobs/{canceled}/cancel").json()["status"] == "Canceled"
        gate.open()
        assert {server.result(job_id)["status"] for job_id in jobs} == {"Success"}
        assert len(lines(started)) == 7


def test_async_jobs_wait_together_in_one_worker(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        started = tmp_path / "started"
        jobs = [server.submit("waits", started=str(started)) for _ in range(200)]
        wait_for(lambda: len(lines(started)) == 200, "all jobs")
        for job_id in jobs:
            server.client.post(f"/jobs/{job_id}/cancel")
        wait_for(lambda: lines(started).count("canceled True") == 200, "all cancels")


def test_a_job_whose_function_has_not_stopped_cannot_be_deleted_yet(tmp_path: Path, gate: Gate) -> None:
    """Else the results of the old function could become those of a new job with the same id."""
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        started = tmp_path / "started"
        job_id = server.submit("holds", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "the job")
        assert server.client.post(f"/jobs/{job_id}/cancel").status_code == 200
        refused = server.client.delete(f"/jobs/{job_id}")
        assert (refused.status_code, "has not stopped" in refused.json()["message"]) == (409, True)
        assert server.get(job_id)["status"] == "Canceled"
        gate.open()
        wait_for(lambda: server.client.delete(f"/jobs/{job_id}").status_code == 204, "the end of the function")
        server.client.post("/jobs", json={"jobId": job_id, "type": "add", "a": 1})
        assert server.result(job_id)["results"] == 2


def test_deleted_jobs_are_counted_and_logged(server: Server) -> None:
    job_id = server.submit("add", a=1)
    server.result(job_id)
    assert server.client.delete(f"/jobs/{job_id}").status_code == 204
    assert server.client.delete(f"/jobs/{job_id}").status_code == 404
    assert server.client.delete(f"/jobs/{job_id}?x=1").status_code == 400
    assert 'asyncjob_deletions_total{type="add"} 1.0' in server.client.get("/metrics").text
    assert f"job deleted job_id={job_id} attempt=1" in server.log.read_text()
