"""Who waits for one job: `?wait=` and the streams of its events share what is known of it, and nothing stale."""

import asyncio
from collections.abc import AsyncGenerator

from msgspec import Raw, json

from asyncjob.job import Job, Status
from asyncjob.server.watchers import Watchers, job_version

TIME = "2024-06-06T12:34:56.789Z"


def _job(status: Status, attempt: int = 1) -> Job:
    return Job(job_id="one", type="add", status=status, parameters=Raw(b"{}"), attempt=attempt, created_at=TIME)


class Kept:
    """One job as it is, and how often it was read."""

    def __init__(self) -> None:
        self.job: Job | None = _job(Status.PENDING)
        self.reads = 0

    def find(self, job_id: str) -> Job | None:
        self.reads += 1
        return self.job


async def _next(stream: AsyncGenerator[bytes, None]) -> bytes:
    async with asyncio.timeout(30):
        return await anext(stream)


def test_a_new_stream_does_not_tell_what_an_earlier_one_was_told() -> None:
    async def test() -> None:
        watchers, kept = Watchers(), Kept()
        with watchers.watching("one"):  # a ?wait= that outlasts both streams
            first = watchers.stream("one", None, kept.find)
            assert b"Pending" in await _next(first)
            await first.aclose()
            assert not watchers.wanted
            kept.job = _job(Status.RUNNING)  # of which nobody tells, since no stream wants to know
            second = watchers.stream("one", None, kept.find)
            assert b"Running" in await _next(second)
            await second.aclose()

    asyncio.run(test())


def test_the_streams_of_a_job_share_one_text_and_wake_whoever_waits() -> None:
    async def test() -> None:
        watchers, kept = Watchers(), Kept()
        streams = [watchers.stream("one", None, kept.find) for _ in range(3)]
        for stream in streams:
            await _next(stream)
        before = kept.reads
        kept.job = _job(Status.SUCCESS)
        with watchers.watching("one") as changed:
            watchers.wake("one")
            assert changed.is_set()
        texts = [await _next(stream) for stream in streams]
        assert texts[0] is texts[1] is texts[2] and b"Success" in texts[0]
        assert kept.reads == before + 1
        assert [[text async for text in stream] for stream in streams] == [[], [], []]  # it is final
        assert not watchers._watched

    asyncio.run(test())


def test_a_stream_ends_when_its_job_is_deleted_or_the_server_stops() -> None:
    async def test() -> None:
        watchers, kept = Watchers(), Kept()
        deleted = watchers.stream("one", None, kept.find)
        await _next(deleted)
        kept.job = None
        watchers.wake("one")
        assert [text async for text in deleted] == []
        kept.job = _job(Status.RUNNING)
        stopped = watchers.stream("one", job_version(json.encode(kept.job)), kept.find)
        following = asyncio.ensure_future(anext(stopped, None))
        await asyncio.sleep(0)
        watchers.stop()
        assert await following is None  # it was told of that job before

    asyncio.run(test())
