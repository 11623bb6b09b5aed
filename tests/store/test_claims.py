"""Jobs are claimed when they are due, in order, once per attempt, and only as many as there are slots."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec import UNSET

from asyncjob.contract import Submission
from asyncjob.job import Status, now_ms, timestamp
from asyncjob.store import FIRST, Claim, Lost, Success, Suspect
from tests.store.conftest import Clock, Run
from tests.store.opened import ERROR, Opened, apply


def test_jobs_are_claimed_in_the_order_of_their_submission(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for number in range(5):
            await opened.submit(f"job-{number}")
        for _ in range(5):
            await opened.claim()
        assert opened.claimed == [(f"job-{number}", 1) for number in range(5)]

    run(test)


def test_a_claim_says_all_that_running_the_job_needs(run: Run) -> None:
    async def test(opened: Opened) -> None:
        traceparent = f"00-{'1' * 32}-{'2' * 16}-01"
        before = now_ms()
        await opened.store.submit("job", Submission(UNSET, "echo", b'{"a":1}'), traceparent)
        await opened.claim()
        (claim,) = opened.claims
        assert before <= claim.due_at <= now_ms()
        assert claim == Claim("job", 1, "echo", b'{"a":1}', 0, claim.due_at, traceparent, None)
        assert await opened.store.repeat("job", 1, 0, ERROR)
        await opened.claim_all(2)
        again = opened.claims[1]
        assert claim.due_at <= again.due_at <= now_ms()
        assert again == Claim("job", 2, "echo", b'{"a":1}', 1, again.due_at, traceparent, None)

    run(test)


def test_no_more_are_claimed_than_slots_are_offered(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for number in range(5):
            await opened.submit(f"job-{number}")
        opened.store.offer(3)
        await opened.claim(-1)
        assert (len(opened.claimed), opened.store.slots, opened.store.pending) == (2, 0, 3)
        await opened.store.cancel("job-0")  # which frees no slot: its worker still has it
        await opened.claim(-1)
        await opened.claim(1)
        assert (len(opened.claimed), opened.store.slots) == (2, 0)
        await opened.claim(9)
        assert (len(opened.claimed), opened.store.slots, opened.store.pending) == (5, 6, 0)

    run(test)


def test_a_store_that_was_told_to_stop_claims_nothing_whatever_is_offered(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        await opened.store.stop_claiming()
        await opened.claim(9)
        await opened.submit("other")
        await opened.claim(9)
        assert opened.claimed == []

    run(test)


def test_of_many_submissions_with_one_id_one_is_claimed(run: Run) -> None:
    async def test(opened: Opened) -> None:
        opened.store.offer(9)
        opened.store.wake()
        await asyncio.gather(*[opened.submit(f"job-{number % 3}") for number in range(9)])
        await opened.claim_all(3)
        assert opened.claimed == [(f"job-{number}", 1) for number in range(3)]
        await opened.submit("job-0")
        assert await opened.store.succeed([Success("job-0", 1, b"1")]) == [True]
        await opened.submit("job-0")
        await opened.claim(0)
        assert opened.claimed == [(f"job-{number}", 1) for number in range(3)]
        assert opened.store.pending == 0

    run(test)


def test_a_job_that_is_not_due_is_not_claimed_and_the_time_is_told(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        await opened.run("other")
        before = now_ms()
        assert await opened.store.repeat("job", 1, 200_000, ERROR)
        assert await opened.store.repeat("other", 1, 100_000, ERROR)
        await opened.claim()
        assert len(opened.claimed) == 2
        assert opened.next_due is not None and before + 100_000 <= opened.next_due <= now_ms() + 100_000
        assert (opened.store.pending, opened.store.scheduled) == (0, 2)

    run(test)


def test_what_was_interrupted_is_claimed_before_what_has_waited(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for job_id in ("released", "handed back"):
            await opened.run(job_id)
        await opened.submit("waits")
        assert await opened.store.hand_back("handed back", 1)
        assert await opened.store.release("released", 1, ERROR)
        await opened.claim_all(5)
        assert opened.claimed[2:] == [("released", 2), ("handed back", 2), ("waits", 1)]
        assert [claim.due_at for claim in opened.claims[2:4]] == [FIRST, FIRST]

    run(test)


def test_large_jobs_are_all_claimed_in_the_end(run: Run) -> None:
    async def test(opened: Opened) -> None:
        large = b'{"text":"%b"}' % (b"x" * 1_000_000)
        for number in range(40):
            await opened.submit(f"job-{number}", large)
        await opened.claim_all(40)
        assert opened.claimed == [(f"job-{number}", 1) for number in range(40)]

    run(test)


def test_jobs_that_are_claimed_together_keep_their_own_parameters(run: Run) -> None:
    async def test(opened: Opened) -> None:
        given = {f"job-{number}": f'{{"text":"{"é😀x" * number}"}}'.encode() for number in range(30)}
        for job_id, parameters in given.items():
            await opened.submit(job_id, parameters)
        await opened.claim_all(30)
        assert {claim.job_id: claim.parameters for claim in opened.claims} == given

    run(test)


PUT_BACK: dict[str, Callable[[Opened], Awaitable[bool]]] = {
    "repeat": lambda opened: opened.store.repeat("job", 1, 0, ERROR, group_limit=3),
    "release": lambda opened: opened.store.release("job", 1, ERROR, group_limit=3),
    "hand_back": lambda opened: opened.store.hand_back("job", 1, 3),
}


@pytest.mark.parametrize("how", PUT_BACK)
def test_a_suspect_is_claimed_once_it_is_admitted_and_no_sooner(run: Run, how: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        await opened.run("innocent")
        assert await PUT_BACK[how](opened)
        assert await opened.store.release("innocent", 1, ERROR)
        await opened.claim_all(3)
        await opened.claim()
        assert opened.claimed[2:] == [("innocent", 2)]
        (suspect,) = opened.store.suspects(["echo"])
        assert suspect == Suspect("job", 2, 3, 0)
        assert opened.store.suspects(["other"]) == []
        others = [Suspect("job", 1, 3), Suspect("innocent", 2, 3), Suspect("unknown", 1, 3)]
        assert await opened.store.admit([*others, suspect]) == [False, False, False, True]
        await opened.claim_all(4)
        assert (opened.claims[3].job_id, opened.claims[3].group_limit, opened.claims[3].due_at) == ("job", 3, FIRST)
        assert await opened.store.admit([suspect]) == [False]

    run(test)


def test_a_suspect_that_waits_for_its_time_is_shown_so_and_told_of_when_it_has_come(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over("echo")
        await opened.run("job")
        assert await opened.store.repeat("job", 1, 10_000, ERROR, 1)
        job = opened.job("job")
        assert (job.run_at, job.error) == (timestamp(clock.now + 10_000), ERROR)
        assert (opened.store.pending, opened.store.scheduled) == (0, 1)
        await opened.reopen()
        await opened.take_over("echo")
        assert opened.store.suspects(["echo"]) == opened.suspects == []
        clock.now += 10_000
        await opened.claim()
        assert opened.suspects == opened.store.suspects(["echo"]) == [Suspect("job", 2, 1)]
        assert opened.job("job").run_at is UNSET
        assert (opened.store.pending, opened.store.scheduled) == (1, 0)
        assert await opened.store.admit(opened.suspects) == [True]
        await opened.claim_all(2)
        assert opened.claims[-1].group_limit == 1

    run(test)


def test_a_suspect_that_waits_for_its_time_can_be_run_now(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over("echo")
        await opened.run("job")
        assert await opened.store.repeat("job", 1, 10_000, ERROR, 1)
        assert (await opened.store.run_now("job")).applied
        await opened.claim()
        assert opened.suspects == opened.store.suspects(["echo"]) == [Suspect("job", 2, 1)]
        assert (opened.store.pending, opened.store.scheduled) == (1, 0)
        assert not (await opened.store.run_now("job")).applied

    run(test)


def test_a_retry_ends_the_suspicion_the_losses_and_the_interruptions(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        assert await opened.store.repeat("job", 1, 0, ERROR)
        await opened.claim_all(2)
        assert await opened.store.release("job", 2, ERROR, group_limit=1, interrupted=True)
        assert opened.store.suspects(["echo"]) == [Suspect("job", 3, 1, 1)]
        await opened.store.cancel("job")
        assert (await opened.store.retry("job")).applied
        assert opened.store.suspects(["echo"]) == []
        await opened.claim_all(3)
        assert (opened.claims[2].attempt, opened.claims[2].losses, opened.claims[2].group_limit) == (4, 0, None)
        assert opened.store.lost() == [Lost("job", 4, "echo", 0, None, 0)]

    run(test)


def test_what_ran_when_the_server_ended_is_lost_to_the_next_which_finds_all_else_as_it_was(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("ran")
        assert await opened.store.repeat("ran", 1, 0, ERROR)
        await opened.claim_all(2)
        for job_id in ("suspect", "ended"):
            await opened.run(job_id)
        assert await opened.store.release("suspect", 1, ERROR, group_limit=2, interrupted=True)
        assert await opened.store.admit(opened.store.suspects(["echo"])) == [True]
        assert await apply(opened, "succeed", "ended", 1)
        await opened.submit("waits")
        opened.store.offer(-opened.store.slots)
        shown = [opened.job(job_id) for job_id in ("ran", "suspect", "ended", "waits")]
        await opened.reopen()
        assert opened.store.pending == 2
        assert opened.store.lost() == [Lost("ran", 2, "echo", 1, None, 0)]
        assert [opened.job(job.job_id) for job in shown] == shown
        assert await opened.take_over("echo") == {}
        assert opened.store.suspects(["echo"]) == [Suspect("suspect", 2, 2, 1)]
        await opened.claim(9)
        assert opened.claimed[-1] == ("waits", 1)  # a suspect is admitted anew
        assert ("suspect", 2) not in opened.claimed

    run(test)


def test_jobs_of_types_that_no_server_runs_wait_until_one_does(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for job_id, name in {"a": "gone", "b": "echo", "c": "gone"}.items():
            await opened.submit(job_id, type=name)
        assert await opened.take_over("echo") == {"gone": 2}
        await opened.claim(9)
        assert opened.claimed == [("b", 1)]
        assert opened.store.pending == 2
        assert await opened.take_over("echo", "gone") == {}
        await opened.claim_all(3)
        assert sorted(opened.claimed) == [("a", 1), ("b", 1), ("c", 1)]
        assert opened.status("a") == (Status.RUNNING, 1)

    run(test)
