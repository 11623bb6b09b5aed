"""Jobs in processes of their own: each ends with its process, its process with it, and no other job is harmed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import alive, lines, wait_for
from tests.serving import Server

ISOLATED = str(Path(__file__).parent.parent / "isolated.py")


@pytest.fixture
def isolated(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "jobs.db", "--workers", "2", target=ISOLATED) as server:
        wait_for(lambda: server.log.read_text().count("worker ready") == 2, "the workers")
        yield server


def _has_only_a_spare(server: Server) -> None:
    """Beside its two workers."""
    wait_for(lambda: len(server.worker_pids()) == 3, "the end of all isolated processes but a spare")


def test_each_job_has_a_process_of_its_own_beside_the_workers_and_that_ends_with_it(isolated: Server) -> None:
    workers = isolated.worker_pids()
    assert isolated.result(isolated.submit("shared"))["results"] in workers
    assert isolated.worker_pids() == workers, "a spare was started although no job needs one"
    ended = [isolated.result(job_id)["results"] for job_id in [isolated.submit("single") for _ in range(5)]]
    pids = [pid for pid, _ in ended]
    assert len(set(pids)) == 5 and not set(pids) & set(workers)
    assert all(number >= 2 for _, number in ended)
    assert 'asyncjob_worker_restarts_total{reason="retired"} 0.0' in isolated.client.get("/metrics").text
    wait_for(lambda: not any(map(alive, pids)), "their end")
    _has_only_a_spare(isolated)
    (spare,) = set(isolated.worker_pids()) - set(workers)
    wait_for(lambda: f"worker ready worker={spare}" in isolated.log.read_text(), "the spare")
    assert isolated.result(isolated.submit("single"))["results"][0] == spare


def test_no_more_isolated_jobs_run_at_once_than_there_are_workers_unless_the_function_says_so(
    isolated: Server, tmp_path: Path
) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    jobs = [isolated.submit("lasts", started=str(started), gate=str(gate)) for _ in range(4)]
    many = [isolated.submit("lasts_in_three", started=str(started), gate=str(gate)) for _ in range(4)]
    wait_for(lambda: len(lines(started)) == 5, "two and three jobs")
    assert sorted(isolated.get(job_id)["status"] for job_id in jobs) == ["Pending"] * 2 + ["Running"] * 2
    assert sorted(isolated.get(job_id)["status"] for job_id in many) == ["Pending"] + ["Running"] * 3
    gate.touch()
    assert {isolated.result(job_id)["status"] for job_id in jobs + many} == {"Success"}
    _has_only_a_spare(isolated)


def test_a_process_runs_as_many_jobs_as_it_may_one_at_a_time(isolated: Server) -> None:
    pids = [isolated.result(isolated.submit("in_pairs"))["results"] for _ in range(6)]
    assert pids[0::2] == pids[1::2] and len(set(pids)) == 3
    _has_only_a_spare(isolated)


def test_a_process_that_a_job_has_started_ends_with_it(isolated: Server, tmp_path: Path) -> None:
    job = isolated.result(isolated.submit("starts", pids=str(tmp_path / "pids")))
    assert job["status"] == "Success"
    wait_for(lambda: not alive(int(lines(tmp_path / "pids")[0])), "the end of what it has started")


def test_a_job_beyond_its_timeout_is_ended_with_all_that_it_has_started(isolated: Server, tmp_path: Path) -> None:
    job = isolated.result(isolated.submit("overruns", pids=str(tmp_path / "pids")))
    assert (job["status"], job["error"]["type"]) == ("Failure", "Timeout")
    wait_for(lambda: not any(alive(int(pid)) for pid in lines(tmp_path / "pids")), "their end")
    _has_only_a_spare(isolated)


def test_a_canceled_job_is_ended_and_so_is_one_that_has_no_process_yet(isolated: Server, tmp_path: Path) -> None:
    started = tmp_path / "started"
    jobs = [isolated.submit("lasts", started=str(started), gate=str(tmp_path / "gate")) for _ in range(2)]
    for job_id in jobs:
        assert isolated.client.post(f"/jobs/{job_id}/cancel").json()["status"] == "Canceled"
    last = isolated.submit("lasts", started=str(started), gate=str(tmp_path / "gate"))
    wait_for(lambda: isolated.get(last)["status"] == "Running" and lines(started), "the last one")
    assert isolated.client.post(f"/jobs/{last}/cancel").json()["status"] == "Canceled"
    wait_for(lambda: not any(alive(int(pid)) for pid in lines(started)), "their end")
    _has_only_a_spare(isolated)


def test_a_job_that_kills_its_process_is_charged_and_neither_a_suspect_nor_anybodys_neighbour(
    isolated: Server, tmp_path: Path
) -> None:
    workers = isolated.worker_pids()
    beside = isolated.submit("lasts", started=str(tmp_path / "started"), gate=str(tmp_path / "gate"))
    wait_for(lambda: lines(tmp_path / "started"), "the job beside it")
    job = isolated.result(isolated.submit("dies", runs=str(tmp_path / "runs")))
    assert job["error"] == {"type": "WorkerLost", "message": "its process died (exit status 3)"}
    attempts = isolated.client.get(f"/jobs/{job['jobId']}/attempts").json()["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["Failure", "Failure"]
    assert len(set(lines(tmp_path / "runs"))) == 2
    (tmp_path / "gate").touch()
    assert isolated.result(beside)["attempt"] == 1
    assert set(workers) <= set(isolated.worker_pids())
    _has_only_a_spare(isolated)


@pytest.mark.parametrize("how", ["at once", "bit by bit", "results", "in C"])
def test_a_job_that_needs_more_memory_than_it_may_fails_for_that_alone(isolated: Server, how: str) -> None:
    workers = isolated.worker_pids()
    job = isolated.result(isolated.submit("hoards", how=how))
    assert job["error"] == {
        "type": "OutOfMemory",
        "message": "it needed more memory than the 200 MB that its process may have",
    }
    assert set(workers) <= set(isolated.worker_pids())


def test_the_limit_is_of_memory_and_not_of_other_faults(isolated: Server) -> None:
    assert isolated.result(isolated.submit("hoards_async"))["error"]["type"] == "OutOfMemory"
    assert isolated.result(isolated.submit("aborts"))["error"]["type"] == "WorkerLost"
    ended = [isolated.result(isolated.submit("needs", megabytes=100)) for _ in range(3)]
    assert {job["results"] for job in ended} == {100 << 20}


def test_a_killed_server_runs_its_isolated_jobs_again_and_leaves_none_of_their_processes(
    isolated: Server, tmp_path: Path
) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    jobs = [isolated.submit("lasts", started=str(started), gate=str(gate)) for _ in range(2)]
    wait_for(lambda: len(lines(started)) == 2, "both jobs")
    isolated.stop(signal.SIGKILL)
    wait_for(lambda: not any(alive(int(pid)) for pid in lines(started)), "the end of their processes")
    isolated.start()
    gate.touch()
    ended = [isolated.result(job_id) for job_id in jobs]
    assert {(job["status"], job["attempt"]) for job in ended} == {("Success", 2)}
    wait_for(lambda: len(isolated.worker_pids()) == 3, "the spare")


def test_a_stopping_server_waits_for_isolated_jobs_and_puts_the_others_back(isolated: Server, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    jobs = [isolated.submit("lasts", started=str(started), gate=str(gate)) for _ in range(2)]
    wait_for(lambda: len(lines(started)) == 2, "both jobs")
    isolated.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping;" in isolated.log.read_text(), "the stop")
    os.kill(int(lines(started)[0]), signal.SIGKILL)
    gate.touch()
    assert isolated.wait() == 0
    isolated.start()
    ended = [isolated.result(job_id) for job_id in jobs]
    assert {job["status"] for job in ended} == {"Success"}
    assert sorted(job["attempt"] for job in ended) == [1, 2]
