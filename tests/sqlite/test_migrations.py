"""A file of any earlier schema becomes what a new one is, and keeps what it holds."""

import asyncio
import re
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjob.contract import Submission
from asyncjob.job import Error, Status, milliseconds, now_ms, timestamp
from asyncjob.options import Options
from asyncjob.sqlite.database import APPLICATION_ID, SCHEMA_VERSION, Database
from asyncjob.sqlite.reads import job_of
from asyncjob.sqlite.statements import MIGRATIONS, SQL
from asyncjob.sqlite.store import SqliteStore
from asyncjob.sqlite.writing import as_json
from asyncjob.store import Suspect, Unusable, notification_of, receiver
from tests.store.opened import ERROR, Opened

ENDED = "2024-06-06T12:34:56.789Z"
URLS = ["https://Hooks.example:8443/a?b#c", "http://127.0.0.1", "https://x.example?q=/", "https://y.example#/"]


def _file(path: Path, version: int) -> sqlite3.Connection:
    """A file as that version of the schema left it."""
    connection = sqlite3.connect(path)
    for migration in MIGRATIONS[:version]:
        connection.executescript(migration)
    connection.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}")
    connection.execute(
        "INSERT INTO job (job_id, type, status, parameters, created_at, due_at)"
        " VALUES ('old', 'echo', 'Pending', '{}', ?, 0)",
        [ENDED],
    )
    connection.commit()
    return connection


def _schema(path: Path) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return set(connection.execute("SELECT type, name, sql FROM sqlite_schema"))


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_file_of_an_earlier_schema_becomes_as_a_new_one_and_keeps_its_jobs(tmp_path: Path, version: int) -> None:
    _file(tmp_path / "old.db", version).close()
    Database(tmp_path / "old.db").close()
    Database(tmp_path / "new.db").close()
    assert _schema(tmp_path / "old.db") == _schema(tmp_path / "new.db")
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        assert connection.execute("SELECT job_id, status FROM job").fetchall() == [("old", "Pending")]


RULED: dict[str, list[object]] = {  # what a rule of the table is about, with what it may be and what not
    "status": ["Pending", "Running", "Success", "Failure", "Canceled", "Ended", None],
    "unique_in": ["waiting", "unfinished", "within", "ever", None],
    "stage": [0, 1, 2, 3, None],
    "results": ["1", None],
    "error": ["{}", None],
    "started_at": [ENDED, None],
    "finished_at": [ENDED, None],
    "progress": ["{}", None],
    "due_at": [0, None],
    "run_at": [0, None],
    "pause": [0, None],
    "turn": [0, None],
}


def _allowed(version: int) -> list[int]:
    """Which of all combinations of these the table of that schema takes, by their number."""
    names = ", ".join(RULED)
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in MIGRATIONS[:version]:
            connection.executescript(migration)
        connection.executescript("DROP INDEX job_unique_waiting; DROP INDEX job_unique_unfinished")
        for name, values in RULED.items():
            connection.execute(f"CREATE TABLE all_{name} ({name})")
            connection.executemany(f"INSERT INTO all_{name} VALUES (?)", [[value] for value in values])
        connection.execute(
            f"INSERT OR IGNORE INTO job (sequence, job_id, type, created_at, parameters, {names})"
            f" SELECT row_number() OVER (ORDER BY {names}), row_number() OVER (ORDER BY {names}), '', '', '', {names}"
            f" FROM {', '.join(f'all_{name}' for name in RULED)}"
        )
        return [number for (number,) in connection.execute("SELECT sequence FROM job ORDER BY sequence")]


def test_the_rules_of_a_job_are_the_same_however_they_are_written() -> None:
    allowed = _allowed(SCHEMA_VERSION)
    assert allowed == _allowed(8)
    assert len(allowed) == 112


