"""What breaks beneath the jobs: workers killed and stopped at every moment, memory, the disk, the file itself.

How often a job ended is what its file took down (tests/witness.py), not what the server says.
"""

import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.conftest import Gate, alive, lines, wait_for
from tests.serving import FUNCTIONS, Server
from tests.witness import ends, is_sound, observe


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Server]:
    """A server with one worker, whose file takes down how jobs end."""
    with Server(tmp_path / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        observe(server)
        wait_for(lambda: server.client.get("/healthz").status_code == 200, "its worker")
        yield server


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """The process does nothing meanwhile, and does not know."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGCONT)


def test_a_worker_killed_before_jobs_are_claimed_costs_them_no_attempt(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--concurrency", "1", target=FUNCTIONS) as server:
        observe(server)
        started = tmp_path / "started"
        running = server.submit("holds", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "the job that has the only slot")
        waiting = [server.submit("add", a=1) for _ in range(5)]
        os.kill(int(lines(started)[0]), signal.SIGKILL)
        wait_for(
            lambda: len(lines(started)) == 2 or server.get(waiting[-1])["status"] == "Success", "the slot's return"
        )
        gate.open()
        assert server.result(running)["attempt"] == 2
        ended = [server.result(job_id) for job_id in waiting]
        assert {(job["status"], job["attempt"]) for job in ended} == {("Success", 1)}
        assert ends(server.database) == dict.fromkeys([running, *waiting], 1)


def test_a_worker_killed_before_it_has_read_its_jobs_loses_none(single: Server) -> None:
    (victim,) = single.worker_pids()
    with _stopped(victim):
        jobs = [single.submit("add", a=1) for _ in range(20)]
        wait_for(lambda: {single.get(job_id)["status"] for job_id in jobs} == {"Running"}, "their claims")
        os.kill(victim, signal.SIGKILL)
    ended = [single.result(job_id) for job_id in jobs]
    assert {(job["status"], job["attempt"]) for job in ended} == {("Success", 2)}
    assert ends(single.database) == dict.fromkeys(jobs, 1)


def test_a_worker_that_dies_with_a_returned_value_has_lost_the_attempt(single: Server, tmp_path: Path) -> None:
    job_id = single.submit("dies_after", runs=str(tmp_path / "runs"))
    job = single.result(job_id)
    assert (job["status"], job["attempt"], job["error"]["type"]) == ("Failure", 2, "WorkerLost")
    assert lines(tmp_path / "runs") == ["returned"] * 2
    assert ends(single.database) == {job_id: 1}


def test_an_outcome_that_nobody_had_recorded_when_its_worker_was_killed_is_recorded_once(
    single: Server, tmp_path: Path, gate: Gate
) -> None:
    started = tmp_path / "started"
    jobs = [single.submit("holds", started=str(started), gate=gate.path) for _ in range(20)]
    wait_for(lambda: len(lines(started)) == 20, "all jobs")
    (victim,) = single.worker_pids()
    with _stopped(single.process.pid):
        gate.open()
        wait_for(lambda: not _waits_for_a_lock(victim), "the functions' return")
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not alive(victim), "its end")
    ended = [single.result(job_id) for job_id in jobs]
    assert {job["status"] for job in ended} == {"Success"}
    assert sum(job["attempt"] for job in ended) == len(lines(started))
    assert ends(single.database) == dict.fromkeys(jobs, 1)


def _waits_for_a_lock(pid: int) -> bool:
    return f" {pid} " in "".join(line for line in lines(Path("/proc/locks")) if "->" in line)


def test_a_function_that_takes_all_memory_ends_its_job_and_no_other(single: Server, tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    neighbour = single.submit("holds", started=str(started), gate=gate.path)
    wait_for(lambda: lines(started), "the neighbour")
    for _ in range(3):
        job = single.result(single.submit("hoards", limit=16 << 20))
        assert job["status"] == "Failure"
        assert job["error"]["type"] in ("MemoryError", "WorkerLost")
    gate.open()
    assert single.result(neighbour)["results"] == "done"
    assert set(ends(single.database).values()) == {1}


def test_a_function_that_blocks_in_c_beyond_its_timeout_costs_its_process(single: Server, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    job_id = single.submit("blocks_in_c", runs=str(runs))
    job = single.result(job_id)
    assert (job["status"], job["attempt"], job["error"]["type"]) == ("Failure", 2, "Timeout")
    wait_for(lambda: not any(alive(int(pid)) for pid in lines(runs)), "the end of what is blocked")
    assert single.result(single.submit("add", a=1))["results"] == 2
    assert ends(single.database)[job_id] == 1


def test_a_job_beside_one_that_blocks_its_whole_process_runs_again(single: Server, tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    neighbour = single.submit("holds", started=str(started), gate=gate.path)
    wait_for(lambda: len(lines(started)) == 1, "the neighbour")
    single.submit("blocks_in_c", runs=str(tmp_path / "runs"))
    wait_for(lambda: len(lines(started)) == 2, "the neighbour's second attempt")
    gate.open()
    job = single.result(neighbour)
    assert (job["status"], job["attempt"]) == ("Success", 2)
    assert "worker stuck" in single.log.read_text()


def test_a_worker_stopped_beyond_a_deadline_comes_too_late_with_its_outcome(
    single: Server, tmp_path: Path, gate: Gate
) -> None:
    started, other_gate = tmp_path / "started", Gate(tmp_path / "other gate")
    neighbour = single.submit("holds", started=str(started), gate=gate.path)
    job_id = single.submit("holds_briefly", started=str(started), gate=other_gate.path)
    wait_for(lambda: len(lines(started)) == 2, "both jobs")
    (stopped,) = single.worker_pids()
    with _stopped(stopped):
        wait_for(lambda: "worker retired" in single.log.read_text(), "the deadline")
        other_gate.open()
        job = single.result(job_id)
        assert (job["status"], job["results"]) == ("Success", job["attempt"])
        assert job["attempt"] > 1
    gate.open()  # its process lives on for the neighbour, so the late outcome comes before the neighbour's
    assert single.result(neighbour)["attempt"] == 1
    assert single.get(job_id) == job
    assert ends(single.database) == {neighbour: 1, job_id: 1}


def test_a_cancel_that_races_the_outcome_wins_or_loses_and_says_which(server: Server) -> None:
    observe(server)

    def race(number: int) -> tuple[str, int]:
        job_id = server.submit("echo" if number % 2 else "echo_async", value=number)
        return job_id, server.client.post(f"/jobs/{job_id}/cancel").status_code

    with ThreadPoolExecutor(8) as pool:
        answers = dict(pool.map(race, range(400)))
    for job_id, status in answers.items():
        assert (status, server.result(job_id)["status"]) in [(200, "Canceled"), (409, "Success")]
    assert ends(server.database) == dict.fromkeys(answers, 1)
    assert server.result(server.submit("add", a=1))["results"] == 2


@contextmanager
def _full_disk(server: Server) -> Iterator[None]:
    """There is room for half a page more: a write breaks off as on a full disk, and no privilege is needed for it."""
    full = server.database.with_name("jobs.db-wal").stat().st_size + 2_000
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (full, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_loses_nothing_and_all_goes_on_when_there_is_room(
    server: Server, tmp_path: Path, gate: Gate
) -> None:
    observe(server)
    started = tmp_path / "started"
    jobs = [server.submit("holds", started=str(started), gate=gate.path) for _ in range(10)]
    jobs += [server.submit("add", a=1), server.submit("raises", message="before")]
    wait_for(lambda: len(lines(started)) == 10, "the jobs that run")
    assert [server.result(job_id)["status"] for job_id in jobs[10:]] == ["Success", "Failure"]
    with _full_disk(server):
        for size in [1, 100_000] * 5:
            answer = server.client.post("/jobs", json={"type": "echo", "value": "x" * size})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["message"].startswith("nothing can be saved at the moment")
        assert server.client.post(f"/jobs/{jobs[0]}/cancel").status_code == 503
        gate.open()
        wait_for(lambda: "not saved, trying again" in server.log.read_text(), "outcomes that cannot be saved")
        assert server.get(jobs[0])["status"] == "Running"
    ended = [server.result(job_id) for job_id in jobs[:10]]
    assert {(job["status"], job["attempt"]) for job in ended} == {("Success", 1)}
    jobs.append(server.submit("echo", value="x" * 100_000))
    assert server.result(jobs[-1])["status"] == "Success"
    assert ends(server.database) == dict.fromkeys(jobs, 1)
    assert server.stop() == 0
    assert is_sound(server.database)
