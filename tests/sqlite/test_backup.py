"""A backup that is made under load is whole, and can be served."""

import os
import pty
import sqlite3
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from asyncjob.sqlite.backup import BackupError, backup
from asyncjob.sqlite.database import Database
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import COMMAND, FUNCTIONS, Server


def back_up(database: Path, file: Path) -> "subprocess.CompletedProcess[str]":
    command = [str(COMMAND), "backup", str(file), "--database", str(database)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


class Load:
    """Clients that submit jobs until they are stopped, and know which were answered with 202."""

    def __init__(self, server: Server, clients: int) -> None:
        self.accepted: list[str] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._submit, args=[server.url]) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _submit(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._stopped.is_set():
                answer = client.post("/jobs", json={"type": "echo", "value": "x" * 2_000})
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["jobId"])

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def test_a_backup_under_load_has_every_job_that_was_accepted_before_it(server: Server, tmp_path: Path) -> None:
    load = Load(server, clients=4)
    copies = [tmp_path / f"copy-{number}.db" for number in range(3)]
    try:
        for number, copy in enumerate(copies, start=1):
            wait_for(lambda: len(load.accepted) > 300 * number, "submissions")  # noqa: B023
            before = list(load.accepted)
            done = back_up(server.database, copy)
            assert done.returncode == 0, done.stderr
            assert len(load.accepted) > len(before)
            with sqlite3.connect(copy) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert set(before) <= {row[0] for row in connection.execute("SELECT job_id FROM job")}
            connection.close()
    finally:
        load.stop()
    with Server(copies[-1], target=FUNCTIONS) as restored:
        for job_id in before:
            assert restored.result(job_id)["results"] == "x" * 2_000
    assert all(server.result(job_id)["status"] == "Success" for job_id in load.accepted)


def test_a_commit_between_two_steps_is_not_in_the_copy_and_does_not_begin_it_again(tmp_path: Path) -> None:
    Database(tmp_path / "jobs.db").close()
    writer = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    insert = "INSERT INTO job (job_id, type, status, parameters, created_at) VALUES (?, 'echo', 'Pending', ?, '')"
    writer.executemany(insert, [(f"before-{number}", "x" * 1_000_000) for number in range(30)])
    told: list[int] = []

    def progress(copied: int, pages: int) -> None:
        writer.execute(insert, (f"after-{copied}", "x"))
        told.append(copied)

    backup(tmp_path / "jobs.db", tmp_path / "copy.db", progress)
    assert len(told) > 5
    assert told == sorted(set(told))
    with sqlite3.connect(tmp_path / "copy.db") as connection:
        assert connection.execute("SELECT count(*) FROM job").fetchone() == (30,)
    connection.close()
    writer.close()


def test_what_ran_while_it_was_copied_runs_again_on_the_copy(server: Server, tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    job_id = server.submit("holds", started=str(started), gate=gate.path)
    wait_for(lambda: lines(started), "its start")
    copy = tmp_path / "copy.db"
    assert back_up(server.database, copy).returncode == 0
    gate.open()
    with Server(copy, target=FUNCTIONS) as restored:
        assert restored.result(job_id)["attempt"] == 2
    assert server.result(job_id)["attempt"] == 1


def test_a_file_whose_server_was_killed_can_be_copied(server: Server, tmp_path: Path) -> None:
    job_id = server.submit("add", a=1)
    server.result(job_id)
    server.stop(9)
    copy = tmp_path / "copy.db"
    done = back_up(server.database, copy)
    assert done.stdout == f"{server.database} is copied to {copy}: {copy.stat().st_size:,} bytes\n"
    assert done.stderr == ""
    with Server(copy, target=FUNCTIONS) as restored:
        assert restored.get(job_id)["results"] == 2


def test_a_backup_is_for_its_owner_alone_and_leaves_nothing_else(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    assert back_up(server.database, folder / "copy.db").returncode == 0
    assert [file.name for file in folder.iterdir()] == ["copy.db"]
    assert (folder / "copy.db").stat().st_mode & 0o777 == 0o600


def test_a_backup_overwrites_nothing(server: Server, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("mine")
    done = back_up(server.database, there)
    assert (done.returncode, done.stderr) == (1, f"asyncjob: {there} exists already: choose another name\n")
    assert there.read_text() == "mine"


@pytest.mark.parametrize("kind", ["missing", "foreign", "text"])
def test_what_is_no_database_of_ours_is_not_copied(tmp_path: Path, kind: str) -> None:
    database = tmp_path / "given.db"
    if kind == "foreign":
        with sqlite3.connect(database) as connection:
            connection.execute("CREATE TABLE mine (value)")
        connection.close()
    elif kind == "text":
        database.write_text("my diary\n" * 100)
    before = sorted(tmp_path.iterdir())
    done = back_up(database, tmp_path / "copy.db")
    assert done.returncode == 1
    assert done.stderr.startswith("asyncjob: ")
    assert str(database) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("part", ["-wal", "-shm", "-journal"])
def test_what_stands_in_for_a_part_of_the_database_is_left_alone(tmp_path: Path, part: str) -> None:
    Database(tmp_path / "jobs.db").close()
    os.mkfifo(tmp_path / f"jobs.db{part}")
    with pytest.raises(BackupError, match="no ordinary file"):
        backup(tmp_path / "jobs.db", tmp_path / "copy.db", lambda copied, pages: None)
    assert not (tmp_path / "copy.db").exists()


def test_a_folder_that_is_not_there_is_one_clear_line(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "copy.db"
    done = back_up(server.database, file)
    assert (done.returncode, done.stderr) == (1, f"asyncjob: cannot write {file}: No such file or directory\n")


def test_a_disk_that_fills_up_leaves_no_half_of_a_copy(server: Server, tmp_path: Path) -> None:
    for _ in range(20):
        server.submit("echo", value="x" * 100_000)
    copy = tmp_path / "copy.db"
    command = f"ulimit -f 500; exec {COMMAND} backup {copy} --database {server.database}"
    done = subprocess.run(["bash", "-c", f"trap '' XFSZ; {command}"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert done.stderr.startswith(f"asyncjob: cannot copy {server.database}: ")
    assert not copy.exists()
    assert not list(tmp_path.glob(".copy.db*"))


def test_progress_is_shown_on_a_terminal(server: Server, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [str(COMMAND), "backup", str(tmp_path / "copy.db"), "--database", str(server.database)]
    subprocess.run(command, stderr=theirs, check=True, timeout=100)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 1_000):
            shown += part
    except OSError:  # the other end is closed, and all is read
        pass
    os.close(ours)
    assert b"100%" in shown
