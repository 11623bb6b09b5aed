"""FastAPI + Procrastinate + PostgreSQL, as Procrastinate's quickstart and FastAPI's tutorial write it.

Procrastinate keeps a job's status and no results: the job writes these into a table of its own.

Promises: a 202 is on disk (PostgreSQL's own `fsync` and `synchronous_commit`), and so is an outcome. A job whose worker
was killed stays Running until somebody retries stalled jobs, for which Procrastinate's guide has a recipe.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from procrastinate import App, JobContext, PsycopgConnector
from pydantic import BaseModel

TABLE = "create table results (job_id bigint primary key, results jsonb not null)"
SAVE = "insert into results values (%(job_id)s, %(results)s) on conflict (job_id) do nothing"
READ = """
select status, results from procrastinate_jobs left join results on results.job_id = procrastinate_jobs.id
where procrastinate_jobs.id = %(job_id)s
"""
STATUSES = {"todo": "Pending", "doing": "Running", "succeeded": "Success", "failed": "Failure"}

jobs = App(connector=PsycopgConnector(conninfo=os.environ["POSTGRES_URL"]))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the tables, and stay connected while the server runs."""
    async with jobs.open_async():
        await jobs.schema_manager.apply_schema_async()
        await jobs.connector.execute_query_async(TABLE)
        yield


app = FastAPI(lifespan=lifespan)


class Request(BaseModel):
    """What a client submits."""

    seconds: float


@jobs.task(pass_context=True)
async def sleep(context: JobContext, seconds: float) -> None:
    """The job."""
    await asyncio.sleep(seconds)
    results = json.dumps({"message": f"I slept for {seconds:g} seconds"})
    await jobs.connector.execute_query_async(SAVE, job_id=context.job.id, results=results)


@app.post("/jobs", status_code=202)
async def submit(request: Request) -> dict[str, str]:
    """Submit a job."""
    return {"jobId": str(await sleep.defer_async(seconds=request.seconds))}


@app.get("/jobs/{job_id}")
async def read(job_id: int) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    for job in await jobs.connector.execute_query_all_async(READ, job_id=job_id):
        return {"jobId": str(job_id), "status": STATUSES.get(job["status"], "Canceled"), "results": job["results"]}
    raise HTTPException(404, "Not found")
