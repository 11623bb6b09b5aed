"""Progress, earlier attempts, and what a cancel or a retry changes."""

import pytest
from msgspec import UNSET

from asyncjob.job import Error, Progress, Status
from asyncjob.store import Attempt, Change
from tests.store.conftest import Run
from tests.store.opened import ERROR, Opened, apply


@pytest.mark.parametrize("name", ["cancel", "retry"])
def test_a_change_says_what_the_job_was_before(run: Run, name: str) -> None:
    async def test(opened: Opened) -> None:
        change = opened.store.cancel if name == "cancel" else opened.store.retry
        assert await change("unknown") == Change(None, 0, applied=False)
        await opened.run("job")
        assert await opened.store.release("job", 1, ERROR)
        await opened.claim_all(2)
        expected = Change(Status.RUNNING, 2, applied=name == "cancel")
        assert await change("job") == expected
        await apply(opened, "fail", "job", 2)
        again = await change("job")
        assert again.applied == (name == "retry")
        assert again.before is (Status.CANCELED if name == "cancel" else Status.FAILURE)

    run(test)


@pytest.mark.parametrize("road", ["succeed", "fail", "cancel"])
def test_a_retried_job_is_as_new_but_for_its_attempt(run: Run, road: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        new = opened.job("job")
        assert await opened.store.progress("job", 1, Progress(0.5, "half"))
        assert await apply(opened, road, "job", 1)
        ended = opened.job("job")
        assert ended.finished_at is not UNSET
        assert ended.progress == Progress(0.5, "half")
        assert (await opened.store.retry("job")).applied
        job = opened.job("job")
        assert (job.status, job.attempt, job.created_at, job.parameters) == (
            Status.PENDING,
            2,
            new.created_at,
            new.parameters,
        )
        assert (job.progress, job.results, job.error, job.started_at, job.finished_at) == (UNSET,) * 5
        kept = Attempt(1, ended.status, ended.started_at, ended.finished_at, ended.error)
        assert opened.store.earlier_attempts("job", 0, 9) == ([kept], False)

    run(test)


def test_a_cancel_before_the_start_leaves_a_job_that_never_started(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        assert await opened.store.cancel("job") == Change(Status.PENDING, 1, applied=True)
        assert (opened.job("job").started_at, opened.store.pending) == (UNSET, 0)
        await opened.claim()
        assert opened.claimed == []
        await opened.store.retry("job")
        (kept,), _ = opened.store.earlier_attempts("job", 0, 9)
        assert (kept.status, kept.started_at) == (Status.CANCELED, UNSET)

    run(test)


def test_progress_is_that_of_the_running_attempt_alone(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        assert not await opened.store.progress("job", 1, Progress(0.1))
        await opened.claim_all(1)
        assert await opened.store.progress("job", 1, Progress(0.25, "a quarter"))
        assert await opened.store.progress("job", 1, Progress(0.5))
        assert opened.job("job").progress == Progress(0.5)
        assert await opened.store.release("job", 1, ERROR)
        assert opened.job("job").progress is UNSET
        await opened.claim_all(2)
        assert not await opened.store.progress("job", 1, Progress(0.9))
        assert await apply(opened, "succeed", "job", 2)
        assert not await opened.store.progress("job", 2, Progress(0.9))
        assert opened.job("job").progress is UNSET

    run(test)


def test_each_attempt_that_another_followed_is_kept_as_it_ended(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        lost, put_back = Error("Timeout", "too long"), Error("WorkerLost", "not its fault")
        assert await opened.store.repeat("job", 1, 0, lost)
        await opened.claim_all(2)
        started = opened.job("job").started_at
        assert await opened.store.release("job", 2, put_back)
        await opened.claim_all(3)
        assert await opened.store.hand_back("job", 3)
        await opened.claim_all(4)
        assert not await opened.store.repeat("job", 3, 0, lost)  # refused: nothing of it is kept
        assert await apply(opened, "succeed", "job", 4)
        kept, more = opened.store.earlier_attempts("job", 0, 9)
        assert not more
        assert [(one.attempt, one.status, one.error) for one in kept] == [
            (1, Status.FAILURE, lost),
            (2, Status.PENDING, put_back),
            (3, Status.PENDING, UNSET),
        ]
        assert kept[1].started_at == started
        assert all(one.finished_at is not UNSET for one in kept)
        assert opened.store.earlier_attempts("job", 0, 2) == (kept[:2], True)
        assert opened.store.earlier_attempts("job", 2, 2) == (kept[2:], False)
        assert opened.store.earlier_attempts("unknown", 0, 2) == ([], False)

    run(test)


@pytest.mark.parametrize("road", ["succeed", "fail"])
def test_a_job_that_ended_at_once_has_no_earlier_attempts(run: Run, road: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        assert await apply(opened, road, "job", 1)
        assert opened.store.earlier_attempts("job", 0, 9) == ([], False)

    run(test)
