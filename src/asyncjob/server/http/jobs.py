"""The routes of jobs: what clients ask for, one function each; their events are in streams.py."""

import msgspec

from asyncjob.contract import (
    parse_list_query,
    parse_no_query,
    parse_page_query,
    parse_stats_query,
    parse_submission,
    parse_wait,
)
from asyncjob.server import tracing
from asyncjob.server.engine import OPTIONS
from asyncjob.server.http.answers import RETRY_AFTER, Answer, Header, accepted, json, location, page
from asyncjob.server.http.requests import Request
from asyncjob.store import Shown


async def submit(request: Request) -> Answer:
    engine = request.engine
    seconds = parse_wait(request.query()) if request.query_string else 0
    submission = parse_submission(engine.jobs, await request.json(), OPTIONS)
    with tracing.submission(submission.type, request.headers.get(b"traceparent")) as traceparent:
        submitted = await engine.submit(submission, traceparent)
    if seconds:
        job = await request.unless_left(engine.wait(submitted.job_id, seconds))
        if job.status.is_final:
            return shown(Shown(msgspec.json.encode(job), is_final=True), (location(job.job_id),))
    return accepted(*submitted)


async def get(request: Request) -> Answer:
    if request.query_string:
        job = await request.unless_left(request.engine.wait(request.name, parse_wait(request.query())))
        return shown(Shown(msgspec.json.encode(job), job.status.is_final))
    return shown(request.engine.show(request.name))


def shown(job: Shown, headers: tuple[Header, ...] = ()) -> Answer:
    """A job as it is; until it is final, it is worth asking again."""
    return json(job.text, headers=headers if job.is_final else (*headers, RETRY_AFTER))


async def list_jobs(request: Request) -> Answer:
    query = parse_list_query(request.query())
    return page("jobs", *await request.unless_left(request.engine.page(query)))


async def cancel(request: Request) -> Answer:
    parse_no_query(request.query())
    return json(msgspec.json.encode(await request.engine.cancel(request.name)))


async def retry(request: Request) -> Answer:
    parse_no_query(request.query())
    await request.engine.retry(request.name)
    return accepted(request.name)


async def run_now(request: Request) -> Answer:
    parse_no_query(request.query())
    await request.engine.run_now(request.name)
    return accepted(request.name)


async def attempts(request: Request) -> Answer:
    return page("attempts", *request.engine.attempts(request.name, parse_page_query(request.query())))


async def deliveries(request: Request) -> Answer:
    return page("deliveries", *request.engine.deliveries(request.name, parse_page_query(request.query())))


async def stats(request: Request) -> Answer:
    return json(msgspec.json.encode(await request.engine.stats(parse_stats_query(request.query()))))
