"""A job that ends its process pays for it, and no other: neither those beside it, nor those of another worker."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import alive, lines, wait_for
from tests.serving import PatchedServer, Server

IMPATIENT = """
from asyncjob.cli import app
from asyncjob.server.workers import standstill

standstill.STANDSTILL_SECONDS = 0.3
app()
"""
DEADLY = str(Path(__file__).parent.parent / "deadly.py")


@pytest.fixture
def deadly(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "jobs.db", "--workers", "2", target=DEADLY) as server:
        yield server


def _submit_healthy(server: Server, folder: Path, count: int, type: str = "healthy") -> list[str]:
    """Submit healthy jobs, and wait until they run."""
    started = folder / "started"
    ids = [server.submit(type, started=str(started), gate=str(folder / "gate")) for _ in range(count)]
    wait_for(lambda: len(lines(started)) == count, "the healthy jobs")
    return ids


def _settle(server: Server, guilty: list[str], seconds: float = 110) -> list[dict[str, Any]]:
    """The guilty jobs, once they are final."""
    deadline = time.monotonic() + seconds
    while any("finishedAt" not in server.get(job_id) for job_id in guilty):
        assert time.monotonic() < deadline, server.log.read_text()[-5_000:]
        time.sleep(0.1)
    return [server.get(job_id) for job_id in guilty]


def _open(folder: Path) -> None:
    (folder / "gate").touch()


def test_jobs_that_kill_their_worker_are_failures_and_all_beside_them_are_not(deadly: Server, tmp_path: Path) -> None:
    healthy = _submit_healthy(deadly, tmp_path, 6)
    guilty = _settle(deadly, [deadly.submit("poison") for _ in range(8)])
    _open(tmp_path)
    assert {deadly.result(job_id)["results"] for job_id in healthy} == {"done"}
    assert {(job["status"], job["error"]["type"], job["error"]["message"]) for job in guilty} == {
        ("Failure", "WorkerLost", "the worker died (exit status 3); this job ran alone in it")
    }


@pytest.mark.parametrize(("type", "count"), [("healthy_async", 400), ("healthy", 100)])
def test_one_poison_among_many_is_found_and_the_others_succeed(
    deadly: Server, tmp_path: Path, type: str, count: int
) -> None:
    healthy = _submit_healthy(deadly, tmp_path, count, type)
    (job,) = _settle(deadly, [deadly.submit("poison_async")])
    assert (job["status"], job["error"]["message"]) == (
        "Failure",
        "the worker died (signal 11); this job ran alone in it",
    )
    _open(tmp_path)
    ended = [deadly.result(job_id) for job_id in healthy]
    assert {job["status"] for job in ended} == {"Success"}
    halvings = (count // 2).bit_length() + 1
    assert max(job["attempt"] for job in ended) <= 1 + halvings
    assert deadly.result(deadly.submit("healthy", started=str(tmp_path / "later"), gate=str(tmp_path / "gate")))


def test_two_poisons_that_take_their_time_are_both_found(deadly: Server, tmp_path: Path) -> None:
    healthy = _submit_healthy(deadly, tmp_path, 40)
    guilty = _settle(deadly, [deadly.submit("poison_async", after=after) for after in (0.5, 1)])
    _open(tmp_path)
    assert {(job["status"], job["error"]["type"]) for job in guilty} == {("Failure", "WorkerLost")}
    assert {deadly.result(job_id)["status"] for job_id in healthy} == {"Success"}


def test_an_attempt_that_was_not_alone_costs_no_retry(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=DEADLY) as server:
        _submit_healthy(server, tmp_path, 3)
        job = server.result(server.submit("poison_at_once"))
        assert job["error"]["message"].endswith("this job ran alone in it")
        attempts = server.client.get(f"/jobs/{job['jobId']}/attempts").json()["attempts"]
        assert [attempt["status"] for attempt in attempts] == ["Pending"] * (len(attempts) - 1) + ["Failure"]
        assert attempts[0]["error"] == {
            "type": "WorkerLost",
            "message": "the worker died (exit status 3) with 4 jobs in it; which ended it is not known",
        }
        _open(tmp_path)


def test_a_canceled_suspect_does_not_run_again(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=DEADLY) as server:
        healthy = _submit_healthy(server, tmp_path, 6)
        os.kill(int(lines(tmp_path / "started")[0]), signal.SIGKILL)
        canceled = [job_id for job_id in healthy[::2] if server.client.post(f"/jobs/{job_id}/cancel")]
        _open(tmp_path)
        assert {server.result(job_id)["status"] for job_id in healthy[1::2]} == {"Success"}
        assert {server.get(job_id)["status"] for job_id in canceled} == {"Canceled"}
        wait_for(lambda: len(server.worker_pids()) == 1, "the end of the suspects' processes")


def test_a_server_that_is_killed_in_the_middle_goes_on_with_its_suspects(deadly: Server, tmp_path: Path) -> None:
    healthy = _submit_healthy(deadly, tmp_path, 30)
    guilty = [deadly.submit("poison_async", after=0.3) for _ in range(2)]
    wait_for(lambda: deadly.log.read_text().count("worker ended") >= 3, "a few deaths")
    os.kill(deadly.process.pid, signal.SIGKILL)
    deadly.wait()
    deadly.start()
    ended = _settle(deadly, guilty)
    assert {job["error"]["type"] for job in ended} == {"WorkerLost"}
    _open(tmp_path)
    assert {deadly.result(job_id)["status"] for job_id in healthy} == {"Success"}


def test_a_server_that_is_stopped_in_the_middle_goes_on_with_its_suspects(deadly: Server, tmp_path: Path) -> None:
    healthy = _submit_healthy(deadly, tmp_path, 10)
    guilty = [deadly.submit("poison_async", after=0.3)]
    wait_for(lambda: deadly.log.read_text().count("worker ended") >= 2, "two deaths")
    deadly.process.send_signal(signal.SIGTERM)
    deadly.process.send_signal(signal.SIGTERM)
    assert deadly.wait() == 0
    deadly.start()
    _settle(deadly, guilty)
    _open(tmp_path)
    assert {deadly.result(job_id)["status"] for job_id in healthy} == {"Success"}


def _kill_while_it_runs(server: Server, job_id: str, started: Path, attempt: int) -> None:
    wait_for(lambda: len(lines(started)) >= attempt, f"attempt {attempt}")
    assert server.get(job_id)["attempt"] == attempt
    os.kill(server.process.pid, signal.SIGKILL)
    server.wait()
    server.start()


def test_restarts_of_a_killed_server_make_no_healthy_job_a_failure(deadly: Server, tmp_path: Path) -> None:
    healthy = _submit_healthy(deadly, tmp_path, 1)
    for attempt in range(1, 7):
        _kill_while_it_runs(deadly, healthy[0], tmp_path / "started", attempt)
    _open(tmp_path)
    job = deadly.result(healthy[0])
    assert (job["status"], job["attempt"]) == ("Success", 7)


def test_a_job_that_ends_the_server_each_time_is_a_failure_and_those_beside_it_are_not(
    deadly: Server, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    beside = _submit_healthy(deadly, tmp_path, 3)
    guilty = deadly.submit("healthy", started=str(tmp_path / "guilty"), gate=str(tmp_path / "never"))
    for attempt in range(1, 11):
        if attempt == 6:  # from now on those that were interrupted so often begin one after the other
            _open(tmp_path)
            assert {deadly.result(job_id)["status"] for job_id in beside} == {"Success"}
        _kill_while_it_runs(deadly, guilty, tmp_path / "guilty", attempt)
    job = deadly.result(guilty)
    assert (job["status"], job["attempt"]) == ("Failure", 10)
    assert job["error"] == {"type": "WorkerLost", "message": "the server ended while the job ran, 10 times in all"}
    assert len(lines(started)) == 3 * 6


@pytest.mark.parametrize("kind", ["length", "noise", "text", "run", "results", "bytes", "error", "progress", "line"])
def test_a_worker_that_talks_nonsense_costs_that_worker_alone(deadly: Server, tmp_path: Path, kind: str) -> None:
    healthy = _submit_healthy(deadly, tmp_path, 4)
    (job,) = _settle(deadly, [deadly.submit("forges", kind=kind)])
    assert (job["status"], job["error"]["type"]) == ("Failure", "WorkerLost")
    _open(tmp_path)
    assert {deadly.result(job_id)["status"] for job_id in healthy} == {"Success"}
    assert "nonsense=" in deadly.log.read_text()


def test_what_a_worker_tells_of_attempts_that_it_does_not_run_changes_nothing(deadly: Server, tmp_path: Path) -> None:
    others = _submit_healthy(deadly, tmp_path, 2)
    answers = [deadly.result(deadly.submit("tells_of_others", others=["nobody", "else"])) for _ in range(4)]
    assert {job["results"] for job in answers} == {"told"}
    assert {deadly.get(job_id)["status"] for job_id in others} == {"Running"}
    assert "asyncjob_worker_messages_ignored_total 48.0" in deadly.client.get("/metrics").text
    _open(tmp_path)
    assert {deadly.result(job_id)["results"] for job_id in others} == {"done"}
    assert "of another's" not in deadly.log.read_text()


HOWS = ["child", "cleared", "session", "thread", "orphan"]


@pytest.mark.parametrize("how", HOWS)
def test_what_a_job_has_started_ends_with_its_lost_attempt(deadly: Server, tmp_path: Path, how: str) -> None:
    pids = tmp_path / "pids"
    assert deadly.result(deadly.submit("starts_and_dies", pids=str(pids), how=how))["status"] == "Failure"
    _all_end(pids)


@pytest.mark.parametrize("how", HOWS)
def test_what_a_job_has_started_ends_with_a_worker_that_is_retired(deadly: Server, tmp_path: Path, how: str) -> None:
    pids = tmp_path / "pids"
    assert deadly.result(deadly.submit("starts_and_overruns", pids=str(pids), how=how))["status"] == "Failure"
    _all_end(pids)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_job_has_started_ends_with_the_server(tmp_path: Path, how: str, signum: signal.Signals) -> None:
    with Server(tmp_path / "jobs.db", "--grace", "0", target=DEADLY) as server:
        pids = tmp_path / "pids"
        server.submit("starts_and_waits", pids=str(pids), how=how, gate=str(tmp_path / "never"))
        wait_for(lambda: lines(pids), "its process")
        server.process.send_signal(signum)
        server.wait()
        _all_end(pids)


def _all_end(pids: Path) -> None:
    assert lines(pids)
    wait_for(lambda: not any(alive(int(pid)) for pid in lines(pids)), "the end of what the job had started")


def test_a_cancel_frees_the_place_of_a_job_that_does_not_hear_of_it(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--concurrency", "1", target=DEADLY) as server:
        (stuck,) = _submit_healthy(server, tmp_path, 1)
        waiting = server.submit("healthy", started=str(tmp_path / "second"), gate=str(tmp_path / "second"))
        assert server.client.post(f"/jobs/{stuck}/cancel").json()["status"] == "Canceled"
        assert server.result(waiting)["status"] == "Success"


def test_a_standstill_is_said_and_only_where_jobs_wait_for_a_place(tmp_path: Path) -> None:
    with PatchedServer(tmp_path / "jobs.db", IMPATIENT, "--concurrency", "2", target=DEADLY) as server:
        _submit_healthy(server, tmp_path, 1)
        waits = "all places are taken and no job has ended for a while"
        server.submit("healthy", started=str(tmp_path / "second"), gate=str(tmp_path / "gate"))
        assert waits not in server.log.read_text()
        server.submit("healthy", started=str(tmp_path / "third"), gate=str(tmp_path / "gate"))
        wait_for(lambda: waits in server.log.read_text(), "the warning")
        _open(tmp_path)


def test_a_worker_has_none_of_the_servers_secrets(tmp_path: Path) -> None:
    secrets = {"ASYNCJOB_API_KEY": "a-key-of-some-length", "ASYNCJOB_NOTIFY_SECRET": "whsec_" + "A" * 44}
    with Server(tmp_path / "jobs.db", target=DEADLY, env=secrets) as server:
        wait_for(lambda: "worker ready" in server.log.read_text(), "a worker")
        (worker, *_) = server.worker_pids()
        environment = Path(f"/proc/{worker}/environ").read_text()
        assert "ASYNCJOB_WORKER=" in environment
        assert not any(name in environment or value in environment for name, value in secrets.items())
