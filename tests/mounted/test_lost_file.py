"""The database is taken away from an application that goes on: nothing is accepted that would be lost."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounted.hosted import Hosted
from tests.server.conftest import wait_for


def _submit(host: Hosted, job_id: str) -> int:
    return host.client.post("/work/jobs", json={"type": "add", "a": 1, "jobId": job_id}).status_code


def _truncated(database: Path) -> None:
    database.rename(database.with_name("away.db"))
    database.touch()


def _moved(database: Path) -> None:
    database.rename(database.with_name("away.db"))


@pytest.mark.parametrize("take_away", [_moved, _truncated])
def test_a_database_that_is_gone_is_missed_until_it_is_back(tmp_path: Path, take_away: Callable[[Path], None]) -> None:
    database = tmp_path / "jobs.db"
    with Hosted(database) as owner, Hosted(database) as follower:
        assert _submit(owner, "before") == 202
        assert owner.client.get("/work/jobs/before?wait=30").json()["status"] == "Success"
        take_away(database)
        for host in (owner, follower):
            host.wait_for("is not available.*(No such file|is empty)")
            assert _submit(host, "meanwhile") == 503
        assert not database.exists() or database.stat().st_size == 0
        os.replace(tmp_path / "away.db", database)
        for number, host in enumerate((owner, follower)):
            wait_for(lambda: _submit(host, f"after-{number}") == 202, "the database to be back")  # noqa: B023
            assert host.client.get("/work/jobs/before").json()["status"] == "Success"
            assert host.client.get("/work/jobs/meanwhile").status_code == 404
