"""FastAPI + taskiq + Redis, as taskiq's page on FastAPI and taskiq-redis' README write it.

Promises: a job outlives the HTTP server and the workers, and one whose worker died is taken up by another after ten
minutes (a stream, acknowledged once the outcome is saved). But a 202 is only in Redis' memory: with Redis' default
configuration it is written to disk after a minute at best (with 10,000 changes; else after 5 or 60), so a crash
of Redis or of the machine loses everything since. The stream and the outcomes are kept for ever, in memory. An unknown
id cannot be told from a job that waits.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

results = RedisAsyncResultBackend(os.environ["REDIS_URL"])
broker = RedisStreamBroker(os.environ["REDIS_URL"]).with_result_backend(results)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect to Redis while the server runs."""
    await broker.startup()
    yield
    await broker.shutdown()


app = FastAPI(lifespan=lifespan)


class Request(BaseModel):
    """What a client submits."""

    seconds: float


@broker.task
async def sleep(seconds: float) -> dict[str, str]:
    """The job."""
    await asyncio.sleep(seconds)
    return {"message": f"I slept for {seconds:g} seconds"}


@app.post("/jobs", status_code=202)
async def submit(request: Request) -> dict[str, str]:
    """Submit a job."""
    job = await sleep.kiq(request.seconds)
    return {"jobId": job.task_id}


@app.get("/jobs/{job_id}")
async def read(job_id: str) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    if not await results.is_result_ready(job_id):
        return {"jobId": job_id, "status": "Pending"}
    job = await results.get_result(job_id)
    return {"jobId": job_id, "status": "Failure" if job.is_err else "Success", "results": job.return_value}
