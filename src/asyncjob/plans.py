"""A plan: what a schedule does and when, as it is saved, whether code declares it or a client has sent it."""

from collections.abc import Collection
from typing import Any, Literal

import msgspec
from msgspec import Raw

from asyncjob.contract import ApiError, checked_parameters, decode_object, select_type
from asyncjob.options import NONE, InvalidOptions, Options, parse_options
from asyncjob.registry import InvalidParameters, Jobs
from asyncjob.schedules import NEVER_OPTIONS, SCHEDULE_ID_RULE, Cron, Every, Schedule, Timing, is_schedule_id

FIELDS = ("type", "cron", "tz", "every", "parameters", "missed", "overlap", "options")
_decode_raw = msgspec.json.Decoder(dict[str, Raw]).decode


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule does and when.

    Attributes:
        type: the job function's name.
        timing: when.
        parameters: of each job: a JSON object.
        options: of each job.
        missed, overlap: as in `Schedule`.
        declared: whether code says so; if not, a client does.
    """

    type: str
    timing: Timing
    parameters: bytes = b"{}"
    options: Options = NONE
    missed: Literal["last", "all", "none"] = "last"
    overlap: Literal["run", "skip"] = "run"
    declared: bool = False


def declared_plans(jobs: Jobs) -> dict[str, Plan]:
    """What the code declares, by the schedules' ids."""
    return {
        schedule_id: _plan(function.name, schedule, schedule.parameters_json, declared=True)
        for function in jobs
        for schedule_id, schedule in function.schedules.items()
    }


def parse_plan(jobs: Jobs, schedule_id: str, body: bytes, options: Collection[str]) -> Plan:
    """Check a `PUT /schedules/{scheduleId}`.

    Args:
        jobs: the registry.
        schedule_id: from the path.
        body: JSON, in UTF-8.
        options: the names of those that the engine can keep.

    Raises:
        ApiError: 400, whose message says what is wrong, and where.
    """
    if not is_schedule_id(schedule_id):
        raise ApiError(400, f"a schedule's id must be {SCHEDULE_ID_RULE}")
    fields = decode_object(body)
    for name in fields:
        if name not in FIELDS:
            raise ApiError(400, f"unknown field {name!r}; known: {', '.join(FIELDS)}")
    function = jobs[select_type(jobs, fields.get("type", msgspec.UNSET))]
    parameters = fields.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ApiError(400, "parameters must be a JSON object")
    try:
        sent = bytes(_decode_raw(body)["parameters"]) if parameters else b"{}"
        checked = checked_parameters(function, parameters, sent)
        known = [name for name in options if name not in NEVER_OPTIONS]
        chosen = parse_options(fields["options"], known) if "options" in fields else NONE
        return _plan(function.name, _schedule(fields, chosen), checked, declared=False)
    except (InvalidParameters, InvalidOptions, ValueError) as error:
        raise ApiError(400, str(error)) from None


def _schedule(fields: dict[str, Any], options: Options) -> Schedule:
    """The schedule that a request describes.

    Raises:
        ValueError: it describes none.
    """
    policy: Any = {name: fields[name] for name in ("missed", "overlap") if name in fields} | {"options": options}
    if ("cron" in fields) == ("every" in fields):
        raise ValueError('give either cron, such as "0 9 * * 1-5", or every, such as "15m"')
    if "every" in fields:
        if "tz" in fields:
            raise ValueError("tz belongs to cron: every counts in UTC")
        return Every(fields["every"], **policy)
    return Cron(fields["cron"], fields.get("tz", "UTC"), **policy)


def _plan(type: str, schedule: Schedule, parameters: bytes, *, declared: bool) -> Plan:  # noqa: A002
    return Plan(
        type=type,
        timing=schedule.timing,
        parameters=parameters,
        options=NONE if schedule.options is None else schedule.options,
        missed=schedule.missed,
        overlap=schedule.overlap,
        declared=declared,
    )
