"""The account's concurrency: docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html and invocation-async.html."""

import asyncio

import pytest

from tests.aws.double.clock import Clock
from tests.aws.double.concurrency import Concurrency, Slots

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_functions_share_the_accounts_concurrency_in_the_order_in_which_they_ask() -> None:
    clock = Clock()
    account = Concurrency(2, clock)
    one, other = Slots(account, 8, None), Slots(account, 8, None)
    assert await one.wait() and await one.wait()
    assert one.busy and other.busy
    order: list[str] = []

    async def ask(slots: Slots, name: str) -> None:
        assert await slots.wait()
        order.append(name)

    for slots, name in ((other, "first"), (one, "second"), (other, "third")):
        clock.spawn(ask(slots, name))
        await asyncio.sleep(0)
    for expected in (["first"], ["first", "second"], ["first", "second", "third"]):
        one.release()
        await clock.advance(0)
        assert order == expected
    clock.close()


async def test_a_reserved_concurrency_is_the_functions_own() -> None:
    """Nobody else's invocations take it, and it takes none of theirs."""
    clock = Clock()
    account = Concurrency(1, clock)
    shared, reserved = Slots(account, 8, None), Slots(account, 8, 1)
    assert await shared.wait()
    assert shared.busy and not reserved.busy
    assert await reserved.wait()
    assert reserved.busy
    shared.release()
    assert not shared.busy and reserved.busy
    clock.close()


async def test_who_waits_too_long_or_is_cancelled_keeps_no_place() -> None:
    clock = Clock()
    account = Concurrency(1, clock)
    slots = Slots(account, 8, None)
    assert await slots.wait()
    late = clock.spawn(slots.wait(clock.now() + 10))
    cancelled = clock.spawn(slots.wait())
    await clock.advance(11)
    assert await late is False
    slots.release()  # handed over to one who is cancelled before it has noticed
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert not slots.busy and not account.queue
    clock.close()
