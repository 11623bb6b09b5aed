"""What SQLite's store promises beside the protocol (tests/store/): group commit, bounds, indexes, one server a file."""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from asyncjob.contract import ListQuery
from asyncjob.job import Status
from asyncjob.sqlite import reads
from asyncjob.sqlite.database import Database
from asyncjob.sqlite.gates import Gates
from asyncjob.sqlite.places import Places
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.store import SqliteStore
from asyncjob.sqlite.transaction import Item, Results, Taken, Transaction
from asyncjob.sqlite.writer import Writer
from asyncjob.store import Claims, NotSaved, Observer, Success, Unusable
from tests.sqlite.opened import OpenedFile, with_store
from tests.store.opened import ERROR, function_of

LONG = 3_600_000  # milliseconds


def test_a_full_disk_fails_what_is_new_and_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    def limit(connection: sqlite3.Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    async def test(opened: OpenedFile) -> None:
        await opened.submit("before")
        await opened.store._writer.do(lambda connection: limit(connection, 30))
        large = b'{"text":"%b"}' % (b"x" * 500_000)
        with pytest.raises(NotSaved, match="full"):
            await opened.submit("large", large)
        results = await asyncio.gather(opened.submit("again", large), opened.submit("small"), return_exceptions=True)
        assert isinstance(results[0], NotSaved)
        assert results[1] is None
        assert opened.store.pending == 2
        await opened.store._writer.do(lambda connection: limit(connection, 1_000_000))
        assert await opened.submit("large", large) is None
        assert [opened.status(job_id)[0] for job_id in ("before", "small", "large")] == [Status.PENDING] * 3
        assert opened.store.find("again") is None

    with_store(tmp_path / "jobs.db", test)


def test_an_operation_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    async def test() -> None:
        database = Database(tmp_path / "any.db")
        connection = database.connect()
        connection.execute("CREATE TABLE number (value INTEGER UNIQUE)")
        statements = {
            "insert": "INSERT INTO number SELECT value ->> 0 FROM json_each(:rows) WHERE true ON CONFLICT DO NOTHING",
            "wrong": "INSERT INTO nowhere SELECT :rows",
        }

        places, before = Places(), Taken(Claims([]), none_left=True)

        def transact(
            connection: sqlite3.Connection, batch: Sequence[Item], singly: frozenset[str]
        ) -> tuple[Results, Taken]:
            return Transaction(
                connection, statements, slots=0, places=places, gates=Gates(places), before=before, singly=singly
            ).run(batch)

        writer: Writer[Taken] = Writer(
            connection, transact, lambda *_: None, lambda _: None, lambda: None, lambda _: None
        )
        writer.start(Observer())

        def fails(connection: sqlite3.Connection) -> Any:
            connection.execute("INSERT INTO number VALUES (7)")
            raise ZeroDivisionError

        results = await asyncio.gather(
            writer.do(lambda connection: connection.execute("INSERT INTO number VALUES (1)").rowcount),
            writer.do(fails),
            writer.write("insert", [(2, b""), (1, b""), (3, b"")]),
            writer.write("wrong", [(4, b"")]),
            writer.write("insert", [(5, b"")]),
            return_exceptions=True,
        )
        assert results[0] == 1
        assert isinstance(results[1], ZeroDivisionError)
        assert results[2] == [True, False, True]
        assert isinstance(results[3], NotSaved)
        assert results[4] == [True]
        await writer.close()
        database.close()
        with sqlite3.connect(tmp_path / "any.db") as reader:
            assert {row[0] for row in reader.execute("SELECT value FROM number")} == {1, 2, 3, 5}
        reader.close()

    asyncio.run(test())


def test_a_write_that_there_is_no_memory_for_is_not_saved_and_says_so(tmp_path: Path) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        raise MemoryError  # as SQLite does

    async def test(opened: OpenedFile) -> None:
        with pytest.raises(NotSaved, match="memory"):
            await opened.store._writer.do(fails)
        assert await opened.submit("job") is None

    with_store(tmp_path / "jobs.db", test)


def _write_protect(opened: OpenedFile, on: bool) -> None:
    """No write is saved, as on a full disk, until this is taken back. The writer has nothing to do meanwhile."""
    opened.store._writer._connection.execute(f"PRAGMA query_only = {on:d}")


INSISTING: dict[str, Callable[[OpenedFile], Awaitable[object]]] = {
    "succeed": lambda opened: opened.store.succeed([Success("job", 1, b"1")]),
    "fail": lambda opened: opened.store.fail("job", 1, ERROR),
    "repeat": lambda opened: opened.store.repeat("job", 1, LONG, ERROR),
    "release": lambda opened: opened.store.release("job", 1, ERROR),
    "admit": lambda opened: opened.store.admit([]),
}


@pytest.mark.parametrize("verb", INSISTING)
def test_what_became_of_an_attempt_is_written_again_until_there_is_room(tmp_path: Path, verb: str) -> None:
    async def test(opened: OpenedFile) -> None:
        await opened.run("job")
        told: asyncio.Queue[tuple[str, list[str]]] = asyncio.Queue()
        opened.store._writer._observer = Observer(
            trying_again=lambda verb, jobs, error: told.put_nowait((verb, list(jobs)))
        )
        _write_protect(opened, True)
        saved = asyncio.ensure_future(INSISTING[verb](opened))
        for _ in range(2):
            assert await told.get() == (verb, [] if verb == "admit" else ["job"])
        assert not saved.done()
        assert opened.status("job") == (Status.RUNNING, 1)
        with pytest.raises(NotSaved, match="readonly"):  # which others are told at once
            await opened.store.cancel("job")
        with pytest.raises(NotSaved, match="readonly"):
            await opened.store.hand_back("job", 1)
        _write_protect(opened, False)
        assert await saved in (True, [True], [])
        assert (opened.status("job") == (Status.RUNNING, 1)) == (verb == "admit")
        assert (opened.store.pending, opened.store.scheduled) == (verb == "release", verb == "repeat")

    with_store(tmp_path / "jobs.db", test)


def test_a_job_that_goes_on_is_counted_once_however_often_its_end_is_written(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        await opened.take_over(function_of("echo", concurrency=1))
        await opened.run("first")
        await opened.submit("second")
        canceling = opened.store.cancel("first")
        with pytest.raises(NotSaved):  # which takes the whole transaction back
            await opened.store._writer.do(lambda connection: connection.execute("no SQL"))
        assert (await canceling).applied
        assert opened.store.lingering == 1
        opened.store.gone("first", 1)
        await opened.claim_all(2)
        assert opened.claimed[-1] == ("second", 1)

    with_store(tmp_path / "jobs.db", test)


def test_what_there_was_no_room_for_until_the_store_was_closed_is_not_saved_and_says_so(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        await opened.run("job")
        told: asyncio.Queue[str] = asyncio.Queue()
        opened.store._writer._observer = Observer(trying_again=lambda verb, jobs, error: told.put_nowait(verb))
        _write_protect(opened, True)
        opened.store.wake()
        saved = opened.store.fail("job", 1, ERROR)
        assert {await told.get(), await told.get()} == {"wake", "fail"}
        await opened.reopen()
        with pytest.raises(NotSaved, match="closed"):
            await saved
        assert [lost.job_id for lost in opened.store.lost()] == ["job"]

    with_store(tmp_path / "jobs.db", test)


def test_large_jobs_are_claimed_a_few_at_a_time(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        large = b'{"text":"%b"}' % (b"x" * 1_000_000)
        for number in range(40):
            await opened.submit(f"job-{number}", large)
        await opened.claim(40)
        assert 0 < len(opened.claimed) < 20
        await opened.claim_all(40)

    with_store(tmp_path / "jobs.db", test)


def test_more_than_one_statement_can_take_is_written_in_portions(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        large = b'{"text":"%b"}' % (b"x" * 1_000_000)
        ids = [f"job-{number}" for number in range(40)]
        assert await asyncio.gather(*[opened.submit(job_id, large) for job_id in ids]) == [None] * 40
        assert await asyncio.gather(*[opened.submit(job_id, large) for job_id in ids]) != [None] * 40
        assert opened.store.pending == 40

    with_store(tmp_path / "jobs.db", test)


@pytest.mark.parametrize("name", [None, "echo"])
@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SUCCESS])
def test_a_listing_by_status_reads_an_index_and_not_the_table(tmp_path: Path, status: Status, name: str | None) -> None:
    asked: list[str] = []

    async def test(opened: OpenedFile) -> None:
        reader = opened.store._lists._connection
        reader.set_trace_callback(asked.append)
        await opened.submit("job")
        await opened.store.page(ListQuery(status=status, type=name))
        reader.set_trace_callback(None)
        plan = " ".join(row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {asked[1]}"))
        assert "INDEX job_" in plan, plan

    with_store(tmp_path / "jobs.db", test)


LOOKS = ["waiting", "head_of_queue", "due", "next_times", "keys_of", "any_before_functions", "before_key", "past_key"]
LOOKS += ["types_at_gates", "running_of_type", "before_function", "with_limits", "last_start", "recent_starts"]
LOOKS += ["close_key", "close_function", "opened_gates", "next_gate", "same_waiting", "same_unfinished", "same_within"]


@pytest.mark.parametrize("name", LOOKS)
def test_what_a_claim_or_a_submission_looks_at_is_found_by_an_index(tmp_path: Path, name: str) -> None:
    database = Database(tmp_path / "jobs.db")
    connection = database.connect()
    values = dict.fromkeys(re.findall(r":(\w+)", SQL[name]), 1)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values)]
    assert not [step for step in plan if re.match(r"SCAN (job|start|gate)(?! USING)", step)], plan
    assert name == "waiting" or "USE TEMP B-TREE FOR ORDER BY" not in plan, plan  # which adds up sizes after its limit
    connection.close()
    database.close()


def test_a_file_is_free_again_once_it_is_closed(tmp_path: Path) -> None:
    for _ in range(2):
        database = Database(tmp_path / "jobs.db")
        with pytest.raises(Unusable, match="in use by another server"):
            SqliteStore(tmp_path / "jobs.db")
        database.close()


def test_a_store_that_was_never_started_can_be_closed(tmp_path: Path) -> None:
    for _ in range(2):
        asyncio.run(SqliteStore(tmp_path / "jobs.db").close())


def test_a_new_job_is_claimed_by_the_commit_that_saves_it_unless_others_wait(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        await opened.submit("waits")
        await opened.claim()
        assert await opened.store.repeat("waits", 1, LONG, ERROR)
        opened.store.offer(2)
        await opened.submit("new")
        assert opened.status("new") == (Status.RUNNING, 1)
        assert opened.claimed == [("waits", 1), ("new", 1)]
        await asyncio.gather(*map(opened.submit, ["second", "third"]))
        assert [opened.status(job_id)[0] for job_id in ("second", "third")] == [Status.RUNNING, Status.PENDING]
        opened.store.offer(1)
        await opened.submit("fourth")
        assert opened.claimed[2:] == [("second", 1), ("third", 1)]
        assert (opened.store.pending, opened.store.scheduled) == (1, 1)

    with_store(tmp_path / "jobs.db", test)


@pytest.mark.parametrize(("pause", "again"), [(0, 3), (10**9, 2)])
def test_jobs_are_counted_again_once_that_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: int, again: int
) -> None:
    monkeypatch.setattr(reads, "COUNT_PAUSE", pause)

    async def test(opened: OpenedFile) -> None:
        for job_id in ("a", "b", "c"):
            await opened.submit(job_id)
        await opened.claim()
        before = {Status.PENDING: 2, Status.RUNNING: 1, Status.SUCCESS: 0, Status.FAILURE: 0, Status.CANCELED: 0}
        assert await opened.store.counts() == before
        await opened.submit("d")
        assert (await opened.store.counts())[Status.PENDING] == again

    with_store(tmp_path / "jobs.db", test)
