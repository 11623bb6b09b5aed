"""FastAPI + DBOS + PostgreSQL, as DBOS' own starter writes it: no worker, the job runs in the HTTP server's process.

Promises: a 202 is on disk (PostgreSQL's own `fsync` and `synchronous_commit`), and so is an outcome. A job that was
running when the process died runs again when the same version of the program starts. A job that computes instead of
waiting holds up every request.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS, DBOSConfig
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

STATUSES = {"PENDING": "Running", "SUCCESS": "Success", "ERROR": "Failure", "CANCELLED": "Canceled"}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Run jobs while the server runs."""
    DBOS.launch()
    yield
    DBOS.destroy()


app = FastAPI(lifespan=lifespan)
config: DBOSConfig = {"name": "peer", "system_database_url": os.environ["POSTGRES_URL"], "log_level": "WARNING"}
DBOS(config=config)


class Request(BaseModel):
    """What a client submits."""

    seconds: float


@DBOS.workflow()
async def sleep(seconds: float) -> dict[str, str]:
    """The job."""
    await asyncio.sleep(seconds)
    return {"message": f"I slept for {seconds:g} seconds"}


@app.post("/jobs", status_code=202)
async def submit(request: Request) -> dict[str, str]:
    """Submit a job."""
    job = await DBOS.start_workflow_async(sleep, request.seconds)
    return {"jobId": job.get_workflow_id()}


@app.get("/jobs/{job_id}")
async def read(job_id: str) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    job = await DBOS.get_workflow_status_async(job_id)
    if job is None:
        raise HTTPException(404, "Not found")
    return {"jobId": job_id, "status": STATUSES.get(job.status, "Pending"), "results": job.output}
