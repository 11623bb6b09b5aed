"""Schedules in a store: a step is one transaction, and is guarded by what it expects."""

from typing import Any

import pytest

from asyncjob.job import Error, Status
from asyncjob.options import Options
from asyncjob.plans import Plan
from asyncjob.policies import Unique
from asyncjob.schedules import Timing
from asyncjob.store import Begin, Fired, Firing, Scheduled, Success
from tests.store.conftest import Run
from tests.store.opened import ERROR, Opened, function_of

MANY = 1_000
EVERY = Timing(every=60)


def _plan(**values: Any) -> Plan:
    return Plan(**{"type": "echo", "timing": EVERY, "parameters": b'{"a":1}', **values})


async def _made(opened: Opened, schedule_id: str = "s", next_at: int | None = 1_000, **values: Any) -> Scheduled:
    assert await opened.store.schedules.put(schedule_id, _plan(**values), next_at, MANY)
    return _found(opened, schedule_id)


def _found(opened: Opened, schedule_id: str = "s") -> Scheduled:
    found = opened.store.schedules.find(schedule_id)
    assert found is not None
    return found


async def _fire(opened: Opened, scheduled: Scheduled, *job_ids: str, next_at: int | None = 2_000) -> Fired:
    jobs = [Begin(job_id, 1_000 + number) for number, job_id in enumerate(job_ids)]
    (fired,) = await opened.store.schedules.fire([Firing(scheduled, jobs, next_at, 1_000)])
    return fired


