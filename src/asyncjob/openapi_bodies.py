"""The bodies of the API's answers as JSON Schema, for the OpenAPI document."""

from collections.abc import Collection

from asyncjob.job import FINAL, Status
from asyncjob.job_log import Level
from asyncjob.schedules import SCHEDULE_ID
from asyncjob.schema import JOB_ID_SCHEMA, OPTION_SCHEMAS, PLAN_SCHEMA
from asyncjob.type_schemas import Schema

SCHEMAS = "#/components/schemas/"

_TIME: Schema = {"type": "string", "format": "date-time", "examples": ["2024-06-06T12:34:56.789Z"]}
_ALWAYS = ["jobId", "type", "status", "parameters", "attempt", "createdAt"]  # what every job has
_DUPLICATE: Schema = {
    "const": True,
    "description": "Given if nothing was saved, because this job was there before and is the same.",
}


def ref(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": SCHEMAS + name}


_SIGNED = [
    {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": description}
    for name, description in (
        ("webhook-id", "Of this notification: the same each time that it is sent again."),
        ("webhook-timestamp", "When it was sent, in seconds since 1970."),
        ("webhook-signature", "`v1,` and the signature of id, timestamp and body."),
    )
]
CALLBACKS: Schema = {
    "ended": {
        "{$request.body#/options/notify}": {
            "post": {
                "summary": "Told that the job has ended (Standard Webhooks)",
                "parameters": _SIGNED,
                "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Notification")}}},
                "responses": {
                    "2XX": {"description": "It has arrived."},
                    "410": {"description": "It is not to be sent again."},
                    "default": {"description": "It is sent again later, for a day."},
                },
            }
        }
    }
}
"""What a submission's `options.notify` is sent."""


def bodies(results: Schema, types: list[str]) -> Schema:
    """The components that every document has.

    Args:
        results: what `results` of a job may be.
        types: the names of the job functions.
    """
    job = _job(results)
    attempt = {name: job[name] for name in ("attempt", "status", "startedAt", "finishedAt", "error")}
    ended = _object(
        {
            "seconds": {"type": "integer", "description": "How long each moment is."},
            "counts": {"type": "array", "items": _counts(FINAL), "description": "The last moments, the oldest first."},
        },
        required=["seconds", "counts"],
    )
    return {
        "Status": {"type": "string", "enum": list(Status)},
        "Job": _object(job, required=_ALWAYS),
        "Submitted": _object(job | {"duplicate": _DUPLICATE}, required=_ALWAYS),
        "Accepted": _object({"jobId": JOB_ID_SCHEMA, "duplicate": _DUPLICATE}, required=["jobId"]),
        "Page": _page("jobs", ref("Job")),
        "Attempts": _page("attempts", _object(attempt, required=["attempt", "status"])),
        "Logs": _page("logs", _log_line()),
        "Deliveries": _page("deliveries", _delivery()),
        "Plan": _plan(types),
        "Schedule": _object(
            _schedule(),
            required=["scheduleId", "type", "parameters", "missed", "overlap", "declared", "paused", "createdAt"],
        ),
        "Schedules": _page("schedules", ref("Schedule")),
        "Stats": _object({"jobs": _counts(list(Status)), "ended": ended}, required=["jobs", "ended"]),
        "Message": _object({"message": {"type": "string"}}, required=["message"]),
        "Problem": _problem(),
        "Notification": _notification(job),
    }


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _page(name: str, items: Schema) -> Schema:
    cursor = {"type": "string", "description": "The cursor of the next page; absent on the last."}
    return _object({name: {"type": "array", "items": items}, "next": cursor}, required=[name])


