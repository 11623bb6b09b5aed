"""FastAPI's BackgroundTasks with a table in SQLite: no queue, no worker, the job runs in the HTTP server's own process.

Promises: a 202 is on disk (WAL, and SQLite's own `synchronous=FULL`), but the job itself is only in memory: when the
server stops or dies, waiting and running jobs stay Pending for ever, and nothing runs them again. A job that computes
instead of waiting holds up every request.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel

TABLE = "create table if not exists jobs (id text primary key, status text not null, results text)"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the file open while the server runs."""
    async with aiosqlite.connect("jobs.db", isolation_level=None) as database:
        await database.execute("pragma journal_mode = wal")
        await database.execute(TABLE)
        app.state.database = database
        yield


app = FastAPI(lifespan=lifespan)


class Request(BaseModel):
    """What a client submits."""

    seconds: float


async def sleep(job_id: str, seconds: float) -> None:
    """The job."""
    await asyncio.sleep(seconds)
    results = json.dumps({"message": f"I slept for {seconds:g} seconds"})
    await app.state.database.execute("update jobs set status = 'Success', results = ? where id = ?", (results, job_id))


@app.post("/jobs", status_code=202)
async def submit(request: Request, background: BackgroundTasks) -> dict[str, str]:
    """Submit a job."""
    job_id = str(uuid.uuid4())
    await app.state.database.execute("insert into jobs values (?, 'Pending', null)", (job_id,))
    background.add_task(sleep, job_id, request.seconds)
    return {"jobId": job_id}


@app.get("/jobs/{job_id}")
async def read(job_id: str) -> dict[str, Any]:
    """A job's status, and its results once it has ended."""
    found = await app.state.database.execute_fetchall("select status, results from jobs where id = ?", (job_id,))
    for status, results in found:
        return {"jobId": job_id, "status": status, "results": results and json.loads(results)}
    raise HTTPException(404, "Not found")
