"""When a job runs: delays, pauses, priorities and the time by which it must begin; clocks may be set back."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec import UNSET

from asyncjob.context import MAX_POSTPONEMENTS
from asyncjob.contract import Submission
from asyncjob.job import Error, Status, timestamp
from asyncjob.options import Options
from asyncjob.store import FIRST, LEVEL_MS
from tests.store.conftest import Clock, Run
from tests.store.opened import ERROR, ROADS, Opened, apply, function_of

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


def test_a_delayed_job_waits_for_its_time_shows_it_and_is_claimed_then(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        due = clock.now + MINUTE
        await opened.submit("later", delay=60)
        await opened.submit("at", run_at=timestamp(due + 1))
        assert (opened.job("later").run_at, opened.job("at").run_at) == (timestamp(due), timestamp(due + 1))
        assert (opened.store.pending, opened.store.scheduled) == (0, 2)
        await opened.claim(9)
        assert (opened.claimed, opened.next_due) == ([], due)
        clock.now = due
        await opened.claim(0)
        assert (opened.claimed, opened.next_due) == ([("later", 1)], due + 1)
        assert opened.claims[0].due_at == due
        assert opened.job("later").run_at is UNSET
        clock.now += DAY
        await opened.claim(0)
        assert opened.claimed == [("later", 1), ("at", 1)]
        assert opened.claims[1].due_at == due + 1  # it has been ready since
        assert (opened.store.pending, opened.store.scheduled) == (0, 0)

    run(test)


def test_a_time_that_has_passed_is_now_and_jumps_no_queue(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("first")
        await opened.submit("second", run_at=timestamp(clock.now - DAY))
        await opened.submit("third", delay=0)
        assert opened.job("second").run_at is UNSET
        await opened.claim(3)
        assert [job_id for job_id, _ in opened.claimed] == ["first", "second", "third"]

    run(test)


def test_a_delayed_job_is_found_with_its_options_again(run: Run) -> None:
    async def test(opened: Opened) -> None:
        options = Options(delay="1h", priority=3, start_by="2099-01-01T00:00:00Z", notify="https://hooks.example/")
        given = Submission(UNSET, "echo", b'{"a":1}', options)
        assert await opened.store.submit("job", given) is None
        assert opened.store.find_submission("job") == Submission("job", "echo", b'{"a":1}', options)
        assert await opened.submit("job", b'{"a":1}') == opened.store.find_submission("job")
        await opened.submit("plain")
        assert opened.store.find_submission("plain") == Submission("plain", "echo", b"{}")

    run(test)


@pytest.mark.parametrize("by", ["the delay", "the pause"])
def test_a_clock_that_is_set_back_makes_no_wait_longer_than_it_was_meant_to_be(run: Run, clock: Clock, by: str) -> None:
    async def test(opened: Opened) -> None:
        if by == "the delay":
            await opened.submit("job", delay=60)
        else:
            await opened.run("job")
            assert await opened.store.repeat("job", 1, MINUTE, ERROR)
        await opened.submit("at", run_at=timestamp(clock.now + MINUTE))
        clock.now -= DAY
        await opened.claim(9)
        assert opened.next_due == clock.now + MINUTE
        clock.now += MINUTE
        await opened.claim(0)
        assert opened.claimed[-1][0] == "job"
        assert opened.job("at").run_at == timestamp(clock.now + DAY)  # that is what its client asked for

    run(test)


def test_a_restart_leaves_a_time_as_it_is(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("tomorrow", delay="1d")
        await opened.run("job")
        assert await opened.store.repeat("job", 1, DAY, ERROR)
        before = opened.job("tomorrow"), opened.job("job")
        await opened.reopen()
        assert await opened.take_over("echo") == {}
        await opened.claim(9)
        assert (opened.job("tomorrow"), opened.job("job")) == before
        assert (opened.store.pending, opened.store.scheduled) == (0, 2)
        assert await opened.take_over("other") == {"echo": 2}
        clock.now += 2 * DAY
        await opened.claim(0)
        assert [job_id for job_id, _ in opened.claimed] == ["job"]  # its first attempt: nobody runs these now
        assert (opened.store.pending, opened.store.scheduled) == (2, 0)
        assert await opened.take_over("echo") == {}
        await opened.claim(0)
        assert sorted(opened.claimed[1:]) == [("job", 2), ("tomorrow", 1)]

    run(test)


def test_a_job_that_waits_for_its_time_can_be_run_now_and_no_other(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("later", delay=60)
        change = await opened.store.run_now("later")
        assert (change.before, change.applied) == (Status.PENDING, True)
        assert opened.job("later").run_at is UNSET
        assert (opened.store.pending, opened.store.scheduled) == (1, 0)
        assert not (await opened.store.run_now("later")).applied
        await opened.claim()
        assert opened.claimed == [("later", 1)]
        change = await opened.store.run_now("later")
        assert (change.before, change.applied) == (Status.RUNNING, False)
        assert (await opened.store.run_now("unknown")).before is None

    run(test)


def test_a_job_that_waits_for_its_time_can_be_canceled_and_retried(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("later", delay=60)
        assert (await opened.store.cancel("later")).applied
        assert (opened.store.pending, opened.store.scheduled) == (0, 0)
        assert opened.job("later").run_at is UNSET
        await opened.claim()
        assert (await opened.store.retry("later")).applied
        await opened.claim(0)
        assert opened.claimed == [("later", 2)]  # a retry is for now

    run(test)


PUT_BACK: dict[str, Callable[[Opened], Awaitable[object]]] = {
    "repeat": lambda opened: opened.store.repeat("job", 1, MINUTE, ERROR),
    "postpone": lambda opened: opened.store.postpone("job", 1, MINUTE, ERROR),
}


@pytest.mark.parametrize("how", PUT_BACK)
def test_between_two_attempts_a_job_shows_when_it_goes_on_and_why_it_did_not(run: Run, clock: Clock, how: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        assert await PUT_BACK[how](opened) in (True, Status.PENDING)
        job = opened.job("job")
        assert (job.status, job.attempt, job.run_at, job.error) == (
            Status.PENDING,
            2,
            timestamp(clock.now + MINUTE),
            ERROR,
        )
        (earlier,), _ = opened.store.earlier_attempts("job", 0, 9)
        assert (earlier.status, earlier.error) == (Status.FAILURE if how == "repeat" else Status.PENDING, ERROR)
        clock.now += MINUTE
        await opened.claim()
        assert opened.claims[-1].losses == (how == "repeat")
        job = opened.job("job")
        assert (job.status, job.run_at, job.error) == (Status.RUNNING, UNSET, UNSET)

    run(test)


def test_an_error_of_an_earlier_attempt_is_no_error_of_a_canceled_job(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        assert await opened.store.repeat("job", 1, MINUTE, ERROR)
        assert (await opened.store.cancel("job")).applied
        assert opened.job("job").error is UNSET
        assert (await opened.store.retry("job")).applied
        assert [one.error for one in opened.store.earlier_attempts("job", 0, 9)[0]] == [ERROR, UNSET]

    run(test)


def test_a_job_that_is_postponed_again_and_again_fails_in_the_end(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        for attempt in range(1, MAX_POSTPONEMENTS + 1):
            await opened.claim()
            assert await opened.store.postpone("job", attempt, 0, Error("RetryLater", "busy")) is Status.PENDING
        await opened.claim()
        last = MAX_POSTPONEMENTS + 1
        assert await opened.store.postpone("job", last, 0, Error("RetryLater", "busy")) is Status.FAILURE
        error = opened.job("job").error
        assert isinstance(error, Error) and error.type == "RetryLater" and "1,000 times; last: busy" in error.message
        assert await opened.store.postpone("job", last, 0, ERROR) is None
        assert (await opened.store.retry("job")).applied  # which counts anew
        await opened.claim()
        assert await opened.store.postpone("job", last + 1, 0, ERROR) is Status.PENDING
        assert await opened.store.postpone("unknown", 1, 0, ERROR) is None

    run(test)


def test_a_higher_priority_goes_first_and_within_one_the_order_of_submission(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over("echo", function_of("low", priority=-2))
        for number, priority in enumerate([0, 10, -10, 0, 10, -10]):
            await opened.submit(f"job-{number}", priority=priority)
        await opened.submit("low", type="low")
        await opened.submit("raised", type="low", priority=1)
        assert [opened.job(one).priority for one in ("job-1", "job-0", "low", "raised")] == [10, UNSET, -2, 1]
        for _ in range(8):
            await opened.claim()
        order = ["job-1", "job-4", "raised", "job-0", "job-3", "low", "job-2", "job-5"]
        assert [job_id for job_id, _ in opened.claimed] == order
        assert {claim.due_at for claim in opened.claims} == {clock.now}

    run(test)


def test_what_waits_rises_until_nothing_overtakes_it(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("old", priority=-10)
        clock.now += 20 * LEVEL_MS - 1
        for job_id in ("before", "equal", "after"):
            await opened.submit(job_id, priority=10)
            clock.now += 1
        for _ in range(4):
            await opened.claim()
        assert [job_id for job_id, _ in opened.claimed] == ["before", "old", "equal", "after"]

    run(test)


def test_a_clock_that_is_set_back_lets_nobody_go_before_what_waits(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over("echo", function_of("limited", concurrency=1))
        for type_ in ("echo", "limited"):
            await opened.submit(f"{type_}-first", type=type_, priority=1)
            await opened.submit(f"{type_}-second", type=type_, priority=1)
        clock.now -= DAY
        await opened.claim(0)
        clock.now += 1
        for type_ in ("echo", "limited"):
            await opened.submit(f"{type_}-third", type=type_, priority=1)
        for _ in range(4):
            await opened.claim()
        assert [job_id for job_id, _ in opened.claimed] == ["echo-first", "echo-second", "limited-first", "echo-third"]

    run(test)


def test_a_job_keeps_its_priority_through_all_that_becomes_of_it(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("other")
        await opened.submit("job", priority=5, delay=1)
        clock.now += 1_000
        attempt = 0

        async def goes_first() -> None:
            nonlocal attempt
            attempt += 1
            await opened.submit(f"waits-{attempt}")
            assert opened.job("job").priority == 5
            clock.now += MINUTE
            await opened.submit(f"later-{attempt}", priority=4)
            await opened.claim()
            assert opened.claimed[-1] == ("job", attempt)

        await goes_first()
        assert await opened.store.repeat("job", 1, 0, ERROR)
        await goes_first()
        assert await opened.store.postpone("job", 2, 1_000, ERROR)
        clock.now += 1_000
        await goes_first()
        assert await opened.store.release("job", 3, ERROR)
        assert await opened.take_over("other") == {"echo": 9 - 2}
        assert await opened.take_over("echo") == {}
        await goes_first()
        assert await opened.store.fail("job", 4, ERROR)
        assert (await opened.store.retry("job")).applied
        await goes_first()

    run(test)


def test_what_was_interrupted_goes_before_every_priority(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job", priority=-10)
        await opened.claim()
        await opened.submit("high", priority=10)
        assert await opened.store.hand_back("job", 1)
        await opened.claim(2)
        assert [job_id for job_id, _ in opened.claimed[1:]] == ["job", "high"]
        assert opened.claims[1].due_at == FIRST

    run(test)


def test_what_is_too_late_is_a_failure_that_never_started_and_takes_no_slot(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        by = timestamp(clock.now + MINUTE)
        for number in range(3):
            await opened.submit(f"late-{number}", start_by=by, notify="https://hooks.example/")
        await opened.submit("job")
        assert opened.job("late-0").start_by == by
        clock.now += MINUTE
        await opened.claim()
        assert opened.claimed == [("late-0", 1)]  # just in time
        clock.now += 1
        await opened.claim_all(2)
        assert opened.claimed[1:] == [("job", 1)]
        assert opened.expired == ["late-1", "late-2"]
        assert (opened.store.slots, opened.store.pending) == (0, 0)
        job = opened.job("late-1")
        assert (job.status, job.started_at, job.finished_at) == (Status.FAILURE, UNSET, timestamp(clock.now))
        assert job.error == Error("Expired", f"it had not begun by {by}")
        (told,), _ = opened.store.deliveries.of_job("late-1", 0, 9)
        assert told.attempt == 1

    run(test)


def test_only_a_first_start_can_be_too_late(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        for job_id in ("begun", "expired"):
            await opened.submit(job_id, start_by=timestamp(clock.now))
        await opened.claim()
        assert await opened.store.repeat("begun", 1, MINUTE, ERROR)
        clock.now += MINUTE
        await opened.claim_all(2)
        assert (opened.claimed[1:], opened.expired) == ([("begun", 2)], ["expired"])
        assert (await opened.store.retry("expired")).applied  # somebody wants it after all
        assert [one.status for one in opened.store.earlier_attempts("expired", 0, 9)[0]] == [Status.FAILURE]
        await opened.claim()
        assert opened.claimed[2:] == [("expired", 2)]

    run(test)


@pytest.mark.parametrize("status", Status)
def test_a_job_expires_only_while_it_waits(run: Run, clock: Clock, status: Status) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job", start_by=timestamp(clock.now))
        for name in ROADS[status]:
            assert await apply(opened, name, "job", 1)
        clock.now += 1
        await opened.claim(9)
        assert opened.expired == (["job"] if status is Status.PENDING else [])
        assert opened.status("job") == (Status.FAILURE if status is Status.PENDING else status, 1)

    run(test)


def test_many_jobs_that_are_due_at_once_all_become_ready(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        for number in range(1_200):
            await opened.submit(f"job-{number}", delay=60)
        clock.now += MINUTE
        await opened.claim_all(1_200)
        assert [job_id for job_id, _ in opened.claimed] == [f"job-{number}" for number in range(1_200)]
        assert (opened.store.pending, opened.store.scheduled) == (0, 0)

    run(test)
