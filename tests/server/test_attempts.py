"""What is kept of the attempts that were followed by another, and of files from before they were kept."""

import sqlite3
from pathlib import Path

from asyncjob.sqlite.database import Database
from asyncjob.sqlite.statements import MIGRATIONS
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import FUNCTIONS, Server


def _attempts(server: Server, job_id: str) -> list[dict[str, object]]:
    attempts: list[dict[str, object]] = server.client.get(f"/jobs/{job_id}/attempts").json()["attempts"]
    return attempts


def _kept(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        (count,) = connection.execute("SELECT count(*) FROM attempt").fetchone()
    connection.close()
    return int(count)


def test_a_lost_attempt_is_kept_with_its_error(server: Server, tmp_path: Path) -> None:
    job_id = server.submit("dies", runs=str(tmp_path / "runs"))
    job = server.result(job_id)
    first, second = _attempts(server, job_id)
    assert first["error"] == {
        "type": "WorkerLost",
        "message": "the worker died (exit status 7); this job ran alone in it",
    }
    assert (first["attempt"], first["status"]) == (1, "Failure")
    assert str(first["startedAt"]) <= str(first["finishedAt"]) <= str(second["startedAt"])
    assert second == {name: job[name] for name in ("attempt", "status", "startedAt", "finishedAt", "error")}


def test_an_attempt_that_was_put_back_is_kept_as_that(tmp_path: Path, gate: Gate) -> None:
    with Server(tmp_path / "jobs.db", "--grace", "0", target=FUNCTIONS) as server:
        job_id = server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
        wait_for(lambda: lines(tmp_path / "started"), "the job")
        server.stop()
        gate.open()
        server.start()
        server.result(job_id)
        assert [(one["attempt"], one["status"]) for one in _attempts(server, job_id)] == [
            (1, "Pending"),
            (2, "Success"),
        ]


def test_a_job_that_succeeds_at_once_writes_no_attempt(server: Server) -> None:
    job_id = server.submit("add", a=1)
    server.result(job_id)
    assert len(_attempts(server, job_id)) == 1
    assert _kept(server.database) == 0


def test_attempts_are_told_in_pages(server: Server) -> None:
    job_id = server.submit("add", a=1)
    for _ in range(4):
        server.result(job_id)
        server.client.post(f"/jobs/{job_id}/retry").raise_for_status()
    server.result(job_id)
    pages, cursor = [], "0"
    while cursor:
        page = server.client.get(f"/jobs/{job_id}/attempts?limit=2&cursor={cursor}").json()
        pages.append([one["attempt"] for one in page["attempts"]])
        cursor = page.get("next")
    assert pages == [[1, 2], [3, 4], [5]]
    assert [one["attempt"] for one in _attempts(server, job_id)] == [1, 2, 3, 4, 5]
    assert server.client.get(f"/jobs/{job_id}/attempts?limit=0").status_code == 400
    assert server.client.get(f"/jobs/{job_id}/deliveries?cursor=x").status_code == 400


def test_attempts_are_deleted_with_their_job(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--keep", "1s", target=FUNCTIONS) as server:
        job_id = server.submit("dies", runs=str(tmp_path / "runs"))
        server.result(job_id)
        wait_for(lambda: server.client.get(f"/jobs/{job_id}").status_code == 404, "the purge")
        assert _kept(server.database) == 0


TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def test_a_file_of_the_first_schema_is_upgraded_with_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:  # as the first version left it
        connection.executescript(
            "".join(f"DROP TABLE {name};" for (name,) in connection.execute(TABLES))
            + "PRAGMA user_version = 1;"
            + MIGRATIONS[0]
        )
        connection.execute(
            "INSERT INTO job (job_id, type, status, parameters, created_at, started_at, finished_at, results)"
            " VALUES ('old', 'add', 'Success', '{\"a\":1}', :now, :now, :now, '2')",
            {"now": "2024-06-06T12:34:56.789Z"},
        )
    connection.close()
    with Server(path, target=FUNCTIONS) as server:
        assert server.get("old")["results"] == 2
        assert server.client.post("/jobs/old/retry").status_code == 202
        server.result("old")
        first, _ = _attempts(server, "old")
        assert first == {
            "attempt": 1,
            "status": "Success",
            "startedAt": "2024-06-06T12:34:56.789Z",
            "finishedAt": "2024-06-06T12:34:56.789Z",
        }
