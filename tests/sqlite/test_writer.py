"""What the event loop writes by itself, and what it leaves to the writer's thread."""

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.contract import ListQuery
from asyncjob.sqlite import writer
from asyncjob.sqlite.database import BUSY_TIMEOUT_MS
from asyncjob.sqlite.store import SqliteStore
from asyncjob.sqlite.transaction import MAX_SHORT_ROWS, MAX_SHORT_TEXT
from asyncjob.sqlite.writer import COPYING_SECONDS, HARMLESS_SECONDS, MOST_TIMES, QUICK_SECONDS, Disk
from asyncjob.store import NotSaved, Success
from tests.sqlite.opened import OpenedFile, with_store

HERE, THREAD = "event loop", "thread"


class Traced:
    """The statements of a store from now on, and where each is run.

    Attributes:
        statements: as above.
        in_thread: set once there is one in the thread.
    """

    def __init__(self, opened: OpenedFile) -> None:
        self.statements: list[tuple[str, str]] = []
        self.in_thread = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._own = threading.get_ident()
        opened.store._writer._connection.set_trace_callback(self._add)

    def _add(self, sql: str) -> None:
        place = HERE if threading.get_ident() == self._own else THREAD
        self.statements.append((place, sql))
        if place == THREAD:
            self._loop.call_soon_threadsafe(self.in_thread.set)

    def places(self) -> set[str]:
        """Where they were run; and forget them."""
        places = {place for place, sql in self.statements if not sql.startswith("PRAGMA")}
        self.statements.clear()
        return places


