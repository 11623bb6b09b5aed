"""What keeps a server bounded: waiting jobs, kept jobs, page sizes."""

import sqlite3
from pathlib import Path

import pytest

from tests.server.conftest import Gate, lines, wait_for
from tests.serving import FUNCTIONS, Server


def test_too_many_waiting_jobs_are_refused_until_there_is_room(tmp_path: Path, gate: Gate) -> None:
    arguments = ("--workers", "1", "--concurrency", "1", "--max-pending", "2")
    with Server(tmp_path / "jobs.db", *arguments, target=FUNCTIONS) as server:
        started = tmp_path / "started"
        jobs = [server.submit("holds", started=str(started), gate=gate.path)]
        wait_for(lambda: lines(started), "the first job")
        jobs += [server.submit("add", a=1) for _ in range(2)]
        for _ in range(3):
            answer = server.client.post("/jobs", json={"type": "add", "a": 1})
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "1"
            assert "2 jobs are waiting" in answer.json()["message"]
        assert server.client.post(f"/jobs/{jobs[-1]}/cancel").status_code == 200
        jobs.append(server.submit("add", a=1))
        assert server.client.post("/jobs", json={"type": "add", "a": 1}).status_code == 429
        assert server.client.post(f"/jobs/{jobs[-2]}/retry").status_code == 429
        gate.open()
        ended = [server.result(job_id)["status"] for job_id in jobs]
        assert ended == ["Success", "Success", "Canceled", "Success"]
        assert server.client.post(f"/jobs/{jobs[-2]}/retry").status_code == 202
        assert server.result(jobs[-2])["results"] == 2


def test_jobs_that_wait_for_a_time_have_a_limit_of_their_own(tmp_path: Path, gate: Gate) -> None:
    arguments = ("--workers", "1", "--concurrency", "1", "--max-pending", "1", "--max-scheduled", "2")
    with Server(tmp_path / "jobs.db", *arguments, target=FUNCTIONS) as server:
        started = tmp_path / "started"
        jobs = [server.submit("holds", started=str(started), gate=gate.path)]
        wait_for(lambda: lines(started), "the first job")
        later = [server.submit("add", a=1, options={"delay": "1h"}) for _ in range(2)]
        for _ in range(2):  # the ordinary way, and the fast one
            answer = server.client.post("/jobs", json={"type": "add", "a": 1, "options": {"delay": 1}})
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert "2 jobs are waiting for their time" in answer.json()["message"]
        jobs.append(server.submit("add", a=1, options={"delay": 0, "priority": 1}))
        answer = server.client.post("/jobs", json={"type": "add", "a": 1})
        assert answer.status_code == 429 and "1 jobs are waiting already" in answer.json()["message"]
        metrics = server.client.get("/metrics").text
        for line in ("asyncjob_scheduled 2.0", "asyncjob_scheduled_limit 2.0", "asyncjob_waiting 1.0"):
            assert line in metrics.splitlines()
        assert server.client.post(f"/jobs/{later[0]}/run-now").status_code == 202
        later.append(server.submit("add", a=1, options={"runAt": "2099-01-01T00:00:00Z"}))
        gate.open()
        assert {server.result(job_id)["status"] for job_id in [*jobs, later[0]]} == {"Success"}
        server.stop()
        server.start()
        assert "asyncjob_scheduled 2.0" in server.client.get("/metrics").text
        assert {server.get(job_id)["status"] for job_id in later[1:]} == {"Pending"}


def test_the_same_request_again_takes_no_room(tmp_path: Path, gate: Gate) -> None:
    arguments = ("--workers", "1", "--concurrency", "1", "--max-pending", "5")
    with Server(tmp_path / "jobs.db", *arguments, target=FUNCTIONS) as server:
        server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
        wait_for(lambda: lines(tmp_path / "started"), "the first job")
        for _ in range(20):
            server.submit("add", a=1, jobId="same")
        for _ in range(4):
            server.submit("add", a=1)
        assert server.client.post("/jobs", json={"type": "add", "a": 1}).status_code == 429


def test_waiting_jobs_are_counted_again_when_the_server_starts(tmp_path: Path, gate: Gate) -> None:
    arguments = ("--workers", "1", "--concurrency", "1", "--max-pending", "2", "--grace", "0")
    with Server(tmp_path / "jobs.db", *arguments, target=FUNCTIONS) as server:
        server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
        wait_for(lambda: lines(tmp_path / "started"), "the first job")
        for _ in range(2):
            server.submit("add", a=1)
        server.stop()
        server.start()
        wait_for(lambda: len(lines(tmp_path / "started")) == 2, "the first job again")
        assert server.client.post("/jobs", json={"type": "add", "a": 1}).status_code == 429


def test_final_jobs_are_deleted_once_they_are_older_than_asked_and_no_others(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        server.stop()
        with sqlite3.connect(server.database) as connection:
            connection.executemany(
                "INSERT INTO job"
                " (job_id, type, status, parameters, results, due_at, created_at, started_at, finished_at)"
                " VALUES (?, 'add', ?, '{\"a\": 1}', ?, ?, ?, ?, ?)",
                [(f"old-{number}", "Success", "2", None, *["2024-06-06T12:34:56.789Z"] * 3) for number in range(1_200)]
                + [("parked", "Pending", None, None, "2024-06-06T12:34:56.789Z", None, None)]
                + [("late", "Success", "2", None, *["2024-06-06T12:34:56.789Z"] * 2, "2999-06-06T12:34:56.789Z")],
            )
            connection.execute("UPDATE job SET type = 'gone' WHERE job_id = 'parked'")
        connection.close()
        server.start()
        new = server.submit("add", a=1)
        server.result(new)
        assert len(server.client.get("/jobs?limit=1000").json()["jobs"]) == 1_000
        server.stop()
    with Server(tmp_path / "jobs.db", "--keep", "1w", target=FUNCTIONS) as server:
        wait_for(lambda: "purged jobs=1200" in server.log.read_text(), "the purge")
        left = server.client.get("/jobs?limit=1000").json()["jobs"]
        assert [job["jobId"] for job in left] == [new, "late", "parked"]


@pytest.mark.parametrize("size", [1_000_000])
def test_a_page_of_large_jobs_ends_early_and_the_next_goes_on(server: Server, size: int) -> None:
    jobs = [server.submit("large", size=size) for _ in range(11)]
    for job_id in jobs:
        server.result(job_id)
    seen: list[str] = []
    query, pages = "limit=1000", 0
    while query:
        page = server.client.get(f"/jobs?{query}").json()
        assert len(page["jobs"]) * size < 6_000_000
        seen += [job["jobId"] for job in page["jobs"]]
        query = f"limit=1000&cursor={page['next']}" if "next" in page else ""
        pages += 1
    assert seen == jobs[::-1]
    assert pages == 3
