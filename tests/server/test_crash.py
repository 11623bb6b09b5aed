"""The server dies or is told to stop with jobs in flight, and is started again."""

import json
import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import httpx

from tests.server.conftest import Gate, alive, lines, wait_for
from tests.serving import FUNCTIONS, Server
from tests.witness import ends, observe


def test_a_killed_server_loses_no_job_that_it_accepted_and_ends_none_twice(server: Server) -> None:
    observe(server)
    accepted: list[str] = []

    def submit_until_refused(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while True:
                try:
                    answer = client.post("/jobs", json={"type": "add", "a": number})
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    accepted.append(answer.json()["jobId"])

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(submit_until_refused, number) for number in range(8)]
        wait_for(lambda: len(accepted) >= 500, "500 jobs")
        orphans = server.worker_pids()
        os.kill(server.process.pid, signal.SIGKILL)
        for client in clients:
            client.result()
    server.wait()
    wait_for(lambda: not any(alive(pid) for pid in orphans), "the end of the orphans")
    server.start()
    ended = [server.result(job_id) for job_id in accepted]
    assert len(set(accepted)) == len(accepted) >= 500
    assert {job["status"] for job in ended} == {"Success"}
    wait_for(lambda: set(ends(server.database).values()) == {1}, "those whose 202 did not leave")


def test_what_ran_when_the_server_was_killed_runs_again(server: Server, tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    jobs = [server.submit("holds", started=str(started), gate=gate.path) for _ in range(10)]
    wait_for(lambda: len(lines(started)) == 10, "all jobs")
    orphans = server.worker_pids()
    os.kill(server.process.pid, signal.SIGKILL)
    server.wait()
    wait_for(lambda: not any(alive(pid) for pid in orphans), "the end of the orphans")
    server.start()
    wait_for(lambda: len(lines(started)) == 20, "the second attempts")
    gate.open()
    ended = [server.result(job_id) for job_id in jobs]
    assert {(job["status"], job["attempt"]) for job in ended} == {("Success", 2)}


def test_a_server_that_is_stopped_lets_running_jobs_end(server: Server, tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    job_id = server.submit("holds", started=str(started), gate=gate.path)
    wait_for(lambda: lines(started), "the job")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in server.log.read_text(), "the signal")
    later = server.submit("add", a=1)
    assert server.get(later)["status"] == "Pending"
    gate.open()
    assert server.wait() == 0
    server.start()
    assert server.get(job_id)["results"] == "done"
    assert server.result(later)["attempt"] == 1


def test_a_second_signal_puts_running_jobs_back_at_once_and_costs_none_of_their_retries(
    server: Server, tmp_path: Path, gate: Gate
) -> None:
    started = tmp_path / "started"
    job_id = server.submit("holds", started=str(started), gate=gate.path)
    for attempt in (1, 2, 3, 4):
        wait_for(lambda attempt=attempt: len(lines(started)) == attempt, f"attempt {attempt}")  # type: ignore[misc]
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda attempt=attempt: server.log.read_text().count("stopping") == attempt, "the signal")  # type: ignore[misc]
        assert server.stop(signal.SIGINT if attempt % 2 else signal.SIGTERM) == 0
        assert _saved(server.database, job_id) == ("Pending", attempt + 1)
        server.start()
    wait_for(lambda: len(lines(started)) == 5, "the last attempt")
    gate.open()
    assert server.result(job_id)["status"] == "Success"


def test_a_stop_in_the_middle_of_submissions_costs_no_job_an_attempt(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--grace", "0", target=FUNCTIONS) as server:
        for _ in range(3):
            accepted: list[str] = []

            def submit_until_refused(url: str = server.url, accepted: list[str] = accepted) -> None:
                with httpx.Client(base_url=url, timeout=30) as client:
                    while True:
                        try:
                            answer = client.post("/jobs", json={"type": "once", "value": 1})
                        except httpx.TransportError:
                            return
                        if answer.status_code == 202:
                            accepted.append(answer.json()["jobId"])

            with ThreadPoolExecutor(4) as pool:
                clients = [pool.submit(submit_until_refused) for _ in range(4)]
                wait_for(lambda accepted=accepted: len(accepted) > 100, "100 jobs")  # type: ignore[misc]
                assert server.stop() == 0
                for client in clients:
                    client.result()
            server.start()
            assert {server.result(job_id)["status"] for job_id in accepted} == {"Success"}


def test_the_grace_period_ends_and_the_workers_with_it(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--grace", "0.2", target=FUNCTIONS) as server:
        job_id = server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
        wait_for(lambda: lines(tmp_path / "started"), "the job")
        workers = server.worker_pids()
        assert server.stop() == 0
        assert not any(alive(pid) for pid in workers)
        assert _saved(server.database, job_id) == ("Pending", 2)


def test_a_client_that_waits_is_answered_when_the_server_stops(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--grace", "0", target=FUNCTIONS) as server:
        job_id = server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
        wait_for(lambda: lines(tmp_path / "started"), "the job")
        waiting = HTTPConnection(server.url.removeprefix("http://"), timeout=70)
        waiting.request("GET", f"/jobs/{job_id}?wait=60")
        server.client.get("/healthz")  # sent later, so answered later than the other was read
        assert server.stop() == 0
        assert json.load(waiting.getresponse())["status"] in ("Pending", "Running")
        waiting.close()


def _saved(database: Path, job_id: str) -> tuple[str, int]:
    connection = sqlite3.connect(database)
    try:
        status, attempt = connection.execute("SELECT status, attempt FROM job WHERE job_id = ?", (job_id,)).fetchone()
        return status, attempt
    finally:
        connection.close()
