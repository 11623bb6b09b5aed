"""Applications with a JobsApp in them, as their authors would write them; tests have uvicorn serve them."""

import logging
import os
import resource
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncjob import JobsApp, sleep
from asyncjob.mounted import answering, follower, member
from tests.functions import add, jobs

logging.basicConfig(level=logging.INFO)
DATABASE = os.environ["JOBS_DB"]

if "FILES" in os.environ:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["FILES"]), 4_096))
member.START_SECONDS = float(os.environ.get("START_SECONDS", member.START_SECONDS))
member.SILENT_SECONDS = float(os.environ.get("SILENT_SECONDS", member.SILENT_SECONDS))
follower.WELCOME_SECONDS = float(os.environ.get("WELCOME_SECONDS", follower.WELCOME_SECONDS))
answering.PATIENCE = float(os.environ.get("PATIENCE", answering.PATIENCE))

work = JobsApp(jobs, database=DATABASE, workers=2, backoff=0.01, grace=float(os.environ.get("GRACE", "30")))

fast = FastAPI(lifespan=work.lifespan)
fast.mount("/work", work)


@fast.get("/process")
def process() -> int:
    return os.getpid()


@fast.get("/sum")
async def total(a: int) -> int:
    handle = await work.submit(add, a=a)
    return await handle.result(timeout=60)


@fast.get("/sum-in-a-thread")
def total_in_a_thread(a: int) -> int:
    return work.blocking_client.submit(add, a=a).result(timeout=60)


@fast.get("/result")
async def result(job_id: str) -> Any:
    logging.info("waiting for the job")
    return await work.client.job(job_id).result()


@fast.get("/result-in-a-thread")
def result_in_a_thread(job_id: str) -> Any:
    logging.info("waiting for the job")
    return work.blocking_client.job(job_id).result()


@fast.get("/fork")
def fork() -> int:
    """A child that stays, as multiprocessing has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of Python say that a fork with threads is dangerous
        child = os.fork()
    if child == 0:
        os.closerange(0, 3)  # a test waits for the end of what it writes
        while True:
            time.sleep(60)
    return child


plain = FastAPI()
plain.mount("/work", work)


@asynccontextmanager
async def own_lifespan(app: Starlette) -> AsyncIterator[None]:
    async with work.lifespan(app):
        yield


star = Starlette(routes=[Mount("/deep/work", work)], lifespan=own_lifespan)

sleeping = JobsApp(sleep.jobs, database=DATABASE, workers=2)
"""What the suite of the contract expects to find, at the root."""

mounted = FastAPI(lifespan=sleeping.lifespan)
mounted.mount("/work", sleeping)
