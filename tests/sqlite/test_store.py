"""The store by itself: guards, group commit, and what happens to what cannot be saved."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from asyncjob.contract import ListQuery, Submission
from asyncjob.job import TRANSITIONS, Error, Progress, Status, Transition
from asyncjob.sqlite import reads
from asyncjob.sqlite.database import Database
from asyncjob.sqlite.store import SqliteStore
from asyncjob.sqlite.transaction import Item, Results, Taken, Transaction
from asyncjob.sqlite.writer import Writer
from asyncjob.store import Claims, NotSaved, Observer, Success, Unusable

ERROR = Error("ValueError", "no")


class Opened:
    """A store on a file, and all that it has claimed."""

    def __init__(self, path: Path) -> None:
        self.claimed: list[tuple[str, int]] = []
        self._claims = asyncio.Event()
        self.store = SqliteStore(path)

    async def start(self) -> None:
        await self.store.start(Observer(self._claim))

    def _claim(self, claims: Claims) -> None:
        self.claimed += [(job.job_id, job.attempt) for job in claims.jobs]
        self._claims.set()

    async def submit(self, job_id: str, parameters: bytes = b"{}") -> Submission | None:
        return await self.store.submit(job_id, Submission(UNSET, "echo", parameters))

    async def claim(self) -> None:
        """Let one job be claimed, and wait until it is."""
        self._claims.clear()
        self.store.offer(1)
        self.store.wake()
        await self._claims.wait()

    async def next_claim(self) -> None:
        """Wait until a transaction has claimed."""
        self._claims.clear()
        await self._claims.wait()

    def status(self, job_id: str) -> tuple[Status, int]:
        job = self.store.find(job_id)
        assert job is not None
        return job.status, job.attempt

    async def close(self) -> None:
        await self.store.close()


def _with_store(path: Path, test: Callable[[Opened], Awaitable[None]]) -> None:
    async def run() -> None:
        opened = Opened(path)
        await opened.start()
        try:
            await test(opened)
        finally:
            await opened.close()

    asyncio.run(run())


async def apply(opened: Opened, name: str, job_id: str, attempt: int) -> bool:
    """Try one transition of an attempt; whether the store wrote it."""
    store = opened.store
    if name == "claim":
        before = len(opened.claimed)
        await opened.claim()
        store.offer(-1 if len(opened.claimed) == before else 0)
        return len(opened.claimed) > before
    if name == "succeed":
        return (await store.succeed([Success(job_id, attempt, b"1")]))[0]
    if name == "fail":
        return await store.fail(job_id, attempt, ERROR)
    if name == "repeat":
        return await store.repeat(job_id, attempt, 0, ERROR)
    if name == "release":
        return await store.release(job_id, attempt, ERROR)
    change = await (store.cancel(job_id) if name == "cancel" else store.retry(job_id))
    return change.applied


ROADS: dict[Status, list[str]] = {
    Status.PENDING: [],
    Status.RUNNING: ["claim"],
    Status.SUCCESS: ["claim", "succeed"],
    Status.FAILURE: ["claim", "fail"],
    Status.CANCELED: ["cancel"],
}


@pytest.mark.parametrize("transition", TRANSITIONS.values(), ids=lambda transition: transition.name)
@pytest.mark.parametrize("status", Status)
def test_a_transition_is_written_from_its_sources_alone(tmp_path: Path, status: Status, transition: Transition) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        for name in ROADS[status]:
            assert await apply(opened, name, "job", 1)
        assert opened.status("job") == (status, 1)
        applied = await apply(opened, transition.name, "job", 1)
        assert applied == (status in transition.sources)
        expected = (transition.target, 1 + transition.next_attempt) if applied else (status, 1)
        assert opened.status("job") == expected
        assert opened.store.pending == (expected[0] is Status.PENDING)

    _with_store(tmp_path / "jobs.db", test)


@pytest.mark.parametrize("name", ["succeed", "fail", "repeat", "release"])
def test_what_an_earlier_attempt_says_is_refused(tmp_path: Path, name: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        for step in ("claim", "repeat", "claim"):
            assert await apply(opened, step, "job", 1)
        assert not await apply(opened, name, "job", 1)
        opened.store.progress("job", 1, Progress(0.5))
        assert opened.status("job") == (Status.RUNNING, 2)
        assert await apply(opened, name, "job", 2)
        job = opened.store.find("job")
        assert job is not None
        assert job.progress is UNSET

    _with_store(tmp_path / "jobs.db", test)


def test_a_late_outcome_among_many_is_the_only_one_refused(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        ids = [f"job-{number}" for number in range(20)]
        await asyncio.gather(*map(opened.submit, ids))
        opened.store.offer(19)
        await opened.claim()
        await opened.store.cancel("job-7")
        assert sorted(opened.claimed) == sorted((job_id, 1) for job_id in ids)
        written = await opened.store.succeed([Success(job_id, 1, f'"{job_id}"'.encode()) for job_id in ids])
        assert written == [job_id != "job-7" for job_id in ids]
        for job_id in ids:
            expected = Status.CANCELED if job_id == "job-7" else Status.SUCCESS
            assert opened.status(job_id) == (expected, 1)

    _with_store(tmp_path / "jobs.db", test)


def test_of_many_submissions_with_one_id_in_one_commit_the_first_is_saved(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        given = [(f"job-{number % 3}", b'{"number":%d}' % number) for number in range(9)]
        earlier = await asyncio.gather(*[opened.submit(*submission) for submission in given])
        assert earlier[:3] == [None] * 3
        assert [found.parameters for found in earlier[3:] if found] == [given[number % 3][1] for number in range(3, 9)]
        assert opened.store.pending == 3

    _with_store(tmp_path / "jobs.db", test)


def test_parameters_and_results_are_kept_to_the_letter(tmp_path: Path) -> None:
    texts = [
        '{"a":1e400}',
        '{"b":1.10}',
        '{"c":"\\u0000\\ud83d\\ude00"}',
        '{"d":"\'\\"\\\\"}',
        '{"a":1,"a":2}',
        "[" * 3000,
    ]

    async def test(opened: Opened) -> None:
        for number, text in enumerate(texts):
            await opened.submit(f"job-{number}", text.encode())
            await opened.claim()
            assert (await opened.store.succeed([Success(f"job-{number}", 1, text.encode())]))[0]
            job = opened.store.find(f"job-{number}")
            assert job is not None
            assert (bytes(job.parameters), bytes(job.results)) == (text.encode(), text.encode())  # type: ignore[arg-type]

    _with_store(tmp_path / "jobs.db", test)


def test_a_full_disk_fails_what_is_new_and_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    def limit(connection: sqlite3.Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    async def test(opened: Opened) -> None:
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

    _with_store(tmp_path / "jobs.db", test)


def test_an_operation_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    async def test() -> None:
        connection = sqlite3.connect(tmp_path / "any.db", isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE number (value INTEGER UNIQUE)")
        statements = {
            "insert": "INSERT INTO number SELECT value ->> 0 FROM json_each(:rows) WHERE true ON CONFLICT DO NOTHING",
            "wrong": "INSERT INTO nowhere SELECT :rows",
        }

        def transact(
            connection: sqlite3.Connection, batch: Sequence[Item], singly: frozenset[str]
        ) -> tuple[Results, Taken]:
            return Transaction(connection, statements, slots=0, due=0, none_waits=False, singly=singly).run(batch)

        writer: Writer[Taken] = Writer(connection, transact, lambda _: None, lambda _: None)
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
        with sqlite3.connect(tmp_path / "any.db") as reader:
            assert {row[0] for row in reader.execute("SELECT value FROM number")} == {1, 2, 3, 5}
        reader.close()

    asyncio.run(test())


def test_jobs_are_claimed_in_the_order_of_their_submission(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        for number in range(5):
            await opened.submit(f"job-{number}")
        for _ in range(5):
            await opened.claim()
        assert opened.claimed == [(f"job-{number}", 1) for number in range(5)]

    _with_store(tmp_path / "jobs.db", test)


def test_large_jobs_are_claimed_a_few_at_a_time_and_all_in_the_end(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        large = b'{"text":"%b"}' % (b"x" * 1_000_000)
        for number in range(40):
            await opened.submit(f"job-{number}", large)
        opened.store.offer(39)
        await opened.claim()
        assert 0 < len(opened.claimed) < 20
        while len(opened.claimed) < 40:
            await opened.next_claim()
        assert opened.claimed == [(f"job-{number}", 1) for number in range(40)]

    _with_store(tmp_path / "jobs.db", test)


def test_more_than_one_statement_can_take_is_written_in_portions(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        large = b'{"text":"%b"}' % (b"x" * 1_000_000)
        ids = [f"job-{number}" for number in range(40)]
        assert await asyncio.gather(*[opened.submit(job_id, large) for job_id in ids]) == [None] * 40
        assert await asyncio.gather(*[opened.submit(job_id, large) for job_id in ids]) != [None] * 40
        assert opened.store.pending == 40

    _with_store(tmp_path / "jobs.db", test)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SUCCESS])
def test_a_listing_by_status_reads_an_index_and_not_the_table(tmp_path: Path, status: Status) -> None:
    asked: list[str] = []

    async def test(opened: Opened) -> None:
        reader = opened.store._lists._connection
        reader.set_trace_callback(asked.append)
        await opened.submit("job")
        await opened.store.page(ListQuery(status=status))
        reader.set_trace_callback(None)
        plan = " ".join(row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {asked[1]}"))
        assert "INDEX job_" in plan, plan

    _with_store(tmp_path / "jobs.db", test)


def test_a_job_that_is_not_due_is_not_claimed(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        await opened.claim()
        assert await opened.store.repeat("job", 1, 2**50, ERROR)
        await opened.claim()
        assert opened.claimed == [("job", 1)]
        await opened.store.park(["echo"], latest_due=2**40)  # the clock was wrong when that was written
        await opened.submit("other")
        assert opened.claimed == [("job", 1), ("job", 2)]

    _with_store(tmp_path / "jobs.db", test)


def test_a_file_is_free_again_once_it_is_closed(tmp_path: Path) -> None:
    for _ in range(2):
        database = Database(tmp_path / "jobs.db")
        with pytest.raises(Unusable, match="in use by another server"):
            Database(tmp_path / "jobs.db")
        database.close()


def test_a_listing_is_bounded_by_its_limit(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        for number in range(5):
            await opened.submit(f"job-{number}")
        jobs, cursor = await opened.store.page(ListQuery(limit=2))
        assert [job.job_id for job in jobs] == ["job-4", "job-3"]
        jobs, cursor = await opened.store.page(ListQuery(limit=3, before=cursor))
        assert [job.job_id for job in jobs] == ["job-2", "job-1", "job-0"]
        assert cursor is None

    _with_store(tmp_path / "jobs.db", test)


def test_a_new_job_is_claimed_by_the_commit_that_saves_it_unless_others_wait(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("waits")
        await opened.claim()
        assert await opened.store.repeat("waits", 1, 2**50, ERROR)
        opened.store.offer(2)
        await opened.submit("new")
        assert opened.status("new") == (Status.RUNNING, 1)
        assert opened.claimed == [("waits", 1), ("new", 1)]
        await asyncio.gather(*map(opened.submit, ["second", "third"]))
        assert [opened.status(job_id)[0] for job_id in ("second", "third")] == [Status.RUNNING, Status.PENDING]
        opened.store.offer(1)
        await opened.submit("fourth")
        assert opened.claimed[2:] == [("second", 1), ("third", 1)]
        assert opened.store.pending == 2

    _with_store(tmp_path / "jobs.db", test)


def test_of_many_submissions_with_one_id_one_is_claimed(tmp_path: Path) -> None:
    async def test(opened: Opened) -> None:
        opened.store.offer(9)
        opened.store.wake()
        await asyncio.gather(*[opened.submit(f"job-{number % 3}") for number in range(9)])
        assert opened.claimed == [(f"job-{number}", 1) for number in range(3)]
        await opened.submit("job-0")
        assert await opened.store.succeed([Success("job-0", 1, b"1")]) == [True]
        await opened.submit("job-0")
        assert opened.claimed == [(f"job-{number}", 1) for number in range(3)]
        assert opened.store.pending == 0

    _with_store(tmp_path / "jobs.db", test)


@pytest.mark.parametrize(("pause", "again"), [(0, 3), (10**9, 2)])
def test_jobs_are_counted_again_once_that_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: int, again: int
) -> None:
    monkeypatch.setattr(reads, "COUNT_PAUSE", pause)

    async def test(opened: Opened) -> None:
        for job_id in ("a", "b", "c"):
            await opened.submit(job_id)
        await opened.claim()
        before = {Status.PENDING: 2, Status.RUNNING: 1, Status.SUCCESS: 0, Status.FAILURE: 0, Status.CANCELED: 0}
        assert await opened.store.counts() == before
        await opened.submit("d")
        assert (await opened.store.counts())[Status.PENDING] == again

    _with_store(tmp_path / "jobs.db", test)
