"""The engine for users' own tests: what they submit runs when they say so, and becomes what it would on a server."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asyncjob import Backoff, JobContext, JobFailed, Jobs, NotFound, Options, Refused, RetryLater, Unique
from asyncjob.job import Error, Status, timestamp
from asyncjob.testing import MemoryEngine, StillWaiting, TimedOut, WorkerLost

jobs = Jobs()
ran: list[Any] = []


@jobs.job
def add(a: int, b: int = 1) -> int:
    ran.append(("add", a, b))
    return a + b


@jobs.job(retries=2, retry_on=ConnectionError, backoff=Backoff(first=10, factor=3, jitter=0))
async def fetch(context: JobContext, url: str) -> str:
    await asyncio.sleep(0)
    context.progress(0.5, "half")
    return url.upper()


@jobs.job(unique=Unique("account", while_="waiting"), priority=3)
def sync(account: str) -> str:
    ran.append(account)
    return account


@jobs.job
def polls(context: JobContext) -> list[int]:
    if not context.resources:
        context.resources.append(context.attempt)
        raise RetryLater("5m", "not there yet")
    return [*context.resources, context.attempt]


@jobs.job
def divide(a: int, b: int) -> float:
    return a / b


@pytest.fixture
def engine() -> MemoryEngine:
    ran.clear()
    return MemoryEngine(jobs, now=datetime(2026, 11, 30, tzinfo=UTC))


def test_nothing_runs_until_it_is_told_and_then_all_of_it(engine: MemoryEngine) -> None:
    handles = [engine.client.submit(add, a=number) for number in range(3)]
    assert [handle.get().status for handle in handles] == [Status.PENDING] * 3 and not ran
    assert engine.drain() == 3
    assert [handle.result() for handle in handles] == [1, 2, 3]
    assert engine.drain() == 0


def test_at_once_means_in_the_submission(engine: MemoryEngine) -> None:
    at_once = MemoryEngine(jobs, at_once=True)
    assert at_once.client.submit(add, a=1).get().results == 2
    assert at_once.client.submit(fetch, url="x").get().status is Status.SUCCESS


def test_who_waits_for_a_job_has_it_run(engine: MemoryEngine) -> None:
    assert engine.client.submit(add, a=1).result() == 2


def test_a_function_that_raises_fails_its_job(engine: MemoryEngine) -> None:
    with pytest.raises(JobFailed, match="division by zero") as failed:
        engine.client.submit(divide, a=1, b=0).result()
    assert failed.value.type == "ZeroDivisionError"


def test_the_contract_refuses_what_it_always_refuses(engine: MemoryEngine) -> None:
    with pytest.raises(Refused, match="Expected `int`"):
        engine.client.submit("add", a="one")
    with pytest.raises(Refused, match="type must be one of"):
        engine.client.submit("nothing")
    engine.client.submit("add", a=1, jobId="mine")
    with pytest.raises(Refused, match="there is already a job mine"):
        engine.client.submit("add", a=2, jobId="mine")
    with pytest.raises(NotFound):
        engine.client.get("other")
    assert len(engine.submitted()) == 1


def test_a_delayed_job_waits_for_the_clock_which_the_test_moves(engine: MemoryEngine) -> None:
    handle = engine.client.submit(add, Options(delay="1h"), a=1)
    assert engine.drain() == 0
    assert handle.get().run_at == datetime(2026, 11, 30, 1, tzinfo=UTC)
    with pytest.raises(StillWaiting, match=r"waits until 2026-11-30T01:00:00.000Z: let time pass, with engine.advance"):
        handle.result()
    engine.advance("59m59s")
    assert engine.drain() == 0
    engine.advance(1)
    assert (engine.drain(), handle.result(), engine.now) == (1, 2, datetime(2026, 11, 30, 1, tzinfo=UTC))


def test_a_higher_priority_runs_first_and_else_what_was_submitted_first(engine: MemoryEngine) -> None:
    for number, priority in enumerate((0, 5, -5, 5)):
        engine.client.submit(add, Options(priority=priority), a=number)
    engine.client.submit(sync, account="of priority 3")
    engine.drain()
    assert ran == [("add", 1, 1), ("add", 3, 1), "of priority 3", ("add", 0, 1), ("add", 2, 1)]


def test_a_job_that_is_too_late_expires(engine: MemoryEngine) -> None:
    handle = engine.client.submit(add, Options(start_by=datetime(2026, 11, 30, 1, tzinfo=UTC)), a=1)
    engine.advance("2h")
    engine.drain()
    with pytest.raises(JobFailed) as failed:
        handle.result()
    assert failed.value.type == "Expired" and not ran


def test_the_nth_attempt_fails_and_the_job_goes_on_after_its_pause(engine: MemoryEngine) -> None:
    engine.fail(fetch, ConnectionError("no route"), attempt=1)
    engine.fail(fetch, WorkerLost(), attempt=2)
    handle = engine.client.submit(fetch, url="x")
    assert engine.drain() == 1
    job = handle.get()
    assert (job.status, job.attempt, job.run_at) == (Status.PENDING, 2, datetime(2026, 11, 30, 0, 0, 10, tzinfo=UTC))
    assert job.error is not None and job.error.message == "no route"
    engine.advance(10)
    assert engine.drain() == 1
    engine.advance(30)
    assert engine.drain() == 1
    assert (handle.result(), handle.get().attempt, handle.get().error) == ("X", 3, None)
    progress = handle.progress()
    assert progress is not None and progress.message == "half"


def test_a_job_with_no_retries_left_has_failed(engine: MemoryEngine) -> None:
    for attempt in (1, 2, 3):
        engine.fail("fetch", TimedOut(), attempt=attempt)
    handle = engine.client.submit(fetch, url="x")
    for _ in range(3):
        engine.drain()
        engine.advance("1h")
    with pytest.raises(JobFailed, match="longer than its timeout"):
        handle.result()
    handle.retry()
    assert handle.get().attempt == 4
    assert handle.result() == "X"


def test_a_job_that_asks_to_run_later_does_and_finds_its_resources() -> None:
    engine = MemoryEngine(jobs, resources=[])
    handle = engine.client.submit(polls)
    engine.drain()
    job = handle.get()
    assert job.error is not None and (job.status, job.error.message) == (Status.PENDING, "not there yet")
    engine.advance("5m")
    assert handle.result() == [1, 2]


def test_of_the_same_only_one_waits(engine: MemoryEngine) -> None:
    first, again = (engine.client.submit(sync, account="7") for _ in range(2))
    assert (again.id, first.duplicate, again.duplicate) == (first.id, False, True)
    other = engine.client.submit(sync, account="8")
    assert not other.duplicate
    engine.drain()
    assert ran == ["7", "8"]
    assert not engine.client.submit(sync, account="7").duplicate


def test_a_job_that_has_ended_can_be_deleted(engine: MemoryEngine) -> None:
    handles = [engine.client.submit("add", a=number) for number in (1, 2)]
    with pytest.raises(Refused, match="cannot delete job"):
        handles[0].delete()
    engine.drain()
    handles[0].delete()
    with pytest.raises(NotFound):
        handles[0].get()
    assert [job.job_id for job in engine.client.list()] == [handles[1].id]
    later = [engine.client.submit("add", a=number) for number in (3, 4)]
    engine.drain()
    assert [handle.result() for handle in (*handles[1:], *later)]


@pytest.mark.parametrize("function", ["unfinished", "waiting", "within"])
def test_one_of_the_same_is_retried_or_refused_as_on_a_server(function: str) -> None:
    engine = MemoryEngine(_unique_in_each_way())
    first = engine.client.submit(function, amount="1.0", fails=True)
    engine.drain()
    second = engine.client.submit(function, amount="1.00", fails=False)  # the same amount
    assert not second.duplicate
    if function == "unfinished":
        with pytest.raises(Refused, match=f"cannot retry job {first.id}: job {second.id} is the same and has not"):
            first.retry()
        second.result()
    first.retry()
    assert (first.get().status, first.get().attempt) == (Status.PENDING, 2)


@pytest.mark.parametrize("function", ["unfinished", "waiting", "within"])
def test_one_that_is_too_late_to_begin_is_in_nobodys_way(function: str) -> None:
    engine = MemoryEngine(_unique_in_each_way())
    late = engine.client.submit(function, Options(start_by=engine.now + timedelta(seconds=1)), amount="1", fails=False)
    engine.advance(2)
    newer = engine.client.submit(function, amount="1", fails=False)
    assert not newer.duplicate
    assert late.get().error == Error("Expired", f"it had not begun by {timestamp(_milliseconds(engine) - 1_000)}")
    assert engine.client.submit(function, amount="1", fails=False).id == newer.id


def _unique_in_each_way() -> Jobs:
    made = Jobs()

    def function(amount: Decimal, fails: bool) -> str:
        if fails:
            raise ValueError("no")
        return str(amount)

    made.job(name="unfinished", unique=Unique("amount"))(function)
    made.job(name="waiting", unique=Unique("amount", while_="waiting"))(function)
    made.job(name="within", unique=Unique("amount", within="1h"))(function)
    return made


def _milliseconds(engine: MemoryEngine) -> int:
    return round(engine.now.timestamp() * 1000)


def test_a_job_that_asks_to_run_later_too_often_fails_in_the_words_of_a_server(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjob.testing.engine.MAX_POSTPONEMENTS", 0)
    engine = MemoryEngine(jobs, resources=[])
    with pytest.raises(JobFailed, match="RetryLater: it was postponed 0 times; last: not there yet"):
        engine.client.submit(polls).result()


def test_only_a_job_that_waits_for_a_time_is_run_now(engine: MemoryEngine) -> None:
    handle = engine.client.submit(add, a=1)
    with pytest.raises(Refused, match=f"cannot run job {handle.id} now: it does not wait for a time"):
        handle.run_now()
    handle.result()
    with pytest.raises(Refused, match=f"cannot run job {handle.id} now: it is Success"):
        handle.run_now()


def test_jobs_are_listed_counted_and_canceled(engine: MemoryEngine) -> None:
    handles = [engine.client.submit(add, a=number) for number in range(5)]
    handles[0].cancel()
    engine.drain()
    assert [job.job_id for job in engine.client.list(page_size=2)] == [handle.id for handle in reversed(handles)]
    assert [job.job_id for job in engine.client.list(status="Canceled")] == [handles[0].id]
    assert engine.client.stats()["jobs"]["Success"] == 4
    with pytest.raises(Refused, match="cannot cancel job"):
        handles[1].cancel()


def test_what_was_submitted_can_be_asked_for_and_is_said_if_it_was_something_else(engine: MemoryEngine) -> None:
    engine.assert_nothing_submitted()
    engine.client.submit(add, Options(priority=2), a=1, b=5)
    found = engine.assert_submitted(add, a=1)
    assert (found.parameters, found.options.priority) == ({"a": 1, "b": 5}, 2)
    engine.assert_nothing_submitted(fetch)
    with pytest.raises(AssertionError, match=r"no add with \{'a': 2\} was submitted, but add\(\{'a': 1, 'b': 5\}\)"):
        engine.assert_submitted(add, a=2)
    with pytest.raises(AssertionError, match="submitted: add"):
        engine.assert_nothing_submitted()


def test_the_asynchronous_client_works_inside_a_running_loop(engine: MemoryEngine) -> None:
    async def test() -> None:
        async with engine.async_client() as client:
            handle = await client.submit(fetch, url="x")
            assert await handle.result() == "X"

    asyncio.run(test())


def test_jobs_that_submit_each_other_for_ever_end_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Jobs()
    engines: list[MemoryEngine] = []

    @endless.job
    def again() -> None:
        engines[0].client.submit(again)

    monkeypatch.setattr("asyncjob.testing.engine.MAX_ATTEMPTS", 50)
    engine = MemoryEngine(endless)
    engines.append(engine)
    engine.client.submit(again)
    with pytest.raises(AssertionError, match="do they submit each other for ever"):
        engine.drain()


def test_pytest_finds_the_fixture_by_itself(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from asyncjob.sleep import jobs\n"
        "def test_it(memory_engine):\n"
        "    engine = memory_engine(jobs)\n"
        "    assert engine.client.submit('sleep', seconds=0).result()['message'] == 'I slept for 0 seconds'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_where_a_function_failed_is_in_the_tests_log(engine: MemoryEngine, caplog: pytest.LogCaptureFixture) -> None:
    handle = engine.client.submit(divide, a=1, b=0)
    assert handle.wait().status is Status.FAILURE
    (record,) = caplog.records
    first, *frames = record.getMessage().splitlines()
    assert first == f"job {handle.id}, divide, attempt 1: ZeroDivisionError: division by zero"
    assert __file__ in frames[0] and "return a / b" in frames[1]
