"""Which file a server holds: nobody else's, one at a time, for its owner alone, and no longer than it is there."""

import itertools
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from asyncjob.sqlite import database
from asyncjob.sqlite.backup import BackupError, backup
from asyncjob.sqlite.database import Database
from asyncjob.store import Unusable
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import COMMAND, Server


def _jobs(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in connection.execute("SELECT job_id FROM job")}


def _copy(server: Server) -> Path:
    copy = server.database.with_name("copy.db")
    run = [str(COMMAND), "backup", str(copy), "--database", str(server.database)]
    subprocess.run(run, check=True, capture_output=True)
    return copy


def _move(server: Server) -> None:
    server.database.rename(server.database.with_name("moved.db"))


def _move_all(server: Server) -> None:
    folder = server.database.with_name("broken")
    folder.mkdir()
    for file in [file for file in server.database.parent.iterdir() if file.name.startswith("jobs.db")]:
        file.rename(folder / file.name)


def _replace(server: Server) -> None:
    _copy(server).rename(server.database)


def _write_over(server: Server) -> None:
    shutil.copyfile(_copy(server), server.database)


def _unlink_wal(server: Server) -> None:
    Path(f"{server.database}-wal").unlink()


def _replace_wal(server: Server) -> None:
    _unlink_wal(server)
    Path(f"{server.database}-wal").write_text("another's")


@pytest.mark.parametrize(
    ("harm", "kept"),
    [
        (lambda server: server.database.unlink(), None),
        (lambda server: os.truncate(server.database, 0), None),
        (_write_over, None),
        (_move, "moved.db"),
        (_move_all, "broken/jobs.db"),
        (_replace, "jobs.db"),
        (_unlink_wal, "jobs.db"),
        (_replace_wal, None),
    ],
    ids=["deleted", "emptied", "written over", "moved", "moved with all", "replaced", "wal deleted", "wal replaced"],
)
def test_a_server_whose_file_is_gone_accepts_nothing_more_and_keeps_what_can_be_kept(
    server: Server, harm: Callable[[Server], None], kept: str | None
) -> None:
    accepted = {server.submit("add", a=number) for number in range(20)}
    for job_id in accepted:
        server.result(job_id)
    harm(server)
    assert server.wait() == 1
    log = server.log.read_text()
    assert "the database is lost" in log
    assert log.splitlines()[-1].startswith(("asyncjob: ", "20"))
    assert "Traceback" not in log
    if kept is not None:
        assert _jobs(server.database.parent / kept) == accepted
    if harm is _replace_wal:
        assert Path(f"{server.database}-wal").read_text() == "another's"


def test_while_such_a_server_stops_it_refuses_what_is_new_and_lets_end_what_runs(
    server: Server, tmp_path: Path, gate: Gate
) -> None:
    started = tmp_path / "started"
    running = server.submit("holds", started=str(started), gate=gate.path)
    wait_for(lambda: lines(started), "its start")
    server.database.rename(tmp_path / "moved.db")
    wait_for(lambda: server.client.post("/jobs", json={"type": "add", "a": 1}).status_code == 503, "the refusal")
    gate.open()
    assert server.wait() == 1
    with closing(sqlite3.connect(tmp_path / "moved.db")) as connection:
        status = connection.execute("SELECT status FROM job WHERE job_id = ?", [running]).fetchone()
    assert status == ("Success",)


