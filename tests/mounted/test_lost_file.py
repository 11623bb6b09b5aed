"""The database is taken away from an application that goes on: nothing is accepted that would be lost."""

import os
from pathlib import Path

from tests.mounted.hosted import Hosted
from tests.server.conftest import wait_for


def _submit(host: Hosted, job_id: str) -> int:
    return host.client.post("/work/jobs", json={"type": "add", "a": 1, "jobId": job_id}).status_code


def test_a_database_that_is_gone_is_missed_until_it_is_back(tmp_path: Path) -> None:
    database, away = tmp_path / "jobs.db", tmp_path / "away.db"
    with Hosted(database) as owner, Hosted(database) as follower:
        assert _submit(owner, "before") == 202
        assert owner.client.get("/work/jobs/before?wait=30").json()["status"] == "Success"
        database.rename(away)
        owner.wait_for("the database is lost")
        wait_for(lambda: database.with_name("jobs.db-wal").stat().st_size == 0, "the store to be closed")
        with Hosted(database) as late:
            late.wait_for("following the owner")
            hosts = (owner, follower, late)
            for host in hosts:
                answer = host.client.post("/work/jobs", json={"type": "add", "a": 1, "jobId": "meanwhile"})
                assert answer.status_code == 503
                assert "was moved, deleted or replaced" in answer.json()["message"]
            assert not database.exists()
            os.replace(away, database)
            for number, host in enumerate(hosts):
                wait_for(lambda: _submit(host, f"after-{number}") == 202, "the database to be back")  # noqa: B023
                assert host.client.get("/work/jobs/before").json()["status"] == "Success"
                assert host.client.get("/work/jobs/meanwhile").status_code == 404


def test_an_empty_file_in_its_place_is_not_served(tmp_path: Path) -> None:
    database, away = tmp_path / "jobs.db", tmp_path / "away.db"
    with Hosted(database) as host:
        assert _submit(host, "before") == 202
        database.rename(away)
        database.touch()
        host.wait_for("is not available.*is empty")
        assert _submit(host, "meanwhile") == 503
        assert database.stat().st_size == 0
        os.replace(away, database)
        wait_for(lambda: _submit(host, "after") == 202, "the database to be back")
        assert host.client.get("/work/jobs/before?wait=30").json()["status"] == "Success"


def test_an_application_whose_database_is_lost_can_be_stopped(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db") as host:
        (tmp_path / "jobs.db").unlink()
        host.wait_for("the database is lost")
        host.stop()
        assert "Application shutdown complete" in host.log