def _job(results: Schema) -> Schema:
    return {
        "jobId": JOB_ID_SCHEMA,
        "type": {"type": "string", "description": "The job function."},
        "status": ref("Status"),
        "parameters": {"type": "object"},
        "progress": {
            "type": "object",
            "properties": {"fraction": {"type": "number", "minimum": 0, "maximum": 1}, "message": {"type": "string"}},
            "required": ["fraction"],
        },
        "results": results,
        "error": {
            "type": "object",
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            "required": ["type", "message"],
        },
        "attempt": {"type": "integer", "minimum": 1},
        "priority": OPTION_SCHEMAS["priority"] | {"description": "Absent if it is 0."},
        "createdAt": _TIME,
        "runAt": _TIME | {"description": "Given while a Pending job waits for this time."},
        "startBy": _TIME | {"description": "If it has not begun by then, it is a Failure of type `Expired`."},
        "startedAt": _TIME,
        "finishedAt": _TIME,
    }


def _log_line() -> Schema:
    text: Schema = {"type": "string"}
    properties: Schema = {
        "at": _TIME,
        "attempt": {"type": "integer", "minimum": 1},
        "number": {"type": "integer", "minimum": 1, "description": "Of the line in its attempt."},
        "level": {"enum": list(Level)},
        "logger": text | {"description": "Its name; `stdout` or `stderr` of what was printed."},
        "message": text,
        "traceback": text,
        "leftOut": {"type": "integer", "minimum": 1, "description": "How many lines were left out before this one."},
    }
    return _object(properties, required=["at", "attempt", "number", "level", "message"])


def _delivery() -> Schema:
    text: Schema = {"type": "string"}
    properties: Schema = {
        "id": text | {"description": "The `webhook-id` of each try."},
        "attempt": {"type": "integer", "minimum": 1},
        "url": text,
        "status": {"type": "string", "enum": ["Waiting", "Delivered", "Failed"]},
        "tries": {"type": "integer", "minimum": 0},
        "createdAt": _TIME,
        "nextTryAt": _TIME,
        "finishedAt": _TIME,
        "error": text | {"description": "What became of the last try that failed."},
    }
    return _object(properties, required=["id", "attempt", "url", "status", "tries", "createdAt"])


def _notification(job: Schema) -> Schema:
    told = ("jobId", "type", "status", "attempt", "createdAt", "startedAt", "finishedAt", "error")
    status = {"type": "string", "enum": sorted(FINAL)}
    data = {name: job[name] for name in told} | {"status": status}
    properties = {
        "type": {"type": "string", "enum": [f"job.{name.lower()}" for name in status["enum"]]},
        "timestamp": _TIME,
        "data": _object(data, required=["jobId", "type", "status", "attempt", "createdAt", "finishedAt"]),
    }
    return _object(properties, required=["type", "timestamp", "data"])


def _plan(types: list[str]) -> Schema:
    """What a client may say of a schedule of these functions."""
    required = ["type"] if len(types) > 1 else []
    plan = _object(PLAN_SCHEMA | {"type": {"enum": types}}, required)
    return plan | {"additionalProperties": False, "oneOf": [{"required": [name]} for name in ("cron", "every")]}


def _schedule() -> Schema:
    last = {"jobId": JOB_ID_SCHEMA, "runAt": _TIME, "status": ref("Status"), "error": {"type": "object"}}
    return {
        "scheduleId": {"type": "string", "pattern": f"^{SCHEDULE_ID.pattern}$"},
        **PLAN_SCHEMA,
        "every": {"type": "integer", "minimum": 1, "description": "Seconds."},
        "declared": {"type": "boolean", "description": "Whether the code declares it; if not, a client has made it."},
        "paused": {"type": "boolean"},
        "createdAt": _TIME,
        "nextRunAt": _TIME | {"description": "Absent while it is paused."},
        "lastRun": _object(last, required=["jobId", "runAt", "status"])
        | {"description": "The job that it has begun last, and what became of it."},
    }


def _problem() -> Schema:
    text: Schema = {"type": "string"}
    properties = {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "message": text}
    problem = _object(properties, required=list(properties))
    return problem | {"description": "RFC 9457, for a client whose `Accept` names `application/problem+json`."}


def _counts(statuses: Collection[Status]) -> Schema:
    names = [status for status in Status if status in statuses]
    return _object({name: {"type": "integer", "minimum": 0} for name in names}, required=list(names))