def test_a_vacuum_or_a_reader_of_another_program_stops_nothing(server: Server) -> None:
    job_id = server.submit("add", a=1)
    server.result(job_id)
    with closing(sqlite3.connect(server.database)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (server.database.with_name("link.db")).hardlink_to(server.database)
    assert server.result(server.submit("add", a=2))["results"] == 3
    assert server.stop() == 0


def test_the_wal_shrinks_once_a_long_reader_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAL_BYTES", 1 << 20)
    wal = tmp_path / "jobs.db-wal"
    with closing(Database(tmp_path / "jobs.db")) as held, closing(held.connect()) as writer:

        def write_four_mb() -> None:
            for _ in range(8):
                writer.execute("INSERT INTO filled VALUES (zeroblob(524288))")
            writer.execute("DELETE FROM filled")

        writer.execute("CREATE TABLE filled (bytes)")
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM job").fetchall()
            for _ in range(5):
                write_four_mb()
            assert wal.stat().st_size > 16 << 20
        write_four_mb()
        write_four_mb()
        assert wal.stat().st_size < 8 << 20


def test_one_file_is_held_under_all_its_names_and_given_up_at_the_end(tmp_path: Path) -> None:
    first = Database(tmp_path / "jobs.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "jobs.db")
    (tmp_path / "soft.db").symlink_to("hard.db")
    for name in ("jobs.db", "hard.db", "soft.db"):
        with pytest.raises(Unusable, match="in use by another server"):
            Database(tmp_path / name)
    first.close()
    Database(tmp_path / "soft.db").close()


def test_the_name_is_held_too_when_another_file_has_it(tmp_path: Path) -> None:
    first = Database(tmp_path / "jobs.db")
    (tmp_path / "jobs.db").rename(tmp_path / "moved.db")
    with pytest.raises(Unusable, match="in use by another server"):
        Database(tmp_path / "jobs.db")
    assert "moved" in (first.fault() or "")
    first.close()


def test_reading_the_file_through_another_descriptor_gives_up_no_lock_of_ours(tmp_path: Path) -> None:
    first = Database(tmp_path / "jobs.db")
    with closing(first.connect()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert first.fault() is None
        other = sqlite3.connect(tmp_path / "jobs.db", timeout=0)
        with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    first.close()


def test_a_file_that_others_could_read_is_for_its_owner_alone_once_it_is_served(tmp_path: Path) -> None:
    names = ["jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db.lock"]
    with Server(tmp_path / "jobs.db") as server:
        server.result(server.submit("sleep", seconds=0))
        server.stop(9)
        for name in names[:3]:
            (tmp_path / name).chmod(0o644)
        server.start()
        server.result(server.submit("sleep", seconds=0))
        assert {name: (tmp_path / name).stat().st_mode & 0o777 for name in names} == dict.fromkeys(names, 0o600)
        server.stop()


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        *((kind, "") for kind in ("pipe", "folder", "device")),  # the database itself may be a link
        *itertools.product(("link", "dangling", "pipe", "folder", "device"), (".lock", "-wal", "-shm", "-journal")),
    ],
)
def test_what_is_no_ordinary_file_is_refused_without_being_touched(tmp_path: Path, part: str, kind: str) -> None:
    path, victim = tmp_path / f"jobs.db{part}", tmp_path / "victim"
    victim.write_text("precious")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link": victim, "dangling": tmp_path / "made", "device": Path("/dev/null")}[kind])
    with pytest.raises(Unusable, match="is no ordinary file, and is left alone"):
        Database(tmp_path / "jobs.db")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("kind", ["text", "hard link"])
def test_a_lock_file_that_is_somebody_elses_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "jobs.db.lock"
    if kind == "text":
        lock.write_text("my notes")
    else:
        (tmp_path / "victim").write_text("1234")
        lock.hardlink_to(tmp_path / "victim")
    before = lock.read_text()
    with pytest.raises(Unusable, match="is no lock file of this program, and is left alone"):
        Database(tmp_path / "jobs.db")
    assert lock.read_text() == before
    assert not (tmp_path / "jobs.db").exists()


def test_a_file_of_another_program_keeps_its_mode(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE mine (value)")
    foreign.chmod(0o644)
    with pytest.raises(Unusable, match="another program"):
        Database(foreign)
    assert foreign.stat().st_mode & 0o777 == 0o644


def test_a_loop_of_links_or_a_name_that_is_too_long_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "loop.db").symlink_to("loop.db")
    for name in ("loop.db", "x" * 300):
        with pytest.raises(Unusable, match=r"no ordinary file|File name too long"):
            Database(tmp_path / name)
        with pytest.raises(BackupError):
            backup(tmp_path / name, tmp_path / "copy.db", lambda *_: None)


@pytest.mark.parametrize("kind", ["pipe", "link", "dangling", "device"])
def test_a_backup_writes_to_nothing_that_is_there(tmp_path: Path, kind: str) -> None:
    Database(tmp_path / "jobs.db").close()
    target = tmp_path / "copy.db"
    if kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to(
            {"link": tmp_path / "jobs.db", "dangling": tmp_path / "made", "device": Path("/dev/null")}[kind]
        )
    with pytest.raises(BackupError, match="exists already"):
        backup(tmp_path / "jobs.db", target, lambda *_: None)
    assert not (tmp_path / "made").exists()


def test_a_pipe_is_not_waited_for_by_a_backup_or_a_check(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.db")
    for arguments in (["backup", "copy.db", "--database", "pipe.db"], ["check", "--database", "pipe.db"]):
        run = [str(COMMAND), *arguments]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "no ordinary file" in done.stdout + done.stderr


def test_a_file_system_that_locks_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("asyncjob.sqlite.database.fcntl.flock", unsupported)
    with pytest.raises(Unusable, match=r"cannot be locked: Operation not supported; choose .* on a disk of this"):
        Database(tmp_path / "jobs.db")
