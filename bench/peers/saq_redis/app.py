"""FastAPI + SAQ + Redis, as SAQ's README and FastAPI's tutorial write it.

Promises: a waiting job outlives the HTTP server and the workers; one whose worker was killed is found by a sweep and
ended as aborted, since a job has one try by default. But a 202 is only in Redis' memory: with Redis' default
configuration it is written to disk after a minute at best (with 10,000 changes; else after 5 or 60), so a crash of
Redis or of the machine loses everything since. Outcomes expire after ten minutes.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from saq import Queue, Status

queue = Queue.from_url(os.environ["REDIS_URL"])
STATUSES = {Status.ACTIVE: "Running", Status.COMPLETE: "Success", Status.FAILED: "Failure", Status.ABORTED: "Failure"}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect to Redis while the server runs."""
    await queue.connect()
    yield
    await queue.disconnect()


app = FastAPI(lifespan=lifespan)


class Request(BaseModel):
    """What a client submits."""

    seconds: float


async def sleep(_: dict[str, Any], *, seconds: float) -> dict[str, str]:
    """The job."""
    await asyncio.sleep(seconds)
    return {"message": f"I slept for {seconds:g} seconds"}


settings = {"queue": queue, "functions": [sleep]}


@app.post("/jobs", status_code=202)
async def submit(request: Request) -> dict[str, str]:
    """Submit a job."""
    job = await queue.enqueue("sleep", seconds=request.seconds)
    assert job is not None  # it is, unless the caller names a key that is taken
    return {"jobId": job.key}


@app.get("/jobs/{job_id}")
async def read(job_id: str) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    job = await queue.job(job_id)
    if job is None:
        raise HTTPException(404, "Not found")
    return {"jobId": job_id, "status": STATUSES.get(job.status, "Pending"), "results": job.result}
