"""Every outcome of a job with `notify` saves one notification, which waits until it is delivered or given up."""

import asyncio
import json

import msgspec
import pytest
from msgspec import UNSET

from asyncjob.job import Status, milliseconds
from asyncjob.store import DeliveryStatus, Due, Success
from tests.store.conftest import Run
from tests.store.opened import ERROR, Opened, apply

HOOK = "https://Hooks.example:8443/jobs?token=1"
RECEIVER = "hooks.example:8443"


def _ids(opened: Opened, job_id: str) -> list[str]:
    return [one.id for one in opened.store.deliveries.of_job(job_id, 0, 100)[0]]


async def _due(opened: Opened, job_id: str) -> Due:
    """The notification of a job that names HOOK and has failed."""
    await opened.run(job_id, notify=HOOK)
    assert await apply(opened, "fail", job_id, 1)
    due = opened.store.deliveries.find(_ids(opened, job_id)[-1])
    assert due is not None
    return due


@pytest.mark.parametrize("road", ["succeed", "fail", "cancel"])
def test_an_end_is_told_as_a_get_shows_it_without_what_may_be_large(run: Run, road: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job", notify=HOOK)
        assert _ids(opened, "job") == []
        assert await apply(opened, road, "job", 1)
        (shown,), _ = opened.store.deliveries.of_job("job", 0, 100)
        due = opened.store.deliveries.find(shown.id)
        assert due is not None
        job = msgspec.to_builtins(msgspec.structs.replace(opened.job("job"), parameters=UNSET, results=UNSET))
        expected = {"type": f"job.{job['status'].lower()}", "timestamp": job["finishedAt"], "data": job}
        assert due.body == json.dumps(expected, separators=(",", ":"))  # its fields in the same order, too
        assert (due.job_id, due.url, due.tries) == ("job", HOOK, 0)
        assert due.created_ms == milliseconds(job["finishedAt"])
        assert (shown.status, shown.attempt, shown.url, shown.tries) == (DeliveryStatus.WAITING, 1, HOOK, 0)
        assert shown.created_at == shown.next_try_at == job["finishedAt"]

    run(test)


def test_a_text_that_json_escapes_is_told_as_it_is(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job", notify=HOOK)
        error = msgspec.structs.replace(ERROR, message='"\\\x00\x1f\u2028é😀')
        assert await opened.store.fail("job", 1, error)
        due = opened.store.deliveries.find(_ids(opened, "job")[0])
        assert due is not None
        assert json.loads(due.body)["data"]["error"] == {"type": error.type, "message": error.message}

    run(test)


@pytest.mark.parametrize("road", ["repeat", "release", "retry"])
def test_what_is_no_end_is_not_told_nor_an_end_that_nobody_is_named_for(run: Run, road: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job", notify=HOOK if road != "retry" else None)
        if road == "retry":
            await apply(opened, "fail", "job", 1)
        assert await apply(opened, road, "job", 1)
        assert _ids(opened, "job") == []

    run(test)


def test_an_end_that_the_guard_refused_is_not_told(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job", notify=HOOK)
        for road in ("succeed", "fail"):
            assert not await apply(opened, road, "job", 2)
        assert _ids(opened, "job") == []
        await opened.store.cancel("job")
        assert len(_ids(opened, "job")) == 1
        for road in ("succeed", "fail", "cancel"):
            assert not await apply(opened, road, "job", 1)
        assert len(_ids(opened, "job")) == 1

    run(test)


def test_of_many_outcomes_saved_together_each_is_told_once_and_the_refused_not(run: Run) -> None:
    async def test(opened: Opened) -> None:
        ids = [f"job-{number}" for number in range(30)]
        for number, job_id in enumerate(ids):
            await opened.submit(job_id, notify=HOOK if number % 3 else None)
        await opened.claim_all(30)
        await opened.store.cancel("job-7")
        outcomes = [Success(job_id, 1, b'"x"') for job_id in ids]
        written, again = await asyncio.gather(opened.store.succeed(outcomes), opened.store.succeed(outcomes[:3]))
        assert (written.count(False), again) == (1, [False] * 3)
        for number, job_id in enumerate(ids):
            told, _ = opened.store.deliveries.of_job(job_id, 0, 100)
            assert len(told) == (number % 3 != 0)
        (canceled,) = _ids(opened, "job-7")
        due = opened.store.deliveries.find(canceled)
        assert due is not None
        assert json.loads(due.body)["type"] == "job.canceled"

    run(test)


def test_each_further_end_is_told_anew_and_the_earlier_ones_stay(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job", notify=HOOK)
        for attempt in (1, 2, 3):
            assert await apply(opened, "fail", "job", attempt)
            assert (await opened.store.retry("job")).applied
            await opened.claim_all(attempt + 1)
        page, cursor = opened.store.deliveries.of_job("job", 0, 2)
        assert cursor is not None
        rest, end = opened.store.deliveries.of_job("job", cursor, 2)
        assert [one.attempt for one in page + rest] == [1, 2, 3]
        assert end is None
        assert len({one.id for one in page + rest}) == 3

    run(test)


def test_what_is_due_is_found_by_receiver_and_what_is_passed_or_later_is_not(run: Run) -> None:
    urls = {"a": HOOK, "b": "http://127.0.0.1", "c": HOOK.replace("/jobs", "?"), "d": "https://x.example#f"}
    receivers = {"a": RECEIVER, "b": "127.0.0.1", "c": RECEIVER, "d": "x.example"}

    async def test(opened: Opened) -> None:
        deliveries = opened.store.deliveries
        assert await deliveries.due((), 2**50) == {}
        for job_id, url in urls.items():
            await opened.submit(job_id, notify=url)
            await opened.store.cancel(job_id)
        ids = {job_id: _ids(opened, job_id)[0] for job_id in urls}
        now = max(milliseconds(str(opened.job(job_id).finished_at)) for job_id in urls)
        expected = {name: [ids[job] for job in urls if receivers[job] == name] for name in receivers.values()}
        assert await deliveries.due((), now) == expected
        assert set(await deliveries.due({RECEIVER}, now)) == {"127.0.0.1", "x.example"}
        assert await deliveries.due((), now - 3_600_000) == {}
        first = deliveries.find(ids["a"])
        assert first is not None
        await deliveries.again(first, "no answer", 2**50)
        assert (await deliveries.due((), now))[RECEIVER] == [ids["c"]]
        assert deliveries.find(ids["a"]) is None
        assert deliveries.next_due_at(now) == 2**50
        assert deliveries.next_due_at(2**50) is None

    run(test)


def test_a_try_that_failed_is_told_with_its_error_until_one_has_delivered(run: Run) -> None:
    async def test(opened: Opened) -> None:
        due = await _due(opened, "job")
        await opened.store.deliveries.again(due._replace(tries=1), "no answer", 5)
        (shown,), _ = opened.store.deliveries.of_job("job", 0, 9)
        assert (shown.status, shown.tries, shown.error) == (DeliveryStatus.WAITING, 1, "no answer")
        assert shown.next_try_at == "1970-01-01T00:00:00.005Z"
        assert opened.store.deliveries.find(due.id) == due._replace(tries=1)
        await opened.store.deliveries.delivered(due._replace(tries=2))
        (shown,), _ = opened.store.deliveries.of_job("job", 0, 9)
        assert (shown.status, shown.tries, shown.error) == (DeliveryStatus.DELIVERED, 2, UNSET)
        assert (shown.next_try_at, shown.finished_at is UNSET) == (UNSET, False)

    run(test)


@pytest.mark.parametrize("end", ["delivered", "failed"])
def test_what_has_ended_is_changed_no_more(run: Run, end: str) -> None:
    async def test(opened: Opened) -> None:
        deliveries = opened.store.deliveries
        due = await _due(opened, "job")
        await (deliveries.delivered(due) if end == "delivered" else deliveries.failed(due, "gone"))
        before = deliveries.of_job("job", 0, 9)
        await deliveries.delivered(due._replace(tries=7))
        await deliveries.failed(due._replace(tries=7), "other")
        await deliveries.again(due._replace(tries=7), "other", 5)
        assert deliveries.of_job("job", 0, 9) == before
        assert before[0][0].status == end.capitalize()
        assert deliveries.find(due.id) is None
        assert await deliveries.due((), 2**50) == {}

    run(test)


@pytest.mark.parametrize("end", ["delivered", "failed"])
@pytest.mark.parametrize("by", ["purge", "delete"])
def test_a_job_that_is_gone_leaves_what_waits_and_takes_what_is_over(run: Run, by: str, end: str) -> None:
    async def test(opened: Opened) -> None:
        deliveries = opened.store.deliveries
        waits, over = await _due(opened, "waits"), await _due(opened, "over")
        await deliveries.delivered(over)
        if by == "purge":
            assert await opened.store.purge("9999", 0, 9) == (2, None)
        else:
            assert all([(await opened.store.delete(job_id)).applied for job_id in ("waits", "over")])
        assert _ids(opened, "over") == []
        assert deliveries.find(waits.id) == waits
        await (deliveries.delivered(waits) if end == "delivered" else deliveries.failed(waits, "gone"))
        assert _ids(opened, "waits") == []
        assert await deliveries.due((), 2**50) == {}

    run(test)


def test_what_waits_is_sent_by_the_next_server(run: Run) -> None:
    async def test(opened: Opened) -> None:
        due = await _due(opened, "job")
        await opened.reopen()
        assert opened.status("job") == (Status.FAILURE, 1)
        assert opened.store.deliveries.find(due.id) == due
        assert await opened.store.deliveries.due((), due.created_ms) == {RECEIVER: [due.id]}

    run(test)