def test_migrations_are_numbered_without_a_gap_and_each_says_what_it_is_for() -> None:
    names = [file.name for file in resources.files("asyncjob.sqlite").joinpath("migrations").iterdir()]
    assert sorted(int(name.partition("_")[0]) for name in names) == list(range(1, SCHEMA_VERSION + 1))
    assert all(migration.startswith("-- ") for migration in MIGRATIONS)


def test_every_statement_has_a_description_under_its_name() -> None:
    text = resources.files("asyncjob.sqlite").joinpath("statements.sql").read_text()
    sections = re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]
    assert len(sections) > 40
    for section in sections:
        name, description, *_ = section.splitlines()
        assert description.startswith("-- "), name
    assert not [name for name, sql in SQL.items() if re.search(r"\{\w+\}", sql) or sql.startswith("--")]


def test_notifications_that_wait_are_found_by_their_receiver_after_an_upgrade(tmp_path: Path) -> None:
    with closing(_file(tmp_path / "jobs.db", 5)) as old, old:
        for number, url in enumerate(URLS):
            old.execute(
                "INSERT INTO delivery (delivery_id, job_id, attempt, url, body, created_ms, due_at)"
                " VALUES (?, 'old', 1, ?, '{}', 1, ?)",
                [f"msg_{number}", url, number],
            )

    async def due() -> dict[str, list[str]]:
        store = SqliteStore(tmp_path / "jobs.db")
        try:
            return await store.deliveries.due((), 100)
        finally:
            await store.close()

    assert asyncio.run(due()) == {receiver(url): [f"msg_{number}"] for number, url in enumerate(URLS)}


STATES: dict[str, dict[str, object]] = {  # what schema 6 has of each, beside what every job has
    "waits": {"status": "Pending", "due_at": 1},
    "interrupted": {"status": "Pending", "due_at": 0, "attempt": 2, "interruptions": 1},
    "paused": {"status": "Pending", "due_at": 60_000, "attempt": 2, "losses": 1},  # from now on
    "parked": {"status": "Pending"},
    "suspect": {"status": "Pending", "attempt": 3, "group_limit": 2},
    "running": {"status": "Running", "started_at": ENDED, "progress": '{"fraction":0.5}'},
    "success": {"status": "Success", "started_at": ENDED, "finished_at": ENDED, "results": "[1]", "notify": URLS[0]},
    "failure": {"status": "Failure", "started_at": ENDED, "finished_at": ENDED, "error": '{"type":"E","message":"m"}'},
    "canceled": {"status": "Canceled", "finished_at": ENDED},
}


def _file_of_schema_6(path: Path) -> None:
    with closing(_file(path, 6)) as old, old:
        old.execute("DELETE FROM job")
        for job_id, values in STATES.items():
            due_at = values.get("due_at")
            more = {"due_at": now_ms() + 60_000} if due_at == 60_000 else {}
            fields: dict[str, object] = {
                "job_id": job_id,
                "type": "echo",
                "parameters": '{"key":"é"}',
                "created_at": ENDED,
            }
            fields |= values | more
            places = ", ".join("?" * len(fields))
            old.execute(f"INSERT INTO job ({', '.join(fields)}) VALUES ({places})", [*fields.values()])
        old.execute("INSERT INTO attempt VALUES ('suspect', 2, 'Pending', ?, ?, NULL)", [ENDED, ENDED])


