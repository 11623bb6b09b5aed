"""FastAPI + arq + Redis, as arq's page of usage and FastAPI's tutorial write it.

Promises: a job stays in the queue until it has ended, so one whose worker was killed runs again once its mark expires,
after five minutes. But a 202 is only in Redis' memory: with Redis' default configuration it is written to disk after a
minute at best (with 10,000 changes; else after 5 or 60), so a crash of Redis or of the machine loses everything since.
A worker looks for jobs every 0.5 seconds: that is its default, and its latency. Outcomes expire after an hour.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job, JobStatus
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

REDIS = RedisSettings.from_dsn(os.environ["REDIS_URL"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Stay connected to Redis while the server runs."""
    app.state.redis = await create_pool(REDIS)
    yield
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


class Request(BaseModel):
    """What a client submits."""

    seconds: float


async def sleep(_: dict[str, Any], seconds: float) -> dict[str, str]:
    """The job."""
    await asyncio.sleep(seconds)
    return {"message": f"I slept for {seconds:g} seconds"}


class Worker:
    """What `arq app.Worker` runs."""

    functions = (sleep,)
    redis_settings = REDIS


@app.post("/jobs", status_code=202)
async def submit(request: Request) -> dict[str, str]:
    """Submit a job."""
    job = await app.state.redis.enqueue_job("sleep", request.seconds)
    return {"jobId": job.job_id}


@app.get("/jobs/{job_id}")
async def read(job_id: str) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    job = Job(job_id, app.state.redis)
    ended = await job.result_info()
    if ended is not None:
        return {"jobId": job_id, "status": "Success" if ended.success else "Failure", "results": ended.result}
    status = await job.status()
    if status == JobStatus.not_found:
        raise HTTPException(404, "Not found")
    return {"jobId": job_id, "status": "Running" if status == JobStatus.in_progress else "Pending"}
