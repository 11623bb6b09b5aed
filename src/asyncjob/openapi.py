"""The contract as OpenAPI 3.1: what each request is answered with, and the parameters of each job function."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from asyncjob.contract import DEFAULT_PAGE, JOB_ID, MAX_PAGE, MAX_WAIT_SECONDS
from asyncjob.job_log import Level
from asyncjob.openapi_bodies import CALLBACKS, SCHEMAS, bodies, ref
from asyncjob.registry import Jobs
from asyncjob.schema import results_schemas, submission_schemas
from asyncjob.type_schemas import Schema

# Of components made from a user's functions and classes, so that one called `Job` does not meet ours.
_PREFIX = "parameters."
_RESULTS_PREFIX, _RETURNED_PREFIX = "results.", "returned."
_KEY: Schema = {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
_SCHEMES: dict[bool | None, Schema] = {True: {**_KEY, "bearer": {"type": "http", "scheme": "bearer"}}, None: _KEY}
_SECURITY: dict[bool | None, list[Schema]] = {
    True: [{"apiKey": []}, {"bearer": []}],
    False: [],
    None: [{}, {"apiKey": []}],
}


class Operation(NamedTuple):
    """What the document says of one request.

    Attributes:
        name: its `operationId`.
        summary: what it does, in a few words.
        answers: by status, where the request is not refused.
        refusals: the statuses of refusals.
        parameters: in the query or the headers.
        submits: whether its body is a submission.
        body: the schema that its body has, if that is another.
    """

    name: str
    summary: str
    answers: dict[int, Schema]
    refusals: tuple[int, ...]
    parameters: tuple[Schema, ...] = ()
    submits: bool = False
    body: str | None = None


def document(
    jobs: Jobs,
    version: str,
    requests: Iterable[str] | None = None,
    *,
    options: Collection[str] = (),
    key_needed: bool | None = None,
) -> Schema:
    """The OpenAPI document of an API that runs these job functions.

    Args:
        jobs: the registry; each of its functions becomes a request body.
        version: what `info.version` says.
        requests: those that the API answers, of `OPERATIONS`; None for all.
        options: the names of the options that a submission may have.
        key_needed: whether the API wants a key; None where that is not known.
    """
    submission, components = _submission(jobs, options)
    schemas = {**components, **_results(jobs), **bodies(_results_of_a_job(jobs), jobs.names)}
    schemes = {"securitySchemes": _SCHEMES[key_needed]} if key_needed in _SCHEMES else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Async Job API",
            "version": version,
            "summary": "POST a job, get 202 and an id at once; GET tells its status and its results.",
        },
        "paths": _paths(OPERATIONS if requests is None else requests, submission, notifies="notify" in options),
        "components": {"schemas": schemas, **schemes},
        "security": _SECURITY[key_needed],
    }


def _submission(jobs: Jobs, options: Collection[str]) -> tuple[Schema, Schema]:
    """The schema of a `POST /jobs` body, and the components it refers to."""
    schemas = submission_schemas(jobs, f"{SCHEMAS}{_PREFIX}{{name}}", options=options)
    components = {_PREFIX + name: schema for name, schema in (schemas.components | schemas.bodies).items()}
    references = {name: ref(_PREFIX + name) for name in schemas.bodies}
    if len(jobs) == 1:
        return next(iter(references.values())), components
    mapping = {schemas.bodies[name]["title"]: reference["$ref"] for name, reference in references.items()}
    discriminator = {"propertyName": "type", "mapping": mapping}
    return {"oneOf": list(references.values()), "discriminator": discriminator}, components


def _results(jobs: Jobs) -> Schema:
    """Components: what each function returns, where that is known, and the classes in it."""
    schemas = results_schemas(jobs, f"{SCHEMAS}{_RETURNED_PREFIX}{{name}}")
    classes = {_RETURNED_PREFIX + name: schema for name, schema in schemas.components.items()}
    return classes | {_RESULTS_PREFIX + name: schema for name, schema in schemas.bodies.items()}


def _results_of_a_job(jobs: Jobs) -> Schema:
    """The schema of `results`, which those of any function may be."""
    known = [ref(_RESULTS_PREFIX + function.name) for function in jobs if function.results is not Any]
    schema: Schema = {"description": "What the function returned."}
    return schema | {"anyOf": known} if len(known) == len(jobs) else schema


def _paths(requests: Iterable[str], submission: Schema, notifies: bool) -> Schema:
    paths: Schema = {}
    for request in requests:
        method, path = request.split(" ")
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        ids = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
        item = paths.setdefault(path, {"parameters": ids} if ids else {})
        operation = OPERATIONS[request]
        item[method.lower()] = _described(operation, submission)
        if operation.submits and notifies:
            item[method.lower()]["callbacks"] = CALLBACKS
    return paths


def _described(operation: Operation, submission: Schema) -> Schema:
    described: Schema = {"operationId": operation.name, "summary": operation.summary}
    if operation.submits:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": submission}}}
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(operation.body)}}}
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    refusals = {status: _refusal(status) for status in operation.refusals}
    described["responses"] = {str(status): answer for status, answer in (operation.answers | refusals).items()}
    return described


# -- what the rows of the table below are made of --------------------------------------------------------------------


def _json(description: str, schema: str, headers: Schema | None = None) -> Schema:
    answer = {"description": description, "content": {"application/json": {"schema": ref(schema)}}}
    return answer if headers is None else {**answer, "headers": headers}


def _refusal(status: int) -> Schema:
    content = {"application/json": {"schema": ref("Message")}, "application/problem+json": {"schema": ref("Problem")}}
    return {"description": _REFUSALS[status], "content": content}


def _retry_after(description: str) -> Schema:
    return {"Retry-After": {"description": description, "schema": {"type": "integer"}}}


def _query(name: str, schema: Schema, **more: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, **more}


_ACCEPTED = _json(
    "Accepted: it is saved and will run.",
    "Accepted",
    {"Location": {"schema": {"type": "string"}}, **_retry_after("Seconds.")},
)
_STREAM: Schema = {
    "description": "Server-sent events.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_WAIT = _query(
    "wait",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
    description="Hold the answer until the job is final or so many seconds are over.",
)
_PREFER: Schema = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string", "examples": ["wait=10", "respond-async"]},
    "description": "`wait=10` is the same as the query's `wait`, which wins over it (RFC 7240).",
}
_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "pattern": f'^"{JOB_ID.pattern}"$', "examples": ['"12345"']},
    "description": "The job's id, in double quotes; another way to say `jobId`.",
}
_KNOWN: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "An `ETag` of the job, or several: if it is still that version, the answer is 304.",
}
_ETAG: Schema = {"ETag": {"description": "The version of the job.", "schema": {"type": "string"}}}
_PAGE = (
    _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}),
    _query("cursor", {"type": "string", "pattern": "^[0-9]{1,18}$"}),
)
_TYPE = _query("type", {"type": "string"})
_FILTERS = (_query("status", ref("Status")), _TYPE)
_LAST_EVENT: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The last event that was received: what followed it is sent.",
}

_REFUSALS = {
    400: "The request is malformed: the message says what is wrong, and where.",
    401: "The server wants its API key, as `x-api-key` or as `Authorization: Bearer`.",
    403: "A page of another origin has sent it, or the server does not go by that name.",
    404: "No such job, or schedule.",
    408: "The body did not arrive in time.",
    409: "The job's state does not allow it.",
    413: "The body is over 1 MB.",
    415: "The Content-Type is not application/json.",
    422: "`Idempotency-Key` was used for another request.",
    429: "Too many jobs are waiting; try again after `Retry-After` seconds.",
    503: "The server cannot save anything at the moment; try again after `Retry-After` seconds.",
}

OPERATIONS = {
    "POST /jobs": Operation(
        "submit",
        "Register a job",
        {200: _json("The job: it has ended while the request waited.", "Submitted"), 202: _ACCEPTED},
        (400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
        (_WAIT, _PREFER, _IDEMPOTENCY_KEY),
        submits=True,
    ),
    "GET /jobs": Operation(
        "list",
        "List jobs, newest first",
        {200: _json("A page of jobs.", "Page")},
        (400, 401, 403, 503),
        _FILTERS + _PAGE,
    ),
    "GET /jobs/{jobId}": Operation(
        "get",
        "Get a job",
        {
            200: _json(
                "The job.", "Job", _ETAG | _retry_after("Until it is final: a tenth of its age, from 1 to 10 seconds.")
            ),
            304: {"description": "The job is still of a version that `If-None-Match` names."},
        },
        (400, 401, 403, 404),
        (_WAIT, _PREFER, _KNOWN),
    ),
    "DELETE /jobs/{jobId}": Operation(
        "delete",
        "Delete a final job; its id is free then",
        {204: {"description": "It is deleted."}},
        (401, 403, 404, 409, 503),
    ),
    "POST /jobs/{jobId}/cancel": Operation(
        "cancel", "Cancel a job", {200: _json("The job.", "Job")}, (401, 403, 404, 409, 503)
    ),
    "POST /jobs/{jobId}/retry": Operation(
        "retry", "Run a final job again", {202: _ACCEPTED}, (401, 403, 404, 409, 429, 503)
    ),
    "POST /jobs/{jobId}/run-now": Operation(
        "runNow", "Run a job now that waits for its time", {202: _ACCEPTED}, (401, 403, 404, 409, 503)
    ),
    "GET /jobs/{jobId}/events": Operation(
        "jobEvents",
        "The job, each time it has changed, until it is final",
        {200: _STREAM, 204: {"description": "The job is final, and `Last-Event-ID` names the event that said so."}},
        (400, 401, 403, 404, 503),
        (
            _query("logs", {"type": "boolean"}, description="Whether to send its log, too: a line is an event `log`."),
            _LAST_EVENT,
        ),
    ),
    "GET /events": Operation("events", "Every change of every job", {200: _STREAM}, (401, 403, 503), (_LAST_EVENT,)),
    "GET /jobs/{jobId}/attempts": Operation(
        "attempts",
        "How each attempt of a job ended",
        {200: _json("The attempts, the first one first.", "Attempts")},
        (400, 401, 403, 404),
        _PAGE,
    ),
    "GET /jobs/{jobId}/logs": Operation(
        "logs",
        "What a job's function has logged and printed",
        {200: _json("A page of the log, the oldest line first.", "Logs")},
        (400, 401, 403, 404),
        (
            _query(
                "attempt",
                {"type": "integer", "minimum": 1, "maximum": 999_999_999},
                description="Lines of this attempt alone.",
            ),
            _query("level", {"enum": list(Level)}, description="Lines of this level or above alone."),
            *_PAGE,
        ),
    ),
    "GET /jobs/{jobId}/deliveries": Operation(
        "deliveries",
        "Who was notified of the job's end",
        {200: _json("The notifications of its ends, the first one first.", "Deliveries")},
        (400, 401, 403, 404),
        _PAGE,
    ),
    "GET /schedules": Operation(
        "schedules",
        "List schedules, the one that was made first in front",
        {200: _json("A page of schedules.", "Schedules")},
        (400, 401, 403),
        _PAGE,
    ),
    "GET /schedules/{scheduleId}": Operation(
        "schedule", "Get a schedule", {200: _json("The schedule.", "Schedule")}, (401, 403, 404)
    ),
    "PUT /schedules/{scheduleId}": Operation(
        "putSchedule",
        "Make a schedule, or change it",
        {200: _json("The schedule.", "Schedule")},
        (400, 401, 403, 408, 409, 413, 415, 429, 503),
        body="Plan",
    ),
    "DELETE /schedules/{scheduleId}": Operation(
        "deleteSchedule",
        "Delete a schedule that the code does not declare; its jobs stay",
        {204: {"description": "It is deleted."}},
        (401, 403, 404, 409, 503),
    ),
    "POST /schedules/{scheduleId}/pause": Operation(
        "pauseSchedule", "Begin nothing until resumed", {200: _json("The schedule.", "Schedule")}, (401, 403, 404, 503)
    ),
    "POST /schedules/{scheduleId}/resume": Operation(
        "resumeSchedule", "Go on with the next time", {200: _json("The schedule.", "Schedule")}, (401, 403, 404, 503)
    ),
    "POST /schedules/{scheduleId}/run-now": Operation(
        "runSchedule", "Begin a job beside its times", {202: _ACCEPTED}, (401, 403, 404, 409, 429, 503)
    ),
    "GET /stats": Operation(
        "stats",
        "Count jobs by status and by when they ended",
        {200: _json("The counts.", "Stats")},
        (400, 401, 403),
        (_TYPE,),
    ),
}
"""By method and path: the requests of the contract. An engine answers some or all of them."""
