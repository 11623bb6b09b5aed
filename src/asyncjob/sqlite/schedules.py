"""The schedules in the file. A step of one, its jobs and what comes next, is one transaction."""

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from asyncjob.contract import Submission
from asyncjob.job import Error, Status, now_ms
from asyncjob.options import NONE, Options, parse_options
from asyncjob.options import WIRE_NAMES as OPTIONS
from asyncjob.plans import Plan
from asyncjob.schedules import Timing
from asyncjob.sqlite.gates import Gates
from asyncjob.sqlite.inserting import insert_special, special
from asyncjob.sqlite.reading import Lookup
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.writer import Writer
from asyncjob.store import Fired, Firing, LastJob, Scheduled

MAX_PAGE_BYTES = 4 << 20  # of parameters: a page of large ones ends early


class SqliteSchedules:
    """The schedules in one database file. Implements `store.Schedules`.

    Args:
        lookup: reads of the file.
        writer: the file's.
        gates: of functions with limits.
        count: the store's `_count_waiting`.
    """

    def __init__(self, lookup: Lookup, writer: Writer[Any], gates: Gates, count: Callable[..., None]) -> None:
        self._lookup = lookup
        self._writer = writer
        self._gates = gates
        self._count = count

    def find(self, schedule_id: str) -> Scheduled | None:
        """The schedule as it was last saved."""
        row = self._lookup.one("find_schedule", schedule_id=schedule_id)
        return None if row is None else _scheduled(row)

    def page(self, after: int, limit: int) -> tuple[list[Scheduled], int | None]:
        """A page in the order in which they were made, and the cursor of the next page if there is one."""
        return self._some("schedules", limit, after=after)

    def count(self) -> int:
        """How many there are."""
        count: int = self._lookup.one("count_schedules")[0]
        return count

    def due(self, types: Collection[str], now: int, limit: int) -> list[Scheduled]:
        """Some that are due."""
        return self._some("due_schedules", limit, types=json.dumps(list(types)), now=now)[0]

    def _some(self, name: str, limit: int, **values: Any) -> tuple[list[Scheduled], int | None]:
        found: list[Scheduled] = []
        size, last = 0, None
        for row in self._lookup.each(name, limit=limit + 1, **values):
            if len(found) == limit or size > MAX_PAGE_BYTES:
                return found, last
            found.append(_scheduled(row[:-1]))
            size += len(found[-1].plan.parameters)
            last = row[-1]
        return found, None

    def next_at(self, types: Collection[str]) -> int | None:
        """The next occurrence of all."""
        row = self._lookup.one("next_occurrence", types=json.dumps(list(types)))
        return None if row is None else row[0]

    async def declare(self, plans: Mapping[str, tuple[Plan, int | None]]) -> list[str]:
        """Save what the code declares, and delete what it does not declare any more."""
        rows = [_row(schedule_id, plan, next_at) for schedule_id, (plan, next_at) in plans.items()]
        values = {"declared": json.dumps(list(plans))}

        def operation(connection: sqlite3.Connection) -> list[str]:
            removed = connection.execute(SQL["forget_undeclared"], values).fetchall()
            connection.executemany(SQL["plan"], rows)
            return [schedule_id for (schedule_id,) in removed]

        return await self._writer.do(operation)

    async def put(self, schedule_id: str, plan: Plan, next_at: int | None, most: int) -> bool | None:
        """Save a client's."""
        row = _row(schedule_id, plan, next_at)

        def operation(connection: sqlite3.Connection) -> bool | None:
            declared = connection.execute(SQL["find_declared"], {"schedule_id": schedule_id}).fetchone()
            if declared is None and connection.execute(SQL["count_schedules"]).fetchone()[0] >= most:
                return None
            if declared is not None and declared[0]:
                return False
            connection.execute(SQL["plan"], row)
            return True

        return await self._writer.do(operation)

    async def remove(self, schedule_id: str) -> bool | None:
        """Delete a client's."""
        values = {"schedule_id": schedule_id}

        def operation(connection: sqlite3.Connection) -> bool | None:
            if connection.execute(SQL["find_declared"], values).fetchone() is None:
                return None
            return connection.execute(SQL["forget_schedule"], values).rowcount == 1

        return await self._writer.do(operation)

    async def pause(self, schedule_id: str) -> bool:
        """Have it begin nothing until it is resumed."""
        return await self._update("pause_schedule", {"schedule_id": schedule_id})

    async def resume(self, schedule_id: str, next_at: int | None) -> bool:
        """Have it go on."""
        return await self._update("resume_schedule", {"schedule_id": schedule_id, "next_at": next_at})

    async def _update(self, name: str, values: dict[str, Any]) -> bool:
        return await self._writer.do(lambda connection: connection.execute(SQL[name], values).rowcount == 1)

    async def move(self, schedules: Sequence[tuple[Scheduled, int | None]]) -> None:
        """Give each another next occurrence."""
        firings = [Firing(schedule, (), next_at, schedule.handled_at) for schedule, next_at in schedules]
        await self.fire(firings)

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        """Begin jobs and save what comes next."""
        now = now_ms()  # before the transaction, which may claim the jobs: none starts before it was made

        def operation(connection: sqlite3.Connection) -> list[Fired]:
            return [self._step(connection, firing, now) for firing in firings]

        fired = await self._writer.do(operation)
        for firing, one in zip(firings, fired, strict=True):
            self._count(len(one.begun), is_scheduled=firing.schedule.plan.options.pause_ms > 0)
        return fired

    def _step(self, connection: sqlite3.Connection, firing: Firing, at_ms: int) -> Fired:
        key = {"schedule_id": firing.schedule.schedule_id}
        row = connection.execute(SQL["find_schedule"], key).fetchone()
        now = None if row is None else _scheduled(row)
        if now is None or (now.plan, now.next_at) != (firing.schedule.plan, firing.schedule.next_at):
            return Fired(applied=False)
        connection.execute(
            SQL["step_schedule"],
            key | {"next_at": firing.next_at, "handled_at": firing.handled_at, "expected": now.next_at},
        )
        if firing.jobs and now.plan.overlap == "skip" and now.last is not None and not now.last.status.is_final:
            return Fired(applied=True, overlapping=now.last.job_id)
        begun, there = list[str](), list[str]()
        for job_id, at in firing.jobs:
            earlier = self._insert(connection, job_id, now.plan, at_ms)
            (begun if earlier is None else there).append(earlier or job_id)
            connection.execute(SQL["begin_scheduled"], key | {"job_id": earlier or job_id, "at": at})
        return Fired(applied=True, begun=begun, there=there)

    def _insert(self, connection: sqlite3.Connection, job_id: str, plan: Plan, at_ms: int) -> str | None:
        """Save a new job; the id of the job that is there already, if one is."""
        submission = Submission(job_id, plan.type, plan.parameters, plan.options)
        (saved,) = insert_special(connection, self._gates, special(self._gates.places, job_id, submission, None, at_ms))
        if saved is True:
            return None
        return job_id if saved is False else saved.job_id


