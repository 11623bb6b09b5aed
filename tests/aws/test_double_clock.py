"""The double's clock: what waits for it, what a test sees when it moves it, and that the functions go by it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.aws.double.clock import Clock, Sign
from tests.aws.double_stack import Small

DAY = 86_400.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    made = Clock()
    yield made
    made.close()


@pytest.mark.anyio
async def test_what_falls_due_happens_in_its_order_and_at_its_time(clock: Clock) -> None:
    begun, seen = clock.now(), []

    async def every(seconds: float, times: int) -> None:
        for number in range(1, times + 1):
            await clock.wait(until=begun + seconds * number)
            seen.append((seconds * number, clock.now() - begun))

    clock.spawn(every(3_600, 5))
    clock.spawn(every(5_000, 2))
    await clock.advance(DAY)
    assert [due for due, _ in seen] == [3_600, 5_000, 7_200, 10_000, 10_800, 14_400, 18_000]
    assert all(0 <= at - due < 60 for due, at in seen)
    assert 0 <= clock.now() - begun - DAY < 60


@pytest.mark.anyio
async def test_the_clock_stands_until_what_has_begun_is_at_rest(clock: Clock) -> None:
    """What a step begins, also through others, is over before the next one."""
    order: list[str] = []
    sign: Sign = asyncio.get_running_loop().create_future()

    async def first() -> None:
        await clock.wait(until=clock.now() + 10)
        for _ in range(20):
            await asyncio.sleep(0)
        order.append("first")
        clock.give(sign)

    async def follower() -> None:
        assert await clock.wait(sign)
        for _ in range(20):
            await asyncio.sleep(0)
        order.append("follower")

    async def later() -> None:
        await clock.wait(until=clock.now() + 11)
        order.append("later")

    for work in (later(), follower(), first()):
        clock.spawn(work)
    await clock.advance(60)
    assert order == ["first", "follower", "later"]


@pytest.mark.anyio
async def test_a_sign_comes_before_its_time_and_only_once(clock: Clock) -> None:
    sign: Sign = asyncio.get_running_loop().create_future()
    waiting = clock.spawn(clock.wait(sign, clock.now() + 100))
    await asyncio.sleep(0)
    clock.give(sign)
    clock.give(sign)
    assert await waiting is True
    assert await clock.wait(sign) is True
    late = clock.spawn(clock.wait(asyncio.get_running_loop().create_future(), clock.now() + 100))
    await clock.advance(101)
    assert await late is False


@pytest.mark.anyio
async def test_without_being_moved_it_passes_as_usual(clock: Clock) -> None:
    assert await clock.wait(until=clock.now() + 0.01) is False
    before, now = time.time(), clock.now()
    assert before <= now <= time.time()


@pytest.mark.anyio
async def test_what_was_cancelled_holds_nothing_up(clock: Clock) -> None:
    waiting = clock.spawn(clock.wait(until=clock.now() + 10))
    await asyncio.sleep(0)
    waiting.cancel()
    await clock.advance(100)
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.anyio
async def test_a_step_whose_work_does_not_end_is_an_error(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.aws.double.clock.PATIENCE", 0.01)
    endless = clock.spawn(asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        await clock.advance(1)
    endless.cancel()


TIMES = """
import json, logging, os, pathlib, time

def handler(event, context):
    record = logging.LogRecord("n", 20, "p", 1, "m", None, None)
    found = {
        "time": time.time(), "ns": time.time_ns() / 1e9, "gmtime": time.strftime("%Y", time.gmtime()),
        "logged": record.created, "year": time.strftime("%Y"), "remaining": context.get_remaining_time_in_millis(),
    }
    pathlib.Path(os.environ["SEEN"], "found").write_text(json.dumps(found))
"""


def test_a_functions_process_has_the_doubles_time(tmp_path: Path) -> None:
    small = Small(tmp_path)
    small.resources["Reader"]["Properties"]["Code"] = {"ZipFile": TIMES}
    with small.deployed() as double:
        for days in (0, 400):  # the same process, the clock moved in between
            double.advance(days * DAY)
            before = double.clock.now()
            assert double.run(double.functions.invoke("reader", b"{}")).error is None
            now, found = double.clock.now(), json.loads((tmp_path / "found").read_text())
            for name in ("time", "ns", "logged"):
                assert before <= found[name] <= now, name
            assert found["gmtime"] == found["year"] == time.strftime("%Y", time.gmtime(now))
            assert 0 < found["remaining"] <= 20_000
        assert double.clock.now() > time.time() + 399 * DAY
