"""The routes of schedules: list, get, put, delete, pause, resume, run now."""

import msgspec
from msgspec import UNSET, Raw, UnsetType

from asyncjob.contract import parse_no_query, parse_page_query
from asyncjob.job import Error, Status, timestamp
from asyncjob.plans import parse_plan
from asyncjob.server.http.answers import Answer, accepted, json, nothing, page
from asyncjob.server.http.requests import Request
from asyncjob.store import Scheduled


class LastRun(msgspec.Struct, frozen=True, rename="camel"):
    """The job that a schedule has begun last, and what became of it."""

    job_id: str
    run_at: str
    status: Status
    error: Error | UnsetType


class Shown(msgspec.Struct, frozen=True, rename="camel"):
    """A schedule as the API shows it."""

    schedule_id: str
    type: str
    cron: str | UnsetType
    tz: str | UnsetType
    every: int | UnsetType
    parameters: Raw
    options: dict[str, object] | UnsetType
    missed: str
    overlap: str
    declared: bool
    paused: bool
    created_at: str
    next_run_at: str | UnsetType
    last_run: LastRun | UnsetType


async def list_schedules(request: Request) -> Answer:
    found, cursor = request.engine.schedules.page(parse_page_query(request.query()))
    return page("schedules", [shown(schedule) for schedule in found], cursor)


async def get(request: Request) -> Answer:
    return _answer(request.engine.schedules.get(request.name))


async def put(request: Request) -> Answer:
    engine = request.engine
    plan = parse_plan(engine.jobs, request.name, await request.json(), engine.options)
    return _answer(await engine.schedules.put(request.name, plan))


async def delete(request: Request) -> Answer:
    parse_no_query(request.query())
    await request.engine.schedules.remove(request.name)
    return nothing()


async def pause(request: Request) -> Answer:
    parse_no_query(request.query())
    return _answer(await request.engine.schedules.pause(request.name))


async def resume(request: Request) -> Answer:
    parse_no_query(request.query())
    return _answer(await request.engine.schedules.resume(request.name))


async def run_now(request: Request) -> Answer:
    parse_no_query(request.query())
    return accepted(request.prefix, *await request.engine.schedules.run_now(request.name))


def _answer(schedule: Scheduled) -> Answer:
    return json(msgspec.json.encode(shown(schedule)))


def shown(schedule: Scheduled) -> Shown:
    """A schedule as the API shows it. A field that has no value is absent."""
    plan, last = schedule.plan, schedule.last
    return Shown(
        schedule_id=schedule.schedule_id,
        type=plan.type,
        cron=_given(plan.timing.cron),
        tz=_given(plan.timing.tz),
        every=UNSET if plan.timing.every is None else plan.timing.every,
        parameters=Raw(plan.parameters),
        options=plan.options.as_json() or UNSET,
        missed=plan.missed,
        overlap=plan.overlap,
        declared=plan.declared,
        paused=schedule.is_paused,
        created_at=timestamp(schedule.created_ms),
        next_run_at=UNSET if schedule.next_at is None else timestamp(schedule.next_at),
        last_run=UNSET
        if last is None
        else LastRun(last.job_id, timestamp(last.at), last.status, UNSET if last.error is None else last.error),
    )


def _given(value: str | None) -> str | UnsetType:
    return UNSET if value is None else value
