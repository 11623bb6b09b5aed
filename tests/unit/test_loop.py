"""The event loop of async jobs, and what one of them cannot do to another."""

import asyncio
import queue
from contextvars import Context

from asyncjob.loop import EventLoop


def test_a_task_that_has_not_begun_cannot_be_canceled_since_its_job_would_have_no_outcome() -> None:
    told: queue.Queue[object] = queue.Queue()

    async def cancels_all_others() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        told.put([other.cancel() for other in others])

    async def begins() -> None:
        told.put("begun")

    EventLoop().start([(cancels_all_others(), Context()), (begins(), Context())])
    assert [told.get(timeout=60) for _ in range(2)] == [[False], "begun"]
