"""Random walks over the transition table on a real store, and whatever JSON there is through a real server and back."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjob.job import TRANSITIONS, Status
from tests.serving import FUNCTIONS, Server
from tests.sqlite.test_store import Opened, apply
from tests.unit.test_contract import JSON_VALUES

JOBS = ("a", "b", "c")
STEPS = st.tuples(st.sampled_from(["submit", *TRANSITIONS]), st.sampled_from(JOBS), st.integers(-1, 1))


@settings(max_examples=60, deadline=None)
@given(walk=st.lists(STEPS, max_size=40))
def test_no_walk_leaves_the_transition_table(walk: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_walk(Path(folder) / "jobs.db", walk))


async def _walk(path: Path, walk: list[tuple[str, str, int]]) -> None:
    """Take every step on the store and in a dict beside it; `late` is how far off the attempt is that a step names."""
    opened = Opened(path)
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
        await opened.close()


async def _step(opened: Opened, expected: dict[str, tuple[Status, int]], name: str, job_id: str, late: int) -> None:
    status, attempt = expected.get(job_id, (None, 1))
    if name == "claim":  # of whichever is next
        before = len(opened.claimed)
        waits = any(status is Status.PENDING for status, _ in expected.values())
        assert await apply(opened, name, job_id, attempt) == waits
        for claimed, claimed_attempt in opened.claimed[before:]:
            assert expected[claimed] == (Status.PENDING, claimed_attempt)
            expected[claimed] = (Status.RUNNING, claimed_attempt)
        return
    transition = TRANSITIONS[name]
    in_time = late == 0 or name in ("cancel", "retry")  # which name no attempt: a client knows of none
    allowed = in_time and status in transition.sources
    assert await apply(opened, name, job_id, attempt + late) == allowed
    if allowed:
        expected[job_id] = (transition.target, attempt + transition.next_attempt)


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("walk") / "jobs.db", target=FUNCTIONS) as server:
        yield server


@settings(max_examples=60, deadline=None)
@given(value=JSON_VALUES)
def test_every_value_comes_back_as_it_was_sent(echoing: Server, value: Any) -> None:
    job_id = echoing.submit("echo", value=value)
    job = echoing.result(job_id)
    assert (job["parameters"], job["results"]) == ({"value": value}, value)
    (listed,) = echoing.client.get("/jobs?limit=1").json()["jobs"]
    assert (listed, job["jobId"]) == (job, job_id)
