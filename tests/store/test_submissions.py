"""Submissions are saved once and unchanged, pages and counts show them, and a purge deletes them."""

import asyncio

import pytest
from msgspec import UNSET

from asyncjob.contract import ListQuery, Submission
from asyncjob.job import Status
from asyncjob.options import Options
from asyncjob.store import Success
from tests.store.conftest import Run
from tests.store.opened import Opened, apply


def test_a_new_job_is_pending_in_its_first_attempt_and_can_be_read_at_once(run: Run) -> None:
    async def test(opened: Opened) -> None:
        assert await opened.submit("job", b'{"a":1}') is None
        job = opened.job("job")
        assert (job.type, job.status, job.attempt, bytes(job.parameters)) == ("echo", Status.PENDING, 1, b'{"a":1}')
        assert (job.started_at, job.finished_at, job.results, job.error) == (UNSET,) * 4
        assert opened.store.find_submission("job") == Submission("job", "echo", b'{"a":1}')
        assert opened.store.find("other") is None
        assert opened.store.find_submission("other") is None

    run(test)


def test_of_many_submissions_with_one_id_the_first_is_saved(run: Run) -> None:
    async def test(opened: Opened) -> None:
        given = [(f"job-{number % 3}", b'{"number":%d}' % number) for number in range(9)]
        earlier = await asyncio.gather(*[opened.submit(*submission) for submission in given])
        assert earlier[:3] == [None] * 3
        assert [found.parameters for found in earlier[3:] if isinstance(found, Submission)] == [
            given[number % 3][1] for number in range(3, 9)
        ]
        assert opened.store.pending == 3

    run(test)


@pytest.mark.parametrize("status", ["claim", "succeed", "cancel"])
def test_the_same_id_again_changes_nothing_whatever_has_become_of_the_job(run: Run, status: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job", notify="https://hooks.example/1")
        await apply(opened, "claim", "job", 1)
        await apply(opened, status, "job", 1)
        before = opened.job("job")
        earlier = await opened.submit("job", b'{"other":1}', "other")
        assert earlier == Submission("job", "echo", b"{}", Options(notify="https://hooks.example/1"))
        assert (opened.job("job"), opened.store.pending) == (before, 0)

    run(test)


def test_parameters_and_results_are_kept_to_the_letter(run: Run) -> None:
    texts = [
        '{"a":1e400}',
        '{"b":1.10}',
        '{"c":"\\u0000\\ud83d\\ude00"}',
        '{"d":"\'\\"\\\\"}',
        '{"e":"é😀\u2028"}',
        '{"a":1,"a":2}',
        "[" * 3000,
    ]

    async def test(opened: Opened) -> None:
        for number, text in enumerate(text.encode() for text in texts):
            await opened.submit(f"job-{number}", text)
            await opened.claim()
            assert opened.claims[-1].parameters == text
            assert (await opened.store.succeed([Success(f"job-{number}", 1, text)]))[0]
            job = opened.job(f"job-{number}")
            assert (bytes(job.parameters), bytes(job.results)) == (text, text)  # type: ignore[arg-type]

    run(test)


def test_a_listing_is_bounded_by_its_limit(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for number in range(5):
            await opened.submit(f"job-{number}")
        jobs, cursor = await opened.store.page(ListQuery(limit=2))
        assert [job.job_id for job in jobs] == ["job-4", "job-3"]
        jobs, cursor = await opened.store.page(ListQuery(limit=3, before=cursor))
        assert [job.job_id for job in jobs] == ["job-2", "job-1", "job-0"]
        assert cursor is None

    run(test)


def test_a_listing_and_the_counts_tell_jobs_apart_by_status_and_type(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for status, road in {"Success": "succeed", "Failure": "fail", "Running": "claim"}.items():
            await opened.run(status, type="other" if status == "Failure" else "echo")
            if road != "claim":
                assert await apply(opened, road, status, 1)
        await opened.submit("Pending", type="other")
        await opened.submit("Canceled", type="other")
        await opened.store.cancel("Canceled")
        for wanted in Status:
            jobs, _ = await opened.store.page(ListQuery(status=wanted))
            assert [job.job_id for job in jobs] == [wanted]
        jobs, _ = await opened.store.page(ListQuery(type="other"))
        assert [job.job_id for job in jobs] == ["Canceled", "Pending", "Failure"]
        jobs, _ = await opened.store.page(ListQuery(type="other", status=Status.SUCCESS))
        assert jobs == []
        jobs, _ = await opened.store.page(ListQuery(type="other", status=Status.FAILURE))
        assert jobs == [opened.job("Failure")]
        assert await opened.store.counts() == dict.fromkeys(Status, 1)
        others = (Status.PENDING, Status.FAILURE, Status.CANCELED)
        assert await opened.store.counts("other") == {status: int(status in others) for status in Status}
        assert await opened.store.counts("echo") == {status: int(status not in others) for status in Status}
        assert await opened.store.counts("unknown") == dict.fromkeys(Status, 0)

    run(test)


def test_a_deleted_job_takes_its_attempts_along_and_is_in_no_list(run: Run) -> None:
    async def test(opened: Opened) -> None:
        for job_id in ("job", "beside"):
            await opened.run(job_id)
            await apply(opened, "fail", job_id, 1)
        await opened.store.retry("job")
        await opened.claim_all(3)
        await apply(opened, "fail", "job", 2)
        assert len(opened.store.earlier_attempts("job", 0, 9)[0]) == 1
        assert (await opened.store.delete("job")).applied
        jobs, _ = await opened.store.page(ListQuery())
        assert [job.job_id for job in jobs] == ["beside"]
        assert await opened.submit("job") is None
        assert opened.store.earlier_attempts("job", 0, 9) == ([], False)
        assert [job.job_id for job in (await opened.store.page(ListQuery()))[0]] == ["job", "beside"]

    run(test)


def test_old_final_jobs_are_purged_a_few_at_a_time_and_no_others(run: Run) -> None:
    later = "9999-01-01T00:00:00.000Z"

    async def test(opened: Opened) -> None:
        for number in range(5):
            await opened.run(f"final-{number}")
            await apply(opened, "fail", f"final-{number}", 1)
        await opened.store.retry("final-3")
        await opened.claim_all(6)
        await opened.submit("waits")
        assert await opened.store.purge("2000-01-01T00:00:00.000Z", 0, 2) == (0, None)  # all are too young
        deleted, after = 0, 0
        rounds = 0
        while True:
            count, cursor = await opened.store.purge(later, after, 2)
            deleted, rounds = deleted + count, rounds + 1
            if cursor is None:
                break
            after = cursor
        assert (deleted, rounds) == (4, 4)
        jobs, _ = await opened.store.page(ListQuery())
        assert [job.job_id for job in jobs] == ["waits", "final-3"]
        assert await opened.submit("final-0") is None  # the id is free again, and has no earlier attempts
        assert opened.store.earlier_attempts("final-0", 0, 9) == ([], False)

    run(test)