def _row(schedule_id: str, plan: Plan, next_at: int | None) -> dict[str, Any]:
    options = plan.options.as_json()
    return {
        "schedule_id": schedule_id,
        "type": plan.type,
        "cron": plan.timing.cron,
        "tz": plan.timing.tz,
        "every": plan.timing.every,
        "parameters": plan.parameters,
        "options": msgspec.json.encode(options).decode() if options else None,
        "missed": plan.missed,
        "overlap": plan.overlap,
        "declared": plan.declared,
        "now": now_ms(),
        "next_at": next_at,
    }


def _scheduled(row: tuple[Any, ...]) -> Scheduled:
    schedule_id, type_, cron, tz, every, parameters, options, missed, overlap, declared, created_ms, *state = row
    paused, next_at, handled_at, job_id, at, status, error = state
    plan = Plan(
        type=type_,
        timing=Timing(cron, tz, every),
        parameters=parameters,
        options=_options(options),
        missed=missed,
        overlap=overlap,
        declared=bool(declared),
    )
    last = None
    if job_id is not None:
        last = LastJob(job_id, at, Status(status), None if error is None else msgspec.json.decode(error, type=Error))
    return Scheduled(schedule_id, plan, created_ms, bool(paused), next_at, handled_at, last)


def _options(text: str | None) -> Options:
    return NONE if text is None else parse_options(msgspec.json.decode(text), OPTIONS.values())
