"""The routes of jobs: what clients ask for, one function each; their events are in streams.py."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from asyncjob.contract import (
    ApiError,
    parse_list_query,
    parse_log_query,
    parse_no_query,
    parse_page_query,
    parse_stats_query,
    parse_submission,
    parse_wait,
    under_key,
)
from asyncjob.job import Job, milliseconds, now_ms
from asyncjob.server import tracing
from asyncjob.server.engine import OPTIONS
from asyncjob.server.http.answers import (
    Answer,
    Header,
    accepted,
    duplicate,
    etag,
    json,
    location,
    nothing,
    page,
    retry_after,
    unless_known,
)
from asyncjob.server.http.preferences import applied, preferences
from asyncjob.server.http.requests import Request
from asyncjob.server.refusals import Conflict
from asyncjob.server.watchers import job_version
from asyncjob.store import Shown


async def submit(request: Request) -> Answer:
    engine, prefer = request.engine, preferences(request)
    seconds = parse_wait(request.query()) if request.query_string else prefer.wait
    submission = parse_submission(engine.jobs, await request.json(), OPTIONS)
    key = request.header(b"idempotency-key")
    if key is not None:
        submission = under_key(submission, key)
    elif submission.job_id is UNSET and request.job_id is not None:
        submission = msgspec.structs.replace(submission, job_id=request.job_id)
    try:
        with tracing.submission(submission.type, request.headers.get(b"traceparent")) as traceparent:
            submitted = await engine.submit(submission, traceparent)
    except Conflict as conflict:
        if key is None:
            raise
        raise ApiError(422, conflict.message) from None
    if seconds:
        job = await request.unless_left(engine.wait(submitted.job_id, seconds))
        if job.status.is_final:
            headers = (location(request.prefix, job.job_id), *applied(prefer.wait))
            return ended(job, submitted.is_duplicate, headers)
    answer = accepted(request.prefix, *submitted)
    answer.headers += applied(*prefer)
    return answer


def ended(job: Job, is_duplicate: bool, headers: Iterable[Header]) -> Answer:
    """The job that a submission has waited for, and whether that named one that was there, as a 202 would say."""
    body = msgspec.json.encode(job)
    return json(duplicate(body) if is_duplicate else body, headers=headers)


async def get(request: Request) -> Answer:
    wait = preferences(request).wait
    if request.query_string or wait is not None:
        seconds = parse_wait(request.query()) if request.query_string else wait
        job = await request.unless_left(request.engine.wait(request.name, seconds or 0))
        answer = shown(Shown(msgspec.json.encode(job), job.status.is_final, job.created_at))
        answer.headers += applied(wait)
    else:
        answer = shown(request.engine.show(request.name))
    known = request.header(b"if-none-match")
    return answer if known is None else unless_known(answer, known)


def shown(job: Shown) -> Answer:
    """A job as it is; until it is final, it is worth asking again, the later the longer it has been there."""
    headers = [etag(job_version(job.text))]
    if not job.is_final:
        headers.append(retry_after((now_ms() - milliseconds(job.created_at)) / 1_000))
    return json(job.text, headers=headers)


async def list_jobs(request: Request) -> Answer:
    query = parse_list_query(request.query())
    return page("jobs", *await request.unless_left(request.engine.page(query)))


async def cancel(request: Request) -> Answer:
    parse_no_query(request.query())
    return json(msgspec.json.encode(await request.engine.cancel(request.name)))


async def delete(request: Request) -> Answer:
    parse_no_query(request.query())
    await request.engine.delete(request.name)
    return nothing()


async def retry(request: Request) -> Answer:
    parse_no_query(request.query())
    await request.engine.retry(request.name)
    return accepted(request.prefix, request.name)


async def run_now(request: Request) -> Answer:
    parse_no_query(request.query())
    await request.engine.run_now(request.name)
    return accepted(request.prefix, request.name)


async def attempts(request: Request) -> Answer:
    return page("attempts", *request.engine.attempts(request.name, parse_page_query(request.query())))


async def logs(request: Request) -> Answer:
    return page("logs", *request.engine.logs(request.name, parse_log_query(request.query())))


async def deliveries(request: Request) -> Answer:
    return page("deliveries", *request.engine.deliveries(request.name, parse_page_query(request.query())))


async def stats(request: Request) -> Answer:
    return json(msgspec.json.encode(await request.engine.stats(parse_stats_query(request.query()))))
