"""FastAPI + Celery + Redis, as Celery's first steps and FastAPI's tutorial write it.

Promises: a job outlives the HTTP server and the worker while it waits, but a 202 is only in Redis' memory: with Redis'
default configuration it is written to disk after a minute at best (with 10,000 changes; else after 5 or 60), so
a crash of Redis or of the machine loses everything since. A job that a worker has begun is acknowledged before it runs:
a worker that is killed loses it. Outcomes expire after a day. An unknown id cannot be told from a job that waits.
"""

import os
import time
from typing import Any

from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

celery = Celery("app", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app = FastAPI()


class Request(BaseModel):
    """What a client submits."""

    seconds: float


@celery.task
def sleep(seconds: float) -> dict[str, str]:
    """The job."""
    time.sleep(seconds)
    return {"message": f"I slept for {seconds:g} seconds"}


@app.post("/jobs", status_code=202)
def submit(request: Request) -> dict[str, str]:
    """Submit a job."""
    return {"jobId": sleep.delay(request.seconds).id}


@app.get("/jobs/{job_id}")
def read(job_id: str) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    job = celery.AsyncResult(job_id)
    if job.successful():
        return {"jobId": job_id, "status": "Success", "results": job.result}
    return {"jobId": job_id, "status": job.status.capitalize()}
