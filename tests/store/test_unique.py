"""No two jobs that are the same: as long as the first one waits, or has not ended, or for a time."""

import asyncio
import json

import pytest
from msgspec import UNSET

from asyncjob.contract import Submission
from asyncjob.job import Status, timestamp
from asyncjob.policies import Unique
from asyncjob.registry import JobFunction
from asyncjob.store import Duplicate
from tests.store.conftest import Clock, Run
from tests.store.opened import ERROR, Opened, apply, function_of

HOUR = 3_600_000
WAITING = function_of("echo", unique=Unique("key", while_="waiting"))
UNFINISHED = function_of("echo", unique=Unique("key"))
WITHIN = function_of("echo", unique=Unique("key", within="1h"))


async def _submit(opened: Opened, job_id: str, key: str = "a", value: int = 0) -> str | None:
    """The id of the job that is the same, if there is one."""
    parameters = json.dumps({"key": key, "value": value}).encode()
    found = await opened.submit(job_id, parameters)
    assert not isinstance(found, Submission)
    return None if found is None else found.job_id


def test_one_more_may_wait_behind_the_one_that_runs(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(WAITING)
        assert await _submit(opened, "first", value=1) is None
        assert await _submit(opened, "second", value=2) == "first"  # whatever else they say
        assert await _submit(opened, "other", key="b") is None
        await opened.claim(2)
        assert await _submit(opened, "behind") is None
        assert await _submit(opened, "no more") == "behind"
        assert opened.store.find("second") is None
        assert opened.store.pending == 1

    run(test)


def test_a_job_that_waits_for_its_next_attempt_is_in_nobodys_way_and_collides_with_none(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(WAITING)
        assert await _submit(opened, "first") is None
        await opened.claim()
        assert await _submit(opened, "second") is None
        assert await opened.store.repeat("first", 1, 0, ERROR)
        assert await _submit(opened, "third") == "second"
        await opened.claim(2)
        assert await _submit(opened, "third") is None
        assert await apply(opened, "fail", "first", 2)
        assert (await opened.store.retry("first")).applied

    run(test)


def test_a_deleted_job_is_in_nobodys_way(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(WITHIN)
        assert await _submit(opened, "first") is None
        await opened.claim()
        assert await apply(opened, "succeed", "first", 1)
        assert await _submit(opened, "second") == "first"
        assert (await opened.store.delete("first")).applied
        assert await _submit(opened, "second") is None
        assert await _submit(opened, "first") == "second"

    run(test)


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel"])
def test_until_the_first_one_has_ended_there_is_no_second(run: Run, end: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(UNFINISHED)
        assert await _submit(opened, "first") is None
        assert await _submit(opened, "second") == "first"
        await opened.claim()
        assert await _submit(opened, "second") == "first"
        assert await apply(opened, "repeat", "first", 1)
        assert await _submit(opened, "second") == "first"
        await opened.claim()
        assert await apply(opened, end, "first", 2)
        assert await _submit(opened, "second") is None
        change = await opened.store.retry("first")
        assert (change.before, change.applied, change.duplicate) == (opened.status("first")[0], False, "second")
        assert (await opened.store.cancel("second")).applied
        assert (await opened.store.retry("first")).applied
        assert (await opened.store.retry("second")).duplicate == "first"

    run(test)


def test_a_time_begins_with_the_submission_and_what_failed_is_in_nobodys_way(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(WITHIN)
        assert await _submit(opened, "first") is None
        await opened.claim()
        assert await apply(opened, "succeed", "first", 1)
        clock.now += HOUR
        assert await _submit(opened, "second") == "first"
        clock.now += 1
        assert await _submit(opened, "second") is None
        await opened.claim()
        assert await apply(opened, "fail", "second", 1)
        assert await _submit(opened, "third") is None
        assert (await opened.store.cancel("third")).applied
        assert await _submit(opened, "fourth") is None
        clock.now -= 3 * HOUR  # the clock was wrong until now: that must not last for ever
        assert await _submit(opened, "fifth") is None

    run(test)


@pytest.mark.parametrize("function", [WAITING, UNFINISHED, WITHIN], ids=["waiting", "unfinished", "within"])
def test_nobody_is_sent_behind_a_job_that_is_too_late_to_begin(run: Run, clock: Clock, function: JobFunction) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function)
        start_by = timestamp(clock.now + 1_000)
        assert await opened.submit("late", b'{"key":"a"}', start_by=start_by) is None
        clock.now += 1_000
        assert await _submit(opened, "in time") == "late"
        clock.now += 1
        assert await _submit(opened, "newer") is None
        assert opened.status("late") == (Status.FAILURE, 1)
        assert opened.expired == ["late"]
        assert await _submit(opened, "third") == "newer"
        assert opened.store.pending == 1

    run(test)


def test_one_that_is_too_late_before_its_time_has_come_is_counted_no_longer(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(UNFINISHED)
        start_by = timestamp(clock.now + 1_000)
        assert await opened.submit("late", b'{"key":"a"}', delay="1h", start_by=start_by) is None
        assert (opened.store.pending, opened.store.scheduled) == (0, 1)
        clock.now += 1_001
        assert await _submit(opened, "newer") is None
        await opened.claim(0)
        assert opened.expired == ["late"]
        assert (opened.store.pending, opened.store.scheduled) == (1, 0)

    run(test)


def test_the_same_id_comes_first(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(UNFINISHED)
        assert await _submit(opened, "first") is None
        found = await opened.submit("first", b'{"key": "a", "value": 0}')
        assert isinstance(found, Submission) and found.job_id == "first"
        found = await opened.submit("first", b'{"key": "other"}')
        assert isinstance(found, Submission) and found.job_id == "first"

    run(test)


def test_values_are_compared_as_the_function_gets_them(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function_of("echo", unique=Unique()), function_of("other", unique=Unique()))
        assert await opened.submit("first", b'{"value":0,"key":""}') is None
        assert await opened.submit("second", b"{}") == Duplicate("first")
        assert await opened.submit("third", b'{"value":1}') is None
        assert await opened.submit("fourth", b"{}", "other") is None

    run(test)


def test_of_many_that_come_at_once_one_is_saved(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(UNFINISHED)
        found = await asyncio.gather(*[_submit(opened, f"job-{number}") for number in range(50)])
        assert found == [None] + ["job-0"] * 49
        assert opened.store.pending == 1

    run(test)


def test_a_duplicate_that_waits_for_its_time_is_found_too(run: Run, clock: Clock) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(WAITING)
        assert await opened.submit("later", b'{"key":"a"}', delay="1h") is None
        assert await _submit(opened, "now") == "later"
        assert (opened.store.pending, opened.store.scheduled) == (0, 1)
        clock.now += HOUR
        await opened.claim()
        assert opened.status("later") == (Status.RUNNING, 1)
        assert await _submit(opened, "now") is None

    run(test)


def test_other_servers_find_the_same(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(UNFINISHED)
        assert await _submit(opened, "first") is None
        await opened.reopen()
        await opened.take_over(UNFINISHED)
        assert await _submit(opened, "second") == "first"
        await opened.reopen()
        await opened.take_over("echo")  # it has no such rule any more
        assert await _submit(opened, "second") is None

    run(test)


@pytest.mark.parametrize("function", [WAITING, UNFINISHED, WITHIN], ids=["waiting", "unfinished", "within"])
def test_what_a_job_would_be_the_same_as_is_known_before_it_is_saved(
    run: Run, clock: Clock, function: JobFunction
) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function, "plain")
        same, other = (Submission(UNSET, "echo", b'{"key":"%b"}' % key) for key in (b"a", b"b"))
        assert opened.store.find_same(same) is None
        assert await opened.submit("first", b'{"key":"a"}', start_by=timestamp(clock.now + 1_000)) is None
        assert opened.store.find_same(same) == Duplicate("first")
        assert opened.store.find_same(other) is None
        assert opened.store.find_same(Submission(UNSET, "plain", b'{"key":"a"}')) is None
        clock.now += 1_001  # too late for it to begin
        assert opened.store.find_same(same) is None
        assert await _submit(opened, "second") is None
        assert opened.store.find_same(same) == Duplicate("second")

    run(test)


OF_VALUE = function_of("echo", unique=Unique("value"))
RULES = {"none": function_of("echo"), "waiting": WAITING, "unfinished": UNFINISHED, "within": WITHIN, "value": OF_VALUE}


@pytest.mark.parametrize("before", RULES)
@pytest.mark.parametrize("after", ["waiting", "unfinished", "within"])
def test_a_rule_that_has_changed_holds_for_what_was_there_before(run: Run, before: str, after: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(RULES[before])
        assert await _submit(opened, "runs", "a", 1) is None
        await opened.claim()
        assert await _submit(opened, "waits", "b", 2) is None
        assert await opened.submit("later", b'{"key":"c","value":3}', delay="1h") is None
        await opened.reopen()
        await opened.take_over(RULES[after])
        assert await _submit(opened, "new b", "b", 5) == "waits"
        assert await _submit(opened, "new c", "c", 6) == "later"
        assert await _submit(opened, "new a", "a", 7) == (None if after == "waiting" else "runs")

    run(test)


@pytest.mark.parametrize("after", ["waiting", "unfinished", "within"])
def test_of_several_that_are_the_same_by_a_new_rule_the_newest_is_named_and_all_run(run: Run, after: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over("echo")
        for number in range(3):
            assert await _submit(opened, f"job-{number}", "a", number) is None
        await opened.reopen()
        await opened.take_over(RULES[after])
        assert await _submit(opened, "new") == "job-2"
        await opened.claim_all(3)
        assert opened.newly_claimed() == ["job-0", "job-1", "job-2"]

    run(test)


@pytest.mark.parametrize("before", ["waiting", "unfinished", "within", "none"])
@pytest.mark.parametrize("after", ["waiting", "unfinished", "within", "none"])
def test_a_retry_goes_by_the_rule_that_holds_now(run: Run, before: str, after: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(RULES[before])
        for name in ("first", "second"):
            assert await _submit(opened, name) is None
            await opened.claim()
            assert await apply(opened, "fail", name, 1)
        assert await _submit(opened, "third") is None
        await opened.reopen()
        await opened.take_over(RULES[after])
        for name in ("first", "second"):
            change = await opened.store.retry(name)
            assert (change.applied, change.duplicate) == ((False, "third") if after == "unfinished" else (True, None))
        assert (await _submit(opened, "fourth")) == (None if after == "none" else "third")

    run(test)