async def _settle(opened: OpenedFile) -> Traced:
    """Offer slots and run a job, after which a plain one is short."""
    await opened.claim(MAX_SHORT_ROWS * 2)
    await opened.submit("first")
    await opened.store.succeed([Success("first", 1, b"1")])
    opened.store._writer._disk = Disk()  # the file's first pages may have taken a while
    return Traced(opened)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is quick enough however busy this machine is."""
    monkeypatch.setattr(writer, "QUICK_SECONDS", 3600.0)


def test_what_is_short_is_written_in_the_event_loop_and_all_else_in_the_thread(tmp_path: Path, quick: None) -> None:
    async def test(opened: OpenedFile) -> None:
        traced = await _settle(opened)
        await asyncio.gather(opened.submit("second"), opened.submit("third"))
        await opened.store.succeed([Success("second", 1, b"2")])
        assert traced.places() == {HERE}
        await opened.store.cancel("third")
        assert traced.places() == {THREAD}
        await opened.submit("fourth", delay=60)
        assert traced.places() == {THREAD}
        await opened.submit("first")  # its id is taken
        assert THREAD in traced.places()
        await opened.submit("large", parameters=b"[%b]" % (b" " * MAX_SHORT_TEXT))
        assert traced.places() == {THREAD}
        await asyncio.gather(*[opened.submit(f"many-{number}") for number in range(MAX_SHORT_ROWS + 1)])
        assert traced.places() == {THREAD}
        await opened.store.succeed([Success("large", 1, b"3")])
        assert traced.places() == {THREAD}  # which looks whether there is anybody to tell
        await opened.submit("last")
        assert traced.places() == {HERE}

    with_store(tmp_path / "jobs.db", test)


def test_the_event_loop_does_not_wait_until_another_process_unlocks_the_file(tmp_path: Path, quick: None) -> None:
    async def test(opened: OpenedFile) -> None:
        traced = await _settle(opened)
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            saving = [asyncio.ensure_future(opened.submit("a"))]
            await traced.in_thread.wait()
            assert traced.statements[0] == (HERE, "PRAGMA busy_timeout = 0")
            assert (THREAD, f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}") in traced.statements
            saving += [asyncio.ensure_future(opened.submit(job_id)) for job_id in "bc"]
            await asyncio.sleep(0)
            other.execute("ROLLBACK")
        assert await asyncio.gather(*saving) == [None] * 3
        jobs, _ = await opened.store.page(ListQuery(limit=3))
        assert [job.job_id for job in jobs] == ["c", "b", "a"]
        assert opened.claimed[1:] == [(job_id, 1) for job_id in "abc"]

    with_store(tmp_path / "jobs.db", test)


def test_all_that_has_gathered_is_refused_at_once_if_another_process_does_not_unlock_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BUSY_TIMEOUT_MS", 50)

    async def test(opened: OpenedFile) -> None:
        traced = await _settle(opened)
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            saving = [opened.submit(f"job-{number}") for number in range(20)]
            outcomes = await asyncio.gather(*saving, return_exceptions=True)
            assert [str(outcome) for outcome in outcomes] == ["database is locked"] * 20
            assert len([sql for place, sql in traced.statements if place == THREAD and "INTO plain" in sql]) <= 1
            done = opened.store.succeed([Success("later", 1, b"1")])
            await traced.in_thread.wait()
            other.execute("ROLLBACK")
        assert await done == [False]
        assert await opened.submit("later") is None
        assert (opened.store.pending, opened.claimed) == (0, [("first", 1), ("later", 1)])

    with_store(tmp_path / "jobs.db", test)


def test_everybody_is_told_whenever_the_store_is_closed(tmp_path: Path) -> None:
    async def test() -> None:
        opened = OpenedFile(lambda: SqliteStore(tmp_path / "jobs.db"))
        saving = [asyncio.ensure_future(opened.submit("before the start"))]
        await asyncio.sleep(0)
        await opened.reopen()
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
            traced = Traced(opened)
            other.execute("BEGIN IMMEDIATE")
            saving.append(asyncio.ensure_future(opened.submit("in the thread")))
            await traced.in_thread.wait()
            saving.append(asyncio.ensure_future(opened.submit("gathered")))
            await asyncio.sleep(0)
            closed = asyncio.ensure_future(opened.store.close())
            await asyncio.sleep(0)
            saving.append(asyncio.ensure_future(opened.submit("while it is closed")))
            await asyncio.sleep(0)
            other.execute("ROLLBACK")
        await closed
        saving.append(asyncio.ensure_future(opened.submit("after")))
        assert await asyncio.gather(*saving[:3]) == [None] * 3
        late = await asyncio.gather(*saving[3:], return_exceptions=True)
        assert [str(error) for error in late] == ["the store is closed"] * 2

    asyncio.run(asyncio.wait_for(test(), 60))


def test_reads_in_the_turn_of_a_write_do_not_keep_sqlite_from_beginning_its_log_anew(
    tmp_path: Path, quick: None
) -> None:
    async def test(opened: OpenedFile) -> None:
        await _settle(opened)
        opened.store._writer._connection.execute("PRAGMA wal_autocheckpoint = 20").fetchall()
        for number in range(100):
            saving = asyncio.ensure_future(opened.submit(f"job-{number}"))
            await asyncio.sleep(0)
            assert opened.store.show("first") is not None  # its transaction lasts until after the write
            await saving
        assert (tmp_path / "jobs.db-wal").stat().st_size < 100 * 4096

    with_store(tmp_path / "jobs.db", test)


def test_the_thread_writes_while_the_disk_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    async def test(opened: OpenedFile) -> None:
        traced = await _settle(opened)
        monkeypatch.setattr(Disk, "is_quick", lambda disk: False)
        await opened.submit("second")
        assert traced.places() == {THREAD}
        monkeypatch.setattr(Disk, "is_quick", lambda disk: True)
        await opened.submit("third")
        assert traced.places() == {HERE}

    with_store(tmp_path / "jobs.db", test)


def test_a_disk_is_slow_also_if_its_late_answer_is_an_error(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        traced = await _settle(opened)
        disk = opened.store._writer._disk = Disk(lambda: 0.0)  # so that what is slow remains so
        connection = opened.store._writer._connection

        def interrupt() -> bool:
            time.sleep(2 * QUICK_SECONDS)
            return True

        connection.set_progress_handler(interrupt, 1)
        with pytest.raises(NotSaved, match="interrupted"):
            await opened.submit("second")
        connection.set_progress_handler(None, 1)
        assert not disk.is_quick()  # the event loop was the first to try
        traced.statements.clear()
        assert await opened.submit("second") is None
        assert traced.places() == {THREAD}

    with_store(tmp_path / "jobs.db", test)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _wait(disk: Disk, clock: Clock, seconds: float) -> bool:
    """Write a batch on a disk that needs so long; whether the event loop waited for it."""
    waits = disk.is_quick()
    clock.now += seconds
    if waits:
        disk.waited(seconds)
    return waits


@given(st.lists(st.floats(0, 10)), st.floats(QUICK_SECONDS, 10, exclude_min=True))
def test_the_event_loop_spends_a_hundredth_of_its_time_on_a_slow_disk_and_always_waits_for_a_quick_one(
    before: list[float], slow: float
) -> None:
    disk = Disk(clock := Clock())
    for seconds in before:
        _wait(disk, clock, seconds)
    clock.now += 1_111.0
    for _ in range(2 * MOST_TIMES):  # in which it finds out
        _wait(disk, clock, slow)
    assert sum(_wait(disk, clock, slow) for _ in range(20 * MOST_TIMES)) <= 21
    clock.now += 1_111.0
    assert all(_wait(disk, clock, QUICK_SECONDS) for _ in range(10))
    assert _wait(disk, clock, COPYING_SECONDS)  # as now and then
    assert not _wait(disk, clock, COPYING_SECONDS)
    assert _wait(disk, clock, QUICK_SECONDS)


@given(
    st.lists(st.tuples(st.floats(HARMLESS_SECONDS, 5, exclude_min=True), st.integers(0, 100)), min_size=1, max_size=5),
    st.booleans(),
)
def test_the_event_loop_loses_a_fifth_of_its_time_at_most_to_a_disk_that_is_now_quick_now_slow(
    pattern: list[tuple[float, int]], begins_slow: bool
) -> None:
    disk = Disk(clock := Clock())
    began, waited, longest = clock.now, 0.0, max(slow for slow, _ in pattern)
    while clock.now < began + 2_000 * longest:
        for slow, quick in pattern if begins_slow else pattern[::-1]:
            waited += slow if _wait(disk, clock, slow) else 0
            for _ in range(quick):
                _wait(disk, clock, QUICK_SECONDS)
    assert waited < (clock.now - began) / 5 + 4 * longest  # which it finds out by