def test_a_job_that_is_the_same_is_named_in_place_of_the_one_that_was_not_saved(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.take_over(function_of("echo", unique=Unique()))
        assert await opened.submit("there", b'{"a":1}') is None
        fired = await _fire(opened, await _made(opened), "s~1")
        assert (fired.applied, list(fired.begun), list(fired.there)) == (True, [], ["there"])
        last = _found(opened).last
        assert last is not None and last.job_id == "there"
        assert opened.store.find("s~1") is None

    run(test)


def test_a_schedule_is_found_as_it_was_saved(run: Run) -> None:
    async def test(opened: Opened) -> None:
        plan = _plan(
            timing=Timing("0 9 * * *", "Europe/Berlin"),
            options=Options(notify="https://example.com/", priority=3, delay=5),
            missed="none",
            overlap="skip",
        )
        assert opened.store.schedules.find("s") is None
        assert await opened.store.schedules.put("s", plan, 1_000, MANY) is True
        found = _found(opened)
        assert (found.schedule_id, found.plan, found.next_at) == ("s", plan, 1_000)
        assert (found.is_paused, found.handled_at, found.last) == (False, None, None)
        await opened.reopen()
        assert _found(opened) == found

    run(test)


def test_pages_have_all_in_the_order_in_which_they_were_made(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for number in range(5):
            await _made(opened, f"s{number}")
        await _made(opened, "s0", type="other")  # changing one moves it nowhere
        assert opened.store.schedules.count() == 5
        seen, after = [], 0
        while True:
            page, cursor = opened.store.schedules.page(after, 2)
            seen += [one.schedule_id for one in page]
            if cursor is None:
                break
            after = cursor
        assert seen == [f"s{number}" for number in range(5)]

    run(test)


def test_a_step_begins_jobs_and_says_what_comes_next(run: Run) -> None:
    async def test(opened: Opened) -> None:
        scheduled = await _made(opened)
        fired = await _fire(opened, scheduled, "s~1", "s~2")
        assert (fired.applied, list(fired.begun), fired.overlapping) == (True, ["s~1", "s~2"], None)
        for job_id in ("s~1", "s~2"):
            assert opened.status(job_id) == (Status.PENDING, 1)
            assert bytes(opened.job(job_id).parameters) == b'{"a":1}'
        found = _found(opened)
        assert (found.next_at, found.handled_at) == (2_000, 1_000)
        assert found.last is not None
        assert (found.last.job_id, found.last.at, found.last.status) == ("s~2", 1_001, Status.PENDING)
        assert opened.store.pending == 2
        await opened.claim_all(2)
        assert opened.store.pending == 0

    run(test)


def test_a_step_that_expects_another_next_time_or_plan_writes_nothing(run: Run) -> None:
    async def test(opened: Opened) -> None:
        scheduled = await _made(opened)
        stale = [
            scheduled._replace(next_at=999),
            scheduled._replace(next_at=None),
            scheduled._replace(plan=_plan(parameters=b"{}")),
            scheduled._replace(schedule_id="unknown"),
        ]
        for expected in stale:
            assert await _fire(opened, expected, "s~1") == Fired(applied=False)
        assert opened.store.find("s~1") is None
        assert _found(opened) == scheduled
        assert (await _fire(opened, scheduled, "s~1")).applied
        assert not (await _fire(opened, scheduled, "s~2")).applied  # a second timer comes too late
        assert opened.store.find("s~2") is None

    run(test)


def test_a_job_whose_id_is_taken_is_not_begun_again(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("s~1")
        await opened.store.succeed([Success("s~1", 1, b"1")])
        fired = await _fire(opened, await _made(opened), "s~1", "s~2")
        assert (fired.applied, list(fired.begun)) == (True, ["s~2"])
        assert opened.status("s~1") == (Status.SUCCESS, 1)
        assert opened.store.pending == 1

    run(test)


def test_one_that_must_not_overlap_begins_nothing_while_its_last_job_runs(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await _fire(opened, await _made(opened, overlap="skip"), "s~1")
        for status in (Status.PENDING, Status.RUNNING):
            assert opened.status("s~1")[0] is status
            fired = await _fire(opened, _found(opened), "s~2", next_at=3_000)
            assert (fired.applied, fired.overlapping, list(fired.begun)) == (True, "s~1", [])
            assert opened.store.find("s~2") is None
            last = _found(opened).last
            assert (_found(opened).next_at, last and last.job_id) == (3_000, "s~1")
            await opened.claim()
        await opened.store.fail("s~1", 1, ERROR)
        assert list((await _fire(opened, _found(opened), "s~2")).begun) == ["s~2"]

    run(test)


@pytest.mark.parametrize("by", ["purge", "delete"])
def test_what_the_last_job_has_become_stays_known_after_it_is_gone(run: Run, by: str) -> None:
    async def test(opened: Opened) -> None:
        await _fire(opened, await _made(opened), "s~1")
        await _made(opened, "other")
        await opened.claim()
        await opened.store.fail("s~1", 1, Error("ValueError", "why"))
        before = _found(opened)
        if by == "purge":
            assert (await opened.store.purge("9", 0, 100))[0] == 1
        else:
            assert (await opened.store.delete("s~1")).applied
        assert opened.store.find("s~1") is None
        assert before.last is not None
        assert (before.last.status, before.last.error) == (Status.FAILURE, Error("ValueError", "why"))
        assert _found(opened) == before
        await _fire(opened, before, "s~2")
        last = _found(opened).last
        assert last is not None and (last.status, last.error) == (Status.PENDING, None)

    run(test)


def test_due_are_those_whose_time_has_come_and_whose_type_is_known(run: Run) -> None:
    async def test(opened: Opened) -> None:
        schedules = opened.store.schedules
        assert schedules.next_at(["echo"]) is None
        for name, next_at, type_ in [("late", 500, "echo"), ("on-time", 1_000, "echo"), ("early", 1_001, "echo")]:
            await _made(opened, name, next_at, type=type_)
        await _made(opened, "unknown", 1, type="gone")
        await _made(opened, "never", None)
        await _made(opened, "paused", 1)
        await schedules.pause("paused")
        assert [one.schedule_id for one in schedules.due(["echo"], 1_000, 10)] == ["late", "on-time"]
        assert [one.schedule_id for one in schedules.due(["echo"], 1_000, 1)] == ["late"]
        assert [one.schedule_id for one in schedules.due(["echo", "gone"], 1_000, 1)] == ["unknown"]
        assert (schedules.next_at(["echo"]), schedules.next_at(["gone"]), schedules.next_at([])) == (500, 1, None)

    run(test)


def test_a_paused_schedule_waits_until_it_is_resumed(run: Run) -> None:
    async def test(opened: Opened) -> None:
        schedules = opened.store.schedules
        await _made(opened)
        for _ in range(2):
            assert await schedules.pause("s")
            assert (_found(opened).is_paused, _found(opened).next_at) == (True, None)
        await opened.reopen()
        schedules = opened.store.schedules
        assert await schedules.put("s", _plan(timing=Timing(every=5)), 4_000, MANY)
        assert (_found(opened).is_paused, _found(opened).next_at) == (True, None)
        assert await schedules.resume("s", 5_000)
        assert await schedules.resume("s", 6_000)  # it goes on already
        assert (_found(opened).is_paused, _found(opened).next_at) == (False, 5_000)
        assert not await schedules.pause("unknown")
        assert not await schedules.resume("unknown", 1)

    run(test)


def test_another_timing_has_another_next_time_and_other_parameters_have_the_same(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await _made(opened)
        assert (await _made(opened, next_at=5_000, parameters=b"{}")).next_at == 1_000
        assert (await _made(opened, next_at=5_000, timing=Timing(every=61))).next_at == 5_000
        assert (await _made(opened, next_at=6_000, timing=Timing("* * * * *", "UTC"))).next_at == 6_000
        assert (await _made(opened, next_at=7_000, timing=Timing("* * * * *", "Asia/Tokyo"))).next_at == 7_000

    run(test)


def test_what_the_code_declares_no_more_is_deleted_and_what_clients_made_stays(run: Run) -> None:
    async def test(opened: Opened) -> None:
        schedules = opened.store.schedules
        await _made(opened, "clients")
        declared = _plan(declared=True)
        assert await schedules.declare({"a": (declared, 1_000), "b": (declared, 1_000)}) == []
        await schedules.pause("a")
        await _fire(opened, _found(opened, "b"), "b~1")
        await opened.reopen()
        schedules = opened.store.schedules
        assert await schedules.declare({"a": (declared, 3_000), "c": (declared, 3_000)}) == ["b"]
        assert (_found(opened, "a").is_paused, _found(opened, "c").next_at) == (True, 3_000)
        assert schedules.find("b") is None
        assert opened.status("b~1") == (Status.PENDING, 1)
        assert not _found(opened, "clients").plan.declared
        assert await schedules.declare({"clients": (declared, 3_000)}) == ["a", "c"]
        assert _found(opened, "clients").plan.declared

    run(test)


def test_a_client_changes_and_deletes_only_what_the_code_does_not_declare(run: Run) -> None:
    async def test(opened: Opened) -> None:
        schedules = opened.store.schedules
        await schedules.declare({"s": (_plan(declared=True), 1_000)})
        assert await schedules.put("s", _plan(), 5_000, MANY) is False
        assert await schedules.remove("s") is False
        assert _found(opened).plan.declared
        await _made(opened, "mine")
        assert await schedules.remove("mine") is True
        assert await schedules.remove("mine") is None
        assert schedules.find("mine") is None

    run(test)


def test_there_are_no_more_than_so_many(run: Run) -> None:
    async def test(opened: Opened) -> None:
        schedules = opened.store.schedules
        assert await schedules.put("a", _plan(), 1, 1) is True
        assert await schedules.put("b", _plan(), 1, 1) is None
        assert await schedules.put("a", _plan(type="other"), 1, 1) is True  # it is there already
        assert schedules.count() == 1

    run(test)


def test_a_schedule_is_moved_if_it_is_as_expected(run: Run) -> None:
    async def test(opened: Opened) -> None:
        first, second = await _made(opened, "a"), await _made(opened, "b")
        await opened.store.schedules.move([(first, 3_000), (second._replace(next_at=7), 3_000)])
        assert (_found(opened, "a").next_at, _found(opened, "b").next_at) == (3_000, 1_000)

    run(test)


def test_jobs_have_the_options_of_their_schedule(run: Run) -> None:
    async def test(opened: Opened) -> None:
        scheduled = await _made(opened, options=Options(priority=5, delay=3_600))
        assert (await _fire(opened, scheduled, "s~1")).begun
        submission = opened.store.find_submission("s~1")
        assert submission is not None and submission.options == Options(priority=5, delay=3_600)
        assert (opened.store.pending, opened.store.scheduled) == (0, 1)

    run(test)
