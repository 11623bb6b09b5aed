"""Limits of functions: how many run at once, how many start in a period, of all or for each value of a parameter."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncjob.job import Status, timestamp
from asyncjob.policies import Limit
from asyncjob.registry import JobFunction
from asyncjob.store import LEVEL_MS, Success
from tests.store.conftest import Clock, Run
from tests.store.opened import ERROR, Opened, apply, claimed_now, function_of, submit_keyed

MINUTE = 60_000
TWO = function_of("echo", concurrency=2)
ONE_PER_KEY = function_of("echo", concurrency=Limit(1, per="key"))


def test_no_more_jobs_of_a_function_run_than_its_limit_and_others_go_past_them(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(TWO, "other")
        await submit_keyed(opened, "a-1", "a-2", "a-3", "a-4")
        await opened.submit("free", type="other")
        assert await claimed_now(opened, 9) == ["a-1", "a-2", "free"]
        assert (opened.store.pending, opened.store.limited) == (2, 2)
        assert await opened.store.succeed([Success("a-2", 1, b"1")]) == [True]
        assert await claimed_now(opened) == ["a-3"]
        assert await apply(opened, "fail", "a-1", 1)
        assert await claimed_now(opened) == ["a-4"]
        assert opened.store.limited == 0

    run(test)


@pytest.mark.parametrize("function", [function_of("echo", concurrency=1), ONE_PER_KEY], ids=["of all", "per key"])
def test_those_that_are_too_late_keep_nobody_behind_them_waiting(run: Run, clock: Clock, function: JobFunction) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        await submit_keyed(opened, "a-1")
        await opened.claim()
        late = [f"a-late{number}" for number in range(8)]
        await submit_keyed(opened, *late, start_by=timestamp(clock.now + 1_000))
        await submit_keyed(opened, "a-2")
        clock.now += 2_000
        opened.store.offer(1)
        assert await opened.store.succeed([Success("a-1", 1, b"1")]) == [True]
        await opened.claim_all(2)  # which wakes the store once
        assert opened.claimed[-1] == ("a-2", 1)
        assert sorted(opened.expired) == late

    run(test)


def test_the_room_that_an_end_makes_is_taken_by_the_transaction_that_saves_it(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(ONE_PER_KEY)
        await submit_keyed(opened, "a-1", "a-2")
        opened.store.offer(5)
        assert await claimed_now(opened) == ["a-1"]
        saved = opened.store.succeed([Success("a-1", 1, b"1")])
        await saved
        await opened.claim_all(2)
        assert opened.claimed[1:] == [("a-2", 1)]

    run(test)


FREE: dict[str, Callable[[Opened], Awaitable[object]]] = {
    "succeed": lambda opened: opened.store.succeed([Success("a-1", 1, b"1")]),
    "fail": lambda opened: opened.store.fail("a-1", 1, ERROR),
    "repeat": lambda opened: opened.store.repeat("a-1", 1, MINUTE, ERROR),
    "postpone": lambda opened: opened.store.postpone("a-1", 1, MINUTE, ERROR),
    "repeat as a suspect": lambda opened: opened.store.repeat("a-1", 1, 0, ERROR, group_limit=1),
    "release as a suspect": lambda opened: opened.store.release("a-1", 1, ERROR, group_limit=2),
}


@pytest.mark.parametrize("function", [function_of("echo", concurrency=1), ONE_PER_KEY], ids=["function", "key"])
@pytest.mark.parametrize("how", FREE)
def test_each_way_out_makes_room_for_the_next(run: Run, how: str, function: JobFunction) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        await submit_keyed(opened, "a-1", "a-2", "a-3")
        assert await claimed_now(opened, 9) == ["a-1"]
        assert await FREE[how](opened)
        assert await claimed_now(opened) == ["a-2"]

    run(test)


GO_ON: dict[str, Callable[[Opened], Awaitable[object]]] = {
    "cancel": lambda opened: opened.store.cancel("a-1"),
    "fail": lambda opened: opened.store.fail("a-1", 1, ERROR, goes_on=True),
    "repeat": lambda opened: opened.store.repeat("a-1", 1, MINUTE, ERROR, goes_on=True),
}


@pytest.mark.parametrize("function", [function_of("echo", concurrency=1), ONE_PER_KEY], ids=["function", "key"])
@pytest.mark.parametrize("how", GO_ON)
def test_a_job_that_has_ended_holds_its_place_until_nothing_of_it_runs(
    run: Run, how: str, function: JobFunction
) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        await submit_keyed(opened, "a-1", "a-2")
        assert await claimed_now(opened, 9) == ["a-1"]
        assert await GO_ON[how](opened)
        assert (await claimed_now(opened), opened.store.lingering) == ([], 1)
        opened.store.gone("a-1", 2)  # another attempt
        opened.store.gone("a-2", 1)  # and one that has not begun
        assert (await claimed_now(opened), opened.store.lingering) == ([], 1)
        opened.store.gone("a-1", 1)
        assert (await claimed_now(opened), opened.store.lingering) == (["a-2"], 0)
        opened.store.gone("a-1", 1)
        assert await opened.store.succeed([Success("a-2", 1, b"1")]) == [True]
        assert await claimed_now(opened) == []

    run(test)


@pytest.mark.parametrize("function", [function_of("echo", concurrency=1), ONE_PER_KEY], ids=["function", "key"])
@pytest.mark.parametrize("how", GO_ON)
def test_the_end_of_a_server_ends_what_went_on_in_it(run: Run, how: str, function: JobFunction) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        await submit_keyed(opened, "a-1", "a-2")
        assert await claimed_now(opened, 9) == ["a-1"]
        assert await GO_ON[how](opened)
        assert await claimed_now(opened) == []
        await opened.reopen()
        await opened.take_over(function)
        assert await claimed_now(opened, 9) == ["a-2"]

    run(test)


@pytest.mark.parametrize("how", GO_ON)
def test_only_what_has_begun_and_has_a_limit_holds_a_place(run: Run, how: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(TWO, "other")
        await opened.submit("a-1", type="other")
        assert await claimed_now(opened, 9) == ["a-1"]
        assert await GO_ON[how](opened)
        await submit_keyed(opened, "b-1", "b-2", "b-3")
        assert (await opened.store.cancel("b-3")).applied
        assert not await opened.store.fail("b-3", 1, ERROR, goes_on=True)
        assert opened.store.lingering == 0

    run(test)


@pytest.mark.parametrize("function", [function_of("echo", concurrency=4), ONE_PER_KEY], ids=["function", "key"])
def test_no_more_run_than_the_cap_lets_and_it_is_known_how_many_it_holds_back(run: Run, function: JobFunction) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function, "other")
        opened.store.cap("echo", 0)
        await submit_keyed(opened, "a-1", "b-1", "c-1")
        await opened.submit("free", type="other")
        assert (await claimed_now(opened, 9), opened.wanting) == (["free"], {"echo": 3})
        opened.store.cap("echo", 2)
        assert (await claimed_now(opened), opened.wanting) == (["a-1", "b-1"], {"echo": 1})
        assert (await opened.store.cancel("c-1")).applied
        assert (await claimed_now(opened), opened.wanting) == ([], {})
        await submit_keyed(opened, "d-1", "e-1", "f-1")
        assert (await opened.store.cancel("b-1")).applied
        assert await apply(opened, "fail", "a-1", 1)
        assert (await claimed_now(opened), opened.wanting) == (["d-1"], {"echo": 2})
        opened.store.gone("b-1", 1)
        assert (await claimed_now(opened), opened.wanting) == (["e-1"], {"echo": 1})
        opened.store.cap("echo", 1)
        assert await apply(opened, "fail", "d-1", 1)
        assert (await claimed_now(opened), opened.wanting) == ([], {"echo": 1})

    run(test)


def test_what_a_limit_holds_back_does_not_want_for_the_cap(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(TWO)
        opened.store.cap("echo", 1)
        await submit_keyed(opened, *[f"a-{number}" for number in range(5)])
        assert (await claimed_now(opened, 9), opened.wanting) == (["a-0"], {"echo": 1})
        opened.store.cap("echo", 2)
        assert (await claimed_now(opened), opened.wanting) == (["a-1"], {})

    run(test)


def test_a_released_job_gets_its_place_back_before_the_others(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for function in (function_of("echo", concurrency=1), ONE_PER_KEY):
            await opened.take_over(function)
            job_id, other = f"{function.limits.per}-1", f"{function.limits.per}-2"
            await submit_keyed(opened, job_id, other)
            assert await claimed_now(opened, 1) == [job_id]
            assert await opened.store.hand_back(job_id, 1)
            assert await claimed_now(opened, 1) == [job_id]
            assert await apply(opened, "fail", job_id, 2)
            assert await claimed_now(opened, 1) == [other]
            assert await apply(opened, "fail", other, 1)

    run(test)


def test_a_saturated_key_keeps_no_other_waiting(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(ONE_PER_KEY)
        await submit_keyed(opened, *[f"a-{number}" for number in range(10)])
        clock.now += 1
        await submit_keyed(opened, "b-0", "c-0", "b-1")
        assert await claimed_now(opened, 9) == ["a-0", "b-0", "c-0"]
        assert await apply(opened, "fail", "b-0", 1)
        assert await claimed_now(opened) == ["b-1"]

    run(test)


def test_keys_take_turns_however_many_wait_behind_one_of_them(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function_of("echo", concurrency=[1, Limit(1, per="key")]))
        await submit_keyed(opened, *[f"a-{number}" for number in range(6)])
        clock.now += 1
        await submit_keyed(opened, *[f"b-{number}" for number in range(3)])
        order = []
        opened.store.offer(9)
        for _ in range(9):
            (job_id,) = await claimed_now(opened)
            order.append(job_id[0])
            clock.now += 1
            assert await apply(opened, "fail", job_id, 1)
            opened.store.offer(1)
        assert "".join(order) == "ababab" + "aaa"

    run(test)


def test_a_higher_priority_goes_first_at_a_gate_too(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        keyed = function_of("keyed", concurrency=Limit(1, per="key"))
        await opened.take_over(function_of("echo", concurrency=1), keyed)
        await submit_keyed(opened, "low", "lower")
        await submit_keyed(opened, "high", priority=3)
        for job_id in ("low", "high"):
            priority = 3 if job_id == "high" else None
            await opened.submit(f"keyed-{job_id}", b'{"key":"a"}', "keyed", priority=priority)
        opened.store.offer(-opened.store.slots)
        assert sorted(await claimed_now(opened, 2)) == ["high", "keyed-low"]  # which had passed before the other came
        assert await apply(opened, "fail", "high", 1)
        assert await apply(opened, "fail", "keyed-low", 1)
        assert await claimed_now(opened, 2) == ["keyed-high", "low"]
        clock.now += 4 * LEVEL_MS
        await submit_keyed(opened, "late", priority=3)
        assert await apply(opened, "fail", "low", 1)
        assert await claimed_now(opened, 1) == ["lower"]

    run(test)


def test_a_delayed_job_meets_its_limit_when_its_time_has_come(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(ONE_PER_KEY)
        opened.store.offer(9)
        await submit_keyed(opened, "a-later", "b-later", delay=60)
        await submit_keyed(opened, "a-1")
        assert await claimed_now(opened) == ["a-1"]
        assert opened.store.limited == 0
        clock.now += MINUTE
        assert await claimed_now(opened) == ["b-later"]
        assert opened.store.limited == 1
        assert await apply(opened, "fail", "a-1", 1)
        assert await claimed_now(opened) == ["a-later"]

    run(test)


def test_one_that_is_too_late_makes_room_for_the_next_of_its_key(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(ONE_PER_KEY)
        await submit_keyed(opened, "a-late", "a-later", start_by=timestamp(clock.now))
        await submit_keyed(opened, "a-1")
        clock.now += 1
        await opened.claim(9)
        await opened.claim_all(1)
        assert opened.claimed == [("a-1", 1)]
        assert opened.expired == ["a-late", "a-later"]

    run(test)


def test_a_waiting_job_can_be_canceled_at_each_gate_and_makes_room_there(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function_of("echo", concurrency=[1, Limit(1, per="key")]))
        await submit_keyed(opened, "a-1", "b-passed", "b-waits", "b-next")
        assert await claimed_now(opened, 9) == ["a-1"]
        for job_id in ("b-passed", "b-waits"):
            assert (await opened.store.cancel(job_id)).applied
        assert await apply(opened, "fail", "a-1", 1)
        assert await claimed_now(opened) == ["b-next"]
        assert (await opened.store.retry("b-passed")).applied
        assert await claimed_now(opened) == []
        assert (await opened.store.cancel("b-next")).applied
        opened.store.gone("b-next", 1)
        assert await claimed_now(opened) == ["b-passed"]
        assert (opened.store.pending, opened.store.limited) == (0, 0)

    run(test)


@pytest.mark.parametrize("function", [function_of("echo", concurrency=1), ONE_PER_KEY], ids=["function", "key"])
def test_suspects_pass_the_same_gates_once_they_are_admitted(run: Run, function: JobFunction) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        await submit_keyed(opened, "a-1", "a-2", "a-3")
        assert await claimed_now(opened, 9) == ["a-1"]
        assert await opened.store.release("a-1", 1, ERROR, group_limit=1)
        assert await claimed_now(opened) == ["a-2"]
        assert await opened.store.admit(opened.store.suspects(["echo"])) == [True]
        assert await claimed_now(opened) == []
        assert await apply(opened, "fail", "a-2", 1)
        assert await claimed_now(opened) == ["a-1"]  # before those that came after it
        assert opened.claims[-1].group_limit == 1

    run(test)


def test_the_next_server_may_have_other_limits(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over("echo")
        await submit_keyed(opened, "a-1", "a-2", "b-1", "b-2")
        await opened.take_over(ONE_PER_KEY)
        assert opened.store.limited == 4
        assert await claimed_now(opened, 9) == ["a-1", "b-1"]
        await opened.reopen()
        await opened.take_over(function_of("echo", concurrency=3))
        assert await claimed_now(opened, 9) == ["a-2"]  # with those that run still
        await opened.reopen()
        assert [lost.job_id for lost in opened.store.lost()] == ["a-1", "a-2", "b-1"]
        await opened.take_over(function_of("echo", concurrency=Limit(1, per="value")))
        for job_id in ("a-1", "a-2", "b-1"):
            assert await opened.store.release(job_id, 1, ERROR, interrupted=True)
        assert await claimed_now(opened, 9) == ["a-1"]  # their values are all the same
        assert await opened.take_over("other") == {"echo": 3}
        assert (opened.store.limited, await claimed_now(opened, 9)) == (0, [])
        await opened.take_over("echo")
        assert await claimed_now(opened, 9) == ["a-2", "b-1", "b-2"]

    run(test)


def test_a_job_that_ended_before_its_function_got_limits_keeps_them_when_it_is_retried(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for job_id in ("a-1", "a-2"):
            await submit_keyed(opened, job_id)
            await opened.store.cancel(job_id)
        await opened.take_over(ONE_PER_KEY)
        for job_id in ("a-1", "a-2"):
            assert (await opened.store.retry(job_id)).applied
        assert await claimed_now(opened, 9) == ["a-1"]
        assert await apply(opened, "fail", "a-1", 2)
        assert await claimed_now(opened) == ["a-2"]

    run(test)


def test_a_value_that_is_left_out_is_counted_as_the_default(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(ONE_PER_KEY)
        for number, parameters in enumerate([b"{}", b'{"key":""}', b'{"value":1,"key":""}']):
            await opened.submit(f"job-{number}", parameters)
        long = b'{"key":"%b"}' % (b"x" * 100_000)
        await opened.submit("long-0", long)
        await opened.submit("long-1", long)
        assert await claimed_now(opened, 9) == ["job-0", "long-0"]

    run(test)


def test_many_keys_and_many_of_one_all_run_in_the_end(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function_of("echo", concurrency=[7, Limit(2, per="key")]))
        ids = [f"{'ab'[number % 2]}-{number}" for number in range(30)] + [f"{number}-x" for number in range(30)]
        await asyncio.gather(*[submit_keyed(opened, job_id) for job_id in ids])
        opened.store.offer(100)
        done = 0
        while done < len(ids):
            await opened.claim(0)
            running = [job_id for job_id, _ in opened.claimed if opened.status(job_id)[0] is Status.RUNNING]
            assert 0 < len(running) <= 7
            assert max(sum(one.startswith(f"{key}-") for one in running) for key in "ab") <= 2
            assert await opened.store.succeed([Success(running[0], 1, b"1")]) == [True]
            done += 1
        assert sorted(job_id for job_id, _ in opened.claimed) == sorted(ids)

    run(test)