def test_jobs_in_every_state_go_on_after_an_upgrade_where_they_were(tmp_path: Path) -> None:
    _file_of_schema_6(tmp_path / "jobs.db")

    async def test() -> None:
        opened = Opened(lambda: SqliteStore(tmp_path / "jobs.db"))
        store = opened.store
        before = now_ms()
        assert (store.pending, store.scheduled) == (4, 1)
        for job_id, values in STATES.items():
            job = opened.job(job_id)
            assert (job.status, job.attempt) == (values["status"], values.get("attempt", 1))
            assert bytes(job.parameters).decode() == '{"key":"é"}'
        run_at = opened.job("paused").run_at
        assert isinstance(run_at, str) and before < milliseconds(run_at) <= before + 60_000
        told = Submission("success", "echo", '{"key":"é"}'.encode(), Options(notify=URLS[0]))
        assert store.find_submission("success") == told
        assert [one.attempt for one in store.earlier_attempts("suspect", 0, 9)[0]] == [2]
        await opened.start()
        assert await opened.take_over("echo") == {}
        assert store.suspects(["echo"]) == [Suspect("suspect", 3, 2, 0)]
        assert [lost.job_id for lost in store.lost()] == ["running"]
        assert await store.release("running", 1, ERROR, interrupted=True)
        await opened.claim_all(4)
        assert opened.claimed == [("interrupted", 2), ("running", 2), ("waits", 1), ("parked", 1)]
        for job_id in ("success", "failure", "canceled"):
            assert (await store.retry(job_id)).applied
        await store.close()

    asyncio.run(test())


def test_an_older_version_refuses_the_file_and_leaves_it_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(tmp_path / "jobs.db").close()
    before = (tmp_path / "jobs.db").read_bytes()
    monkeypatch.setattr("asyncjob.sqlite.database.SCHEMA_VERSION", 6)
    with pytest.raises(Unusable, match="from a newer version"):
        Database(tmp_path / "jobs.db")
    assert (tmp_path / "jobs.db").read_bytes() == before


def test_an_upgrade_that_is_cut_short_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file_of_schema_6(tmp_path / "jobs.db")
    cut = [*MIGRATIONS[:7], MIGRATIONS[7].replace("DROP TABLE job;", "DROP TABLE job; SELECT no_such_function();")]
    monkeypatch.setattr("asyncjob.sqlite.database.MIGRATIONS", cut)
    with pytest.raises(Unusable, match="no_such_function"):
        Database(tmp_path / "jobs.db")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
        assert {row[0] for row in connection.execute("SELECT job_id FROM job")} == STATES.keys()
    monkeypatch.undo()
    Database(tmp_path / "jobs.db").close()
    assert _schema(tmp_path / "jobs.db")


@settings(max_examples=50, deadline=None)
@given(time=st.integers(0, 253_402_300_799_999))
def test_a_time_is_shown_to_the_millisecond_as_python_writes_it(time: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        shown = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ? / 1000.0, 'unixepoch')"
        assert connection.execute(shown, [time]).fetchone() == (timestamp(time),)


@settings(max_examples=50, deadline=None)
@given(
    status=st.sampled_from([Status.SUCCESS, Status.FAILURE, Status.CANCELED]),
    message=st.text(st.characters(blacklist_categories=["Cs"])),
    url=st.sampled_from(URLS),
    ended=st.integers(0, 2**41),
)
def test_a_notification_says_to_the_byte_what_the_trigger_of_earlier_versions_had_it_say(
    status: Status, message: str, url: str, ended: int
) -> None:
    finished_at = timestamp(ended)
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in MIGRATIONS[:5]:
            connection.executescript(migration)
        connection.execute(
            "INSERT INTO job (job_id, type, status, parameters, created_at, started_at, notify)"
            " VALUES ('job', 'echo', 'Running', '{\"a\":1}', ?, ?, ?)",
            [ENDED, ENDED, url],
        )
        error = as_json(Error("ValueError", message)) if status is Status.FAILURE else None
        results = '"large"' if status is Status.SUCCESS else None
        connection.execute(
            "UPDATE job SET status = ?, finished_at = ?, error = ?, results = ?", [status, finished_at, error, results]
        )
        old = connection.execute("SELECT job_id, attempt, url, body, created_ms, due_at FROM delivery").fetchone()
        for migration in MIGRATIONS[5:]:
            connection.executescript(migration)
        new = notification_of(job_of(connection.execute(SQL["find"], {"job_id": "job"}).fetchone()), url)
    assert old == (new.job_id, new.attempt, new.url, new.body, new.created_ms, new.created_ms)
