"""Schedules as a client asks for them: without I/O, as core.py; and a schedule as Python values."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import msgspec

from asyncjob.client.answers import document, foreign
from asyncjob.client.core import Api, Call, Following, Operation
from asyncjob.client.errors import ClientError, NotFound, Refused
from asyncjob.job import Error, Status
from asyncjob.registry import registered
from asyncjob.returnable import Returnable
from asyncjob.schedules import SCHEDULE_ID_RULE, Schedule, is_schedule_id


class LastRun(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job that a schedule has begun last.

    Attributes:
        job_id: the job's id.
        run_at: the time that it was begun for.
        status: what has become of it.
        error: `type` and `message` of a Failure.
    """

    job_id: str
    run_at: datetime
    status: Status
    error: Error | None = None


class ScheduleSnapshot(Returnable, msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A schedule as it was when the API was asked.

    Attributes:
        schedule_id: its id.
        type: the job function's name.
        cron, tz: the expression and its time zone; None if it has a period.
        every: the seconds of its period; None if it has an expression.
        parameters: of each job.
        options: of each job, by their names in JSON.
        missed, overlap: as `Cron` and `Every` have them.
        declared: whether the code declares it; if not, a client has made it.
        paused: whether it waits until it is resumed.
        created_at: when it was made.
        next_run_at: the time that comes next; None while it is paused.
        last_run: the job that it has begun last, and what became of it.
        document: the schedule exactly as the API sent it.
    """

    schedule_id: str
    type: str
    cron: str | None = None
    tz: str | None = None
    every: int | None = None
    parameters: dict[str, Any]
    options: dict[str, Any] = {}
    missed: str
    overlap: str
    declared: bool
    paused: bool
    created_at: datetime
    next_run_at: datetime | None = None
    last_run: LastRun | None = None
    document: dict[str, Any]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The fields of `document`."""
        return iter(self.document.items())

    @classmethod
    def of(cls, document: dict[str, Any]) -> "ScheduleSnapshot":
        """Read a schedule of the API.

        Raises:
            msgspec.ValidationError: it is not a schedule.
        """
        return msgspec.convert({**document, "document": document}, cls)


def page(api: Api, cursor: str | None) -> Operation[tuple[list[ScheduleSnapshot], str | None]]:
    """A page of schedules, and the cursor of the next one if there is one."""
    return api.page_of("schedules", {} if cursor is None else {"cursor": cursor}, ScheduleSnapshot.of)


class Scheduling:
    """One schedule.

    Args:
        api: the API that has it, or will.
        schedule_id: its id.

    Raises:
        ValueError: no schedule can have that id.
    """

    def __init__(self, api: Api, schedule_id: str) -> None:
        if not is_schedule_id(schedule_id):
            raise ValueError(f"{schedule_id!r} cannot be a schedule's id: it must be {SCHEDULE_ID_RULE}")
        self.schedule_id = schedule_id
        self._api = api

    def get(self) -> Operation[ScheduleSnapshot]:
        """The schedule as it is now."""
        return (yield from self._ask("GET"))

    def put(self, schedule: Schedule, job: Callable[..., Any] | str | None) -> Operation[ScheduleSnapshot]:
        """Make it, or have it do something else."""
        name = job if job is None or isinstance(job, str) else registered(job).name
        if schedule.id not in (None, self.schedule_id):
            raise ClientError(f"the schedule is called {schedule.id!r} here and {self.schedule_id!r} there")
        body = {
            **({} if name is None else {"type": name}),
            **msgspec.to_builtins(schedule.timing),
            "parameters": msgspec.Raw(schedule.parameters_json),
            "missed": schedule.missed,
            "overlap": schedule.overlap,
            **({} if schedule.options is None else {"options": schedule.options.as_json()}),
        }
        return (yield from self._ask("PUT", body=msgspec.json.encode(body)))

    def delete(self) -> Operation[None]:
        """Delete it. Jobs that it has begun stay."""
        yield from self._exchange(Call("DELETE", self._path, self._api.timeout))

    def pause(self) -> Operation[ScheduleSnapshot]:
        """Have it begin nothing until it is resumed."""
        return (yield from self._ask("POST", "/pause"))

    def resume(self) -> Operation[ScheduleSnapshot]:
        """Have it go on with its next time."""
        return (yield from self._ask("POST", "/resume"))

    def run_now(self) -> Operation[Following]:
        """Begin a job beside its times. Repeated only if it certainly was not done: that would be two jobs."""
        call = Call("POST", f"{self._path}/run-now", self._api.timeout)
        response = yield from self._exchange(call, repeatable=False)
        try:
            return Following(self._api, document(response)["jobId"])
        except (KeyError, TypeError, ValueError):
            raise foreign(response) from None

    @property
    def _path(self) -> str:
        return f"/schedules/{self.schedule_id}"

    def _ask(self, method: str, then: str = "", body: bytes | None = None) -> Operation[ScheduleSnapshot]:
        response = yield from self._exchange(Call(method, f"{self._path}{then}", self._api.timeout, body))
        try:
            return ScheduleSnapshot.of(document(response))
        except (msgspec.ValidationError, RecursionError):
            raise foreign(response) from None

    def _exchange(self, call: Call, *, repeatable: bool = True) -> Operation[httpx.Response]:
        try:
            return (yield from self._api.exchange(call, repeatable=repeatable))
        except NotFound:  # the schedule, or all of them
            try:
                yield from self._api.exchange(Call("GET", "/schedules?limit=1", self._api.timeout))
            except NotFound:
                raise Refused(404, "this API has no schedules") from None
            raise
