"""A status changes only as the transition table allows, whatever is asked and in whatever order."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from asyncjob.job import TRANSITIONS, Progress, Status, Transition
from asyncjob.store import Success
from tests.store.conftest import Run
from tests.store.opened import ERROR, PLACES, ROADS, Opened, apply

JOBS = ("a", "b", "c")
ASKED = {name: one for name, one in TRANSITIONS.items() if name != "expire"}  # which is no verb
STEPS = st.tuples(st.sampled_from(["submit", *ASKED]), st.sampled_from(JOBS), st.integers(-1, 1))


@pytest.mark.parametrize("transition", ASKED.values(), ids=lambda transition: transition.name)
@pytest.mark.parametrize("status", Status)
def test_a_transition_is_written_from_its_sources_alone(run: Run, status: Status, transition: Transition) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        for name in ROADS[status]:
            assert await apply(opened, name, "job", 1)
        assert opened.status("job") == (status, 1)
        before = opened.job("job")
        applied = await apply(opened, transition.name, "job", 1)
        assert applied == (status in transition.sources)
        expected = (transition.target, 1 + transition.next_attempt) if applied else (status, 1)
        assert opened.status("job") == expected
        assert applied or opened.job("job") == before
        assert opened.store.pending == (expected[0] is Status.PENDING)

    run(test)


@pytest.mark.parametrize("name", ["succeed", "fail", "repeat", "postpone", "release"])
def test_what_an_earlier_attempt_says_is_refused(run: Run, name: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        for step in ("claim", "repeat", "claim"):
            assert await apply(opened, step, "job", 1)
        assert not await apply(opened, name, "job", 1)
        assert not await opened.store.progress("job", 1, Progress(0.5))
        assert opened.status("job") == (Status.RUNNING, 2)
        assert opened.job("job").progress is UNSET
        assert await apply(opened, name, "job", 2)

    run(test)


@pytest.mark.parametrize("name", [*ASKED, "hand_back", "progress", "delete"])
def test_nothing_is_written_for_an_unknown_job(run: Run, name: str) -> None:
    async def test(opened: Opened) -> None:
        if name == "hand_back":
            assert not await opened.store.hand_back("job", 1)
        elif name == "progress":
            assert not await opened.store.progress("job", 1, Progress(0.5))
        elif name == "delete":
            assert await opened.store.delete("job") == (None, 0, False, None)
        else:
            assert not await apply(opened, name, "job", 1)
        assert opened.store.find("job") is None
        assert opened.store.pending == 0

    run(test)


@pytest.mark.parametrize("status", Status)
def test_only_a_final_job_is_deleted_and_its_id_is_free_then(run: Run, status: Status) -> None:
    async def test(opened: Opened) -> None:
        for job_id in ("job", "beside"):
            await opened.submit(job_id)
            for name in ROADS[status]:
                assert await apply(opened, name, job_id, 1)
        change = await opened.store.delete("job")
        assert change == (status, 1, status.is_final, None)
        assert (opened.store.find("job") is None) == status.is_final
        assert opened.status("beside") == (status, 1)
        assert opened.store.pending == 2 * (status is Status.PENDING)
        again = await opened.submit("job")
        assert (again is None) == status.is_final
        expected = Status.PENDING if status.is_final else status
        assert opened.status("job") == (expected, 1)
        assert opened.store.earlier_attempts("job", 0, 9) == ([], False)

    run(test)


def test_a_late_outcome_among_many_is_the_only_one_refused(run: Run) -> None:
    async def test(opened: Opened) -> None:
        ids = [f"job-{number}" for number in range(20)]
        await asyncio.gather(*map(opened.submit, ids))
        await opened.claim_all(20)
        await opened.store.cancel("job-7")
        written = await opened.store.succeed([Success(job_id, 1, f'"{job_id}"'.encode()) for job_id in ids])
        assert written == [job_id != "job-7" for job_id in ids]
        for job_id in ids:
            expected = Status.CANCELED if job_id == "job-7" else Status.SUCCESS
            assert opened.status(job_id) == (expected, 1)

    run(test)


def test_of_two_outcomes_of_one_attempt_the_first_is_saved(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        assert await opened.store.succeed([Success("job", 1, b"1"), Success("job", 1, b"2")]) == [True, False]
        outcomes = [opened.store.fail("job", 1, ERROR), opened.store.repeat("job", 1, 0, ERROR)]
        assert await asyncio.gather(*outcomes) == [False, False]
        assert bytes(opened.job("job").results) == b"1"  # type: ignore[arg-type]

    run(test)


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=60, deadline=None)
@given(walk=st.lists(STEPS, max_size=40))
def test_no_walk_leaves_the_transition_table(place: str, walk: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_walk(Opened(PLACES[place](Path(folder))), walk))


async def _walk(opened: Opened, walk: list[tuple[str, str, int]]) -> None:
    """Take every step on the store and in a dict beside it. `late` is how far the step's attempt is off."""
    await opened.start()
    expected: dict[str, tuple[Status, int]] = {}
    try:
        for name, job_id, late in walk:
            if name == "submit":
                assert (await opened.submit(job_id) is None) == (job_id not in expected)
                expected.setdefault(job_id, (Status.PENDING, 1))
            else:
                await _step(opened, expected, name, job_id, late)
            assert {job_id: opened.status(job_id) for job_id in expected} == expected
            assert opened.store.pending == sum(status is Status.PENDING for status, _ in expected.values())
        assert len(opened.claimed) == len(set(opened.claimed)), "an attempt was claimed twice"
    finally:
        await opened.store.close()


async def _step(opened: Opened, expected: dict[str, tuple[Status, int]], name: str, job_id: str, late: int) -> None:
    status, attempt = expected.get(job_id, (None, 1))
    if name == "claim":  # the job that is next
        before = len(opened.claimed)
        waits = any(status is Status.PENDING for status, _ in expected.values())
        assert await apply(opened, name, job_id, attempt) == waits
        for claimed, claimed_attempt in opened.claimed[before:]:
            assert expected[claimed] == (Status.PENDING, claimed_attempt)
            expected[claimed] = (Status.RUNNING, claimed_attempt)
        return
    transition = TRANSITIONS[name]
    in_time = late == 0 or name in ("cancel", "retry")  # these name no attempt, since clients know of none
    allowed = in_time and status in transition.sources
    assert await apply(opened, name, job_id, attempt + late) == allowed
    if allowed:
        expected[job_id] = (transition.target, attempt + transition.next_attempt)
