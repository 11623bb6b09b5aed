"""Transactions that are one statement, and reads that share one: both are quick, and neither may miss anything."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, json

from asyncjob.contract import Submission
from asyncjob.job import Progress, Status
from asyncjob.sqlite.store import SqliteStore
from asyncjob.sqlite.transaction import Transaction
from asyncjob.store import Success
from tests.sqlite.opened import OpenedFile, with_store
from tests.store.opened import ERROR, Slow


async def _settle(opened: OpenedFile) -> list[str]:
    """Offer slots and run a job, after which nothing waits or has a notification; the statements from now on."""
    await opened.claim(10)
    await opened.submit("first")
    await opened.store.succeed([Success("first", 1, b"1")])
    statements: list[str] = []
    opened.store._writer._connection.set_trace_callback(statements.append)
    return statements


def test_plain_jobs_and_results_are_one_statement(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        statements = await _settle(opened)
        await opened.submit("second")
        saved = opened.store.succeed([Success("second", 1, b"2")])
        assert [*await asyncio.gather(opened.submit("third"), opened.submit("fourth"))] == [None, None]
        assert await saved == [True]
        assert all(sql.startswith(("INSERT OR ROLLBACK INTO plain", "PRAGMA")) for sql in statements), statements
        assert [opened.status(job_id)[0] for job_id in ("first", "second", "third", "fourth")] == [
            *[Status.SUCCESS] * 2,
            *[Status.RUNNING] * 2,
        ]
        assert opened.claimed == [("first", 1), ("second", 1), ("third", 1), ("fourth", 1)]
        assert opened.store.pending == 0

    with_store(tmp_path / "jobs.db", test)


def test_what_one_statement_would_refuse_takes_nothing_else_with_it(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        await _settle(opened)
        earlier, new, saved = await asyncio.gather(
            opened.submit("first"),
            opened.submit("second"),
            opened.store.succeed([Success("first", 1, b"3")]),
        )
        assert (earlier is not None, new, saved) == (True, None, [False])
        saved = await opened.store.succeed([Success("second", 2, b"4"), Success("second", 1, b"5")])
        assert saved == [False, True]
        assert [json.encode(opened.job(job_id).results) for job_id in ("first", "second")] == [b"1", b"5"]
        assert opened.claimed == [("first", 1), ("second", 1)]

    with_store(tmp_path / "jobs.db", test)


@pytest.mark.parametrize("ends", ["succeed", "retry"])
def test_a_notification_is_written_although_no_job_had_one_before(tmp_path: Path, ends: str) -> None:
    async def test(opened: OpenedFile) -> None:
        statements = await _settle(opened)
        await opened.submit("told", notify="http://127.0.0.1/")
        if ends == "retry":
            await opened.store.fail("told", 1, ERROR)
            await opened.store.succeed([Success("told", 1, b"1")])  # too late, but nothing is left to tell of
            assert (await opened.store.retry("told")).applied
        attempt = 1 if ends == "succeed" else 2
        await opened.store.succeed([Success("told", attempt, b"1")])
        told, _ = opened.store.deliveries.of_job("told", 0, 10)
        assert [each.attempt for each in told] == list(range(1, attempt + 1))
        statements.clear()
        await opened.submit("second")
        await opened.store.succeed([Success("second", 1, b"2")])
        assert statements[-1] == "COMMIT"  # this one has looked whether there are more
        await opened.submit("third")
        assert statements[-1].startswith("INSERT OR ROLLBACK")

    with_store(tmp_path / "jobs.db", test)


class _ToldByHand:
    """Who waits for a write, and the event loop that tells it so only when the test says so: a `Told` and its loop."""

    def __init__(self) -> None:
        self.callbacks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.result: object = "not told"

    def get_loop(self) -> Any:
        return self

    def call_soon(self, callback: Callable[[], None]) -> None:
        callback()

    def call_soon_threadsafe(self, callback: Callable[..., None], *arguments: Any) -> None:
        self.callbacks.put(lambda: callback(*arguments))

    def done(self) -> bool:
        return False

    def set_result(self, result: object) -> None:
        self.result = result

    def set_exception(self, error: BaseException) -> None:
        raise error


def test_a_read_sees_all_that_anybody_was_told_even_if_it_shares_a_transaction(tmp_path: Path) -> None:
    async def test(opened: OpenedFile) -> None:
        assert opened.store.show("job") is None
        told = _ToldByHand()
        opened.store.insert(told, "job", Submission(UNSET, "echo", b"{}"))
        tell = told.callbacks.get(timeout=60)
        assert opened.store.show("job") is None  # though it is saved: all of this is one turn of the event loop
        tell()
        assert told.result is None
        assert opened.job("job").status is Status.PENDING

    with_store(tmp_path / "jobs.db", test, Slow)


def test_a_store_that_is_closed_in_the_turn_of_a_read_tells_of_all_that_it_has_saved(tmp_path: Path) -> None:
    async def test() -> None:
        opened = OpenedFile(lambda: SqliteStore(tmp_path / "jobs.db"))
        await opened.start()
        saving = asyncio.ensure_future(opened.submit("job"))
        await asyncio.sleep(0)
        opened.store.show("job")
        await opened.store.close()
        assert await asyncio.wait_for(saving, 60) is None

    asyncio.run(test())


IDS = list("abcdefghijkl")
ACTIONS = st.one_of(
    st.tuples(st.just("submit"), st.integers(0, 11), st.sampled_from([*[None] * 9, "http://127.0.0.1/"])),
    st.tuples(st.just("succeed"), st.integers(1, 4), st.sampled_from([0, 0, 0, 0, 0, 1])),
    st.tuples(st.sampled_from(["offer", "offer", "offer", "retry", "fail"]), st.integers(0, 11), st.none()),
    st.tuples(st.sampled_from(["later", "run now", "cancel", "delete", "progress"]), st.integers(0, 11), st.none()),
)


async def _act(opened: OpenedFile, verb: str, number: int, more: Any) -> object:
    """What came of one action, without what depends on the time."""
    if verb == "submit":
        return await opened.submit(IDS[number], notify=more)
    if verb == "succeed":  # one of the newest claims; the next attempt has not begun
        job_id, attempt = opened.claimed[-number:][0]
        return await opened.store.succeed([Success(job_id, attempt + more, b"1")])
    if verb == "offer":
        opened.store.offer(1)
        return None
    if verb == "later":
        return await opened.submit(IDS[number], delay=60)
    if verb == "fail":
        return await opened.store.fail(IDS[number], 1, ERROR)
    if verb == "progress":
        return await opened.store.progress(IDS[number], 1, Progress(0.5))
    store = opened.store
    change = {"retry": store.retry, "run now": store.run_now, "cancel": store.cancel, "delete": store.delete}[verb]
    return await change(IDS[number])


def _all_of(opened: OpenedFile) -> list[object]:
    """The whole state of a store, without times."""
    jobs = [opened.store.find(job_id) for job_id in IDS]
    return [
        [job and (job.status, job.attempt, json.encode(job.results) if job.results else None) for job in jobs],
        [len(opened.store.deliveries.of_job(job_id, 0, 100)[0]) for job_id in IDS],
        (opened.store.pending, opened.store.scheduled, opened.store.slots, opened.claimed),
    ]


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.lists(ACTIONS, min_size=1, max_size=5), max_size=12))
def test_whatever_is_one_statement_comes_to_the_same_as_in_several(steps: list[list[tuple[str, int, Any]]]) -> None:
    async def outcomes(folder: str, open: Callable[[Path], SqliteStore] = SqliteStore) -> list[object]:
        opened = OpenedFile(lambda: open(Path(folder, "jobs.db")))
        await opened.start()
        try:
            await _settle(opened)
            opened.store.offer(3 - opened.store.slots)
            seen: list[object] = []
            for step in steps:
                seen.append(await asyncio.gather(*[_act(opened, *action) for action in step]))
                seen.append(_all_of(opened))
            return seen
        finally:
            await opened.store.close()

    with ExitStack() as stack:
        folders = [stack.enter_context(TemporaryDirectory()) for _ in range(3)]
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        now = time.time_ns()
        patch.setattr(time, "time_ns", lambda: now)  # what waits is claimed by its time, in milliseconds
        quick = asyncio.run(outcomes(folders[0]))
        assert quick == asyncio.run(outcomes(folders[1], Slow))
        patch.setattr(Transaction, "_run_plain", lambda transaction, batch: None)
        assert quick == asyncio.run(outcomes(folders[2], Slow))
