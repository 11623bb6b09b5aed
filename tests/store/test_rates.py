"""Limits of how many jobs of a function start in a period, of all or for each value of a parameter."""

import pytest

from asyncjob.policies import Rate
from asyncjob.registry import JobFunction
from tests.store.conftest import Clock, Run
from tests.store.opened import ERROR, Opened, apply, claimed_now, function_of, submit_keyed

MINUTE = 60_000
RATED = function_of("echo", rate="2/m")
RATED_PER_KEY = function_of("echo", rate=Rate("2/m", per="key"))


def test_a_rate_bounds_the_starts_of_any_period_and_the_store_says_when_to_wake_it(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(RATED)
        begin = clock.now
        await submit_keyed(opened, "a-1", "a-2", "a-3", "a-4", "a-5")
        assert await claimed_now(opened, 9) == ["a-1", "a-2"]
        assert opened.next_due == begin + MINUTE
        clock.now += MINUTE - 1
        assert await claimed_now(opened) == []
        clock.now += 1
        assert await claimed_now(opened) == ["a-3", "a-4"]
        assert opened.next_due == begin + 2 * MINUTE
        clock.now += MINUTE
        assert await claimed_now(opened) == ["a-5"]
        assert opened.next_due is None

    run(test)


@pytest.mark.parametrize("function", [RATED, RATED_PER_KEY], ids=["function", "key"])
def test_the_transaction_that_uses_a_rate_up_says_when_it_opens_since_none_may_follow(
    run: Run, clock: Clock, function: JobFunction
) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        await submit_keyed(opened, "a-1", "a-2", "a-3")
        await opened.claim(9)
        assert opened.newly_claimed() == ["a-1", "a-2"]
        assert opened.next_due == clock.now + MINUTE

    run(test)


def test_a_rate_is_a_sliding_window(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(RATED)
        opened.store.offer(9)
        begin = clock.now
        await submit_keyed(opened, "a-1")
        clock.now += 50_000
        await submit_keyed(opened, "a-2", "a-3", "a-4")
        assert await claimed_now(opened) == ["a-1", "a-2"]
        assert opened.next_due == begin + MINUTE
        clock.now = begin + MINUTE
        assert await claimed_now(opened) == ["a-3"]
        assert opened.next_due == begin + 50_000 + MINUTE
        clock.now += 50_000
        assert await claimed_now(opened) == ["a-4"]

    run(test)


def test_a_rate_of_a_key_bounds_that_key_alone(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(RATED_PER_KEY)
        begin = clock.now
        await submit_keyed(opened, *[f"a-{number}" for number in range(4)], "b-0")
        assert await claimed_now(opened, 9) == ["a-0", "a-1", "b-0"]
        assert opened.next_due == begin + MINUTE
        clock.now += MINUTE
        assert await claimed_now(opened) == ["a-2", "a-3"]
        assert opened.next_due is None

    run(test)


def test_what_passed_its_keys_rate_finds_it_open_even_if_its_function_was_busy(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function_of("echo", concurrency=1, rate=Rate("2/m", per="key")))
        await submit_keyed(opened, *[f"a-{number}" for number in range(5)])
        times = []
        opened.store.offer(9)
        for number in range(5):
            while await claimed_now(opened) != [f"a-{number}"]:
                assert opened.next_due is not None and opened.next_due > clock.now
                clock.now = opened.next_due
            times.append(clock.now)
            clock.now += 45_000
            assert await apply(opened, "fail", f"a-{number}", 1)
        assert all(later - first >= MINUTE for first, later in zip(times, times[2:], strict=False)), times

    run(test)


def test_each_attempt_is_a_start(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        for function in (RATED, RATED_PER_KEY):
            await opened.take_over(function)
            job_id = f"{function.limits.per}-1"
            await submit_keyed(opened, job_id)
            assert await claimed_now(opened, 9) == [job_id]
            for attempt in (1, 2):
                assert await opened.store.repeat(job_id, attempt, 0, ERROR)
                assert await claimed_now(opened) == ([job_id] if attempt == 1 else [])
            clock.now += MINUTE
            assert await claimed_now(opened) == [job_id]
            clock.now += MINUTE

    run(test)


@pytest.mark.parametrize("function", [RATED, RATED_PER_KEY], ids=["function", "key"])
def test_a_clock_that_is_set_back_closes_a_rate_for_one_period_at_most(
    run: Run, clock: Clock, function: JobFunction
) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        await submit_keyed(opened, "a-1", "a-2", "a-3", "a-4")
        assert await claimed_now(opened, 9) == ["a-1", "a-2"]
        clock.now -= 1_000 * MINUTE
        assert await claimed_now(opened) == []
        assert opened.next_due == clock.now + MINUTE
        clock.now += MINUTE
        assert await claimed_now(opened) == ["a-3", "a-4"]

    run(test)
