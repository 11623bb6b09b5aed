"""FastAPI + Huey on SQLite, as Huey's guide writes it.

Promises: a 202 is on disk (WAL and SQLite's own `synchronous=FULL`, which Huey leaves as it is), and a waiting job
outlives everything. A job is taken out of the file before it runs: a consumer that is killed loses it. Each worker asks
for jobs every 0.1 seconds and, while none come, ever more rarely, up to every 10: that is its default, and its latency.
An unknown id cannot be told from a job that waits.
"""

import time
from typing import Any

from fastapi import FastAPI
from huey import SqliteHuey
from pydantic import BaseModel

huey = SqliteHuey(filename="jobs.db")
app = FastAPI()


class Request(BaseModel):
    """What a client submits."""

    seconds: float


@huey.task()
def sleep(seconds: float) -> dict[str, str]:
    """The job."""
    time.sleep(seconds)
    return {"message": f"I slept for {seconds:g} seconds"}


@app.post("/jobs", status_code=202)
def submit(request: Request) -> dict[str, str]:
    """Submit a job."""
    return {"jobId": sleep(request.seconds).id}


@app.get("/jobs/{job_id}")
def read(job_id: str) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    results = huey.result(job_id, preserve=True)
    if results is None:
        return {"jobId": job_id, "status": "Pending"}
    return {"jobId": job_id, "status": "Success", "results": results}
