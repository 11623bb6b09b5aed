"""The engine without HTTP, on a store in memory: what it does, and what it refuses in its own words."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from asyncjob.contract import ListQuery, PageQuery, Submission
from asyncjob.job import Status
from asyncjob.loading import load
from asyncjob.options import Options
from asyncjob.server import refusals
from asyncjob.server.engine import Engine
from asyncjob.server.http.answers import STATUSES, refused
from asyncjob.server.refusals import Conflict, Full, NotAllowed, NotFound, Refusal, TryLater, Unavailable
from asyncjob.server.settings import Settings
from tests.serving import FUNCTIONS
from tests.store.memory import MemoryStore
from tests.store.memory_kept import Kept

LONG = 60.0  # seconds: the tests end when what they wait for happens


def _run(test: Callable[[Engine], Awaitable[None]], **settings: Any) -> None:
    """Run a test with an engine that runs tests/functions.py in one worker process."""

    async def run() -> None:
        chosen = Settings(target=FUNCTIONS, workers=1, grace=0, **settings)
        engine = Engine(load(FUNCTIONS), chosen, MemoryStore(Kept()))
        await engine.start()
        try:
            async with asyncio.timeout(LONG):
                await test(engine)
        finally:
            await engine.stop(asyncio.Event())
            await engine.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def _job(type: str, job_id: str | None = None, **parameters: Any) -> Submission:
    return Submission(UNSET if job_id is None else job_id, type, msgspec.json.encode(parameters))


def test_a_job_is_submitted_waited_for_listed_and_run_again(tmp_path: Path) -> None:
    async def test(engine: Engine) -> None:
        job_id = (await engine.submit(_job("add", a=1))).job_id
        job = await engine.wait(job_id, LONG)
        assert (job.status, job.results) == (Status.SUCCESS, msgspec.Raw(b"2"))
        await engine.retry(job_id)
        again = await engine.wait(job_id, LONG)
        assert (again.status, again.attempt) == (Status.SUCCESS, 2)
        attempts, _ = engine.attempts(job_id, PageQuery())
        assert [attempt.attempt for attempt in attempts] == [1, 2]
        other = (await engine.submit(_job("add", a=2))).job_id
        jobs, cursor = await engine.page(ListQuery())
        assert [job.job_id for job in jobs] == [other, job_id] and cursor is None
        engine.check()

    _run(test)


def test_a_job_is_canceled_and_whoever_waits_for_it_learns_of_it(tmp_path: Path) -> None:
    async def test(engine: Engine) -> None:
        job_id = (await engine.submit(_job("waits", started=str(tmp_path / "started")))).job_id
        waiting = asyncio.create_task(engine.wait(job_id, LONG))
        await asyncio.sleep(0)  # it waits
        assert (await engine.cancel(job_id)).status is Status.CANCELED
        assert (await waiting).status is Status.CANCELED
        assert (await engine.cancel(job_id)).status is Status.CANCELED  # again, which changes nothing

    _run(test)


def test_what_is_refused_is_said_without_http(tmp_path: Path) -> None:
    async def test(engine: Engine) -> None:
        for asked in (engine.cancel("nobody"), engine.retry("nobody"), engine.wait("nobody", LONG)):
            with pytest.raises(NotFound):
                await asked
        with pytest.raises(NotFound):
            engine.get("nobody")
        with pytest.raises(NotFound):
            engine.attempts("nobody", PageQuery())
        with pytest.raises(NotFound):
            engine.deliveries("nobody", PageQuery())
        assert (await engine.submit(_job("add", "mine", a=1))).job_id == "mine"
        assert (await engine.submit(_job("add", "mine", a=1))).job_id == "mine"  # the same request
        with pytest.raises(Conflict, match="already a job mine with another type, other parameters or other options"):
            await engine.submit(_job("add", "mine", a=2))
        await engine.wait("mine", LONG)
        with pytest.raises(Conflict, match="cannot cancel job mine: it is Success"):
            await engine.cancel("mine")
        with pytest.raises(NotAllowed, match="--notify-allow"):
            await engine.submit(Submission(UNSET, "add", b'{"a":1}', Options(notify="https://hooks.example/")))

    _run(test)


def test_a_full_engine_refuses_new_jobs_and_knows_old_ones(tmp_path: Path) -> None:
    async def test(engine: Engine) -> None:
        running = (await engine.submit(_job("waits", started=str(tmp_path / "started")))).job_id
        stream = engine.stream(running, None)
        while b'"Running"' not in await anext(stream):
            pass
        await stream.aclose()
        waiting = (await engine.submit(_job("add", "waits", a=1))).job_id
        with pytest.raises(Full, match="1 jobs are waiting already"):
            await engine.submit(_job("add", a=1))
        assert (await engine.submit(_job("add", "waits", a=1))).job_id == waiting
        await engine.cancel(running)

    _run(test, concurrency=1, max_pending=1)


def test_an_engine_whose_file_is_lost_saves_nothing_more(tmp_path: Path) -> None:
    async def test(engine: Engine) -> None:
        job_id = (await engine.submit(_job("add", a=1))).job_id
        await engine.wait(job_id, LONG)
        engine.refuse("the file is gone")
        for asked in (engine.submit(_job("add", a=1)), engine.retry(job_id)):
            with pytest.raises(Unavailable, match="the file is gone"):
                await asked
        assert engine.get(job_id).status is Status.SUCCESS

    _run(test)


# -- the tree of refusals --------------------------------------------------------------------------------------------


def _refusals() -> list[type[Refusal]]:
    return [kind for kind in vars(refusals).values() if isinstance(kind, type) and issubclass(kind, Refusal)]


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    drawn = re.findall(r"^([ │├└─]*)(\w+)", (refusals.__doc__ or "").split("\n\n", 1)[1], re.MULTILINE)
    parents: dict[int, str] = {}
    tree = []
    for indent, name in drawn:
        depth = (len(indent) - 4) // 4
        parents[depth] = name
        tree.append((name, parents.get(depth - 1, "Exception")))
    assert tree == [(kind.__name__, kind.__base__.__name__ if kind.__base__ else "") for kind in _refusals()]


def test_every_refusal_has_a_status_and_says_when_to_try_again_if_that_helps() -> None:
    final = [kind for kind in _refusals() if not kind.__subclasses__()]
    assert set(final) == set(STATUSES)
    for kind in final:
        answer = refused(kind("why"))
        assert 400 <= answer.status < 600
        assert answer.body == b'{"message":"why"}'
        assert ((b"retry-after", b"1") in answer.headers) is issubclass(kind, TryLater)


def test_an_engine_that_is_closed_while_it_starts_leaves_no_process() -> None:
    async def test(engine: Engine) -> None:
        await asyncio.sleep(0)

    for _ in range(5):  # what was left would be a warning, and so an error
        _run(test)
