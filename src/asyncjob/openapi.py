"""The contract as OpenAPI 3.1, generated from a registry: each job function's parameters are in it."""

from collections.abc import Collection
from typing import Any

import msgspec

from asyncjob.contract import DEFAULT_PAGE, JOB_ID, MAX_PAGE, MAX_WAIT_SECONDS
from asyncjob.job import FINAL, Status
from asyncjob.registry import JobFunction, Jobs

Schema = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_JOB_ID: Schema = {
    "type": "string",
    "pattern": f"^{JOB_ID.pattern}$",
    "examples": ["12345"],
    "description": "Any id you like; posting the same request with the same id again starts nothing new.",
}
_NOTIFY: Schema = {
    "type": "string",
    "format": "uri",
    "description": "Told how the job ended: an https URL of a host that the server allows (Standard Webhooks).",
}
_TIME: Schema = {"type": "string", "format": "date-time", "examples": ["2024-06-06T12:34:56.789Z"]}

_REFUSALS = {
    400: "The request is malformed: the message says what is wrong, and where.",
    403: "The server wants an API key in `x-api-key`.",
    404: "No such job.",
    408: "The body did not arrive in time.",
    409: "The job's state does not allow it.",
    413: "The body is over 1 MB.",
    415: "The Content-Type is not application/json.",
    429: "Too many jobs are waiting; try again after `Retry-After` seconds.",
    503: "The server cannot save anything at the moment; try again after `Retry-After` seconds.",
}

_NOTHING_NEW = {"description": "The job is final, and `Last-Event-ID` names the event that said so."}


def document(jobs: Jobs, version: str, *, notify: bool = False) -> Schema:
    """The OpenAPI document of an API that runs these job functions.

    Args:
        jobs: the registry; each of its functions becomes a request body.
        version: what `info.version` says.
        notify: whether a submission may name whom to notify.
    """
    submissions, components = _submissions(jobs, notify)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Async Job API",
            "version": version,
            "summary": "POST a job, get 202 and an id at once; GET tells its status and its results.",
        },
        "paths": _paths(submissions),
        "components": {
            "schemas": {**components, **_fixed_schemas()},
            "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
        "security": [{}, {"apiKey": []}],  # none, where the server was started without a key
    }


def _submissions(jobs: Jobs, notify: bool) -> tuple[Schema, Schema]:
    """The schema of a `POST /jobs` body, and the components it refers to.

    Those are prefixed, so that a user's own class called `Job` does not meet ours.
    """
    prefix = "parameters."
    references, schemas = msgspec.json.schema_components(
        [function.parameters for function in jobs], ref_template=f"{_SCHEMAS}{prefix}{{name}}"
    )
    components = {prefix + name: schema for name, schema in schemas.items()}
    for function, reference in zip(jobs, references, strict=True):
        schema = components[reference["$ref"].removeprefix(_SCHEMAS)]
        _add_common_fields(schema, function, type_required=len(jobs) > 1)
        if notify:
            schema["properties"]["notify"] = _NOTIFY
    if len(jobs) == 1:
        return references[0], components
    mapping = {function.name: reference["$ref"] for function, reference in zip(jobs, references, strict=True)}
    return {"oneOf": list(references), "discriminator": {"propertyName": "type", "mapping": mapping}}, components


def _add_common_fields(schema: Schema, function: JobFunction, type_required: bool) -> None:
    """Turn the schema of a function's parameters into that of the body that submits it."""
    schema["title"] = function.name
    if function.function.__doc__:
        schema["description"] = function.function.__doc__.strip().splitlines()[0]
    schema["properties"] = {"jobId": _JOB_ID, "type": {"const": function.name}, **schema.get("properties", {})}
    if type_required:
        schema["required"] = ["type", *schema.get("required", [])]


def _fixed_schemas() -> Schema:
    job = _job()
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
        "Job": _object(job, required=["jobId", "type", "status", "parameters", "attempt", "createdAt"]),
        "Accepted": _object({"jobId": _JOB_ID}, required=["jobId"]),
        "Page": _page("jobs", _ref("Job")),
        "Attempts": _page("attempts", _object(attempt, required=["attempt", "status"])),
        "Deliveries": _page("deliveries", _delivery()),
        "Stats": _object({"jobs": _counts(list(Status)), "ended": ended}, required=["jobs", "ended"]),
        "Message": _object({"message": {"type": "string"}}, required=["message"]),
    }


def _page(name: str, items: Schema) -> Schema:
    cursor = {"type": "string", "description": "The cursor of the next page; absent on the last."}
    return _object({name: {"type": "array", "items": items}, "next": cursor}, required=[name])


def _job() -> Schema:
    return {
        "jobId": _JOB_ID,
        "type": {"type": "string", "description": "The job function."},
        "status": _ref("Status"),
        "parameters": {"type": "object"},
        "progress": {
            "type": "object",
            "properties": {"fraction": {"type": "number", "minimum": 0, "maximum": 1}, "message": {"type": "string"}},
            "required": ["fraction"],
        },
        "results": {"description": "What the function returned: any JSON value."},
        "error": {
            "type": "object",
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            "required": ["type", "message"],
        },
        "attempt": {"type": "integer", "minimum": 1},
        "createdAt": _TIME,
        "startedAt": _TIME,
        "finishedAt": _TIME,
    }


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


def _counts(statuses: Collection[Status]) -> Schema:
    names = [status for status in Status if status in statuses]
    return _object({name: {"type": "integer", "minimum": 0} for name in names}, required=list(names))


def _paths(submission: Schema) -> Schema:
    job_id = {"name": "jobId", "in": "path", "required": True, "schema": {"type": "string"}}
    job = _response("The job.", "Job")
    accepted = _response("Accepted: it is saved and will run.", "Accepted")
    accepted["headers"] = {"Location": {"schema": {"type": "string"}}, **_retry_after("Seconds.")}
    body = {"required": True, "content": {"application/json": {"schema": submission}}}
    submit_answers = _responses({"202": accepted}, 400, 403, 408, 409, 413, 415, 429, 503)
    submit = _operation("submit", "Register a job", submit_answers, requestBody=body)
    listing = _operation(
        "list",
        "List jobs, newest first",
        _responses({"200": _response("A page of jobs.", "Page")}, 400, 403, 503),
        parameters=[_query("status", _ref("Status")), _query("type", {"type": "string"}), *_page_parameters()],
    )
    shown = {**job, "headers": _retry_after("Until it is final.")}
    get = _operation("get", "Get a job", _responses({"200": shown}, 400, 403, 404), parameters=[_wait_parameter()])
    cancel = _operation("cancel", "Cancel a job", _responses({"200": job}, 403, 404, 409, 503))
    retry = _operation("retry", "Run a final job again", _responses({"202": accepted}, 403, 404, 409, 429, 503))
    listed = _response("The attempts, the first one first.", "Attempts")
    attempts = _operation("attempts", "How each attempt of a job ended", _responses({"200": listed}, 400, 403, 404))
    attempts["parameters"] = _page_parameters()
    told = _response("The notifications of its ends, the first one first.", "Deliveries")
    deliveries = _operation("deliveries", "Who was notified of the job's end", _responses({"200": told}, 400, 403, 404))
    deliveries["parameters"] = _page_parameters()
    counted = _response("The counts.", "Stats")
    stats = _operation("stats", "Count jobs by status and by when they ended", _responses({"200": counted}, 403))
    return {
        "/jobs": {"post": submit, "get": listing},
        "/jobs/{jobId}": {"parameters": [job_id], "get": get},
        "/jobs/{jobId}/cancel": {"parameters": [job_id], "post": cancel},
        "/jobs/{jobId}/retry": {"parameters": [job_id], "post": retry},
        "/jobs/{jobId}/events": {"parameters": [job_id], "get": _job_events()},
        "/events": {"get": _events()},
        "/jobs/{jobId}/attempts": {"parameters": [job_id], "get": attempts},
        "/jobs/{jobId}/deliveries": {"parameters": [job_id], "get": deliveries},
        "/stats": {"get": stats},
    }


def _job_events() -> Schema:
    return _stream(
        "jobEvents", "The job, each time it has changed, until it is final", {"204": _NOTHING_NEW}, 403, 404, 503
    )


def _events() -> Schema:
    return _stream("events", "Every change of every job", {}, 403, 503)


def _stream(name: str, summary: str, others: Schema, *refusals: int) -> Schema:
    stream = {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}
    last["description"] = "The last event that was received: what followed it is sent."
    return _operation(name, summary, _responses({"200": stream, **others}, *refusals), parameters=[last])


def _page_parameters() -> list[Schema]:
    return [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}),
        _query("cursor", {"type": "string", "pattern": "^[0-9]{1,18}$"}),
    ]


def _wait_parameter() -> Schema:
    wait = _query("wait", {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS})
    return wait | {"description": "Hold the answer until the job is final or so many seconds are over."}


def _operation(name: str, summary: str, responses: Schema, **more: Any) -> Schema:
    return {"operationId": name, "summary": summary, **more, "responses": responses}


def _retry_after(description: str) -> Schema:
    return {"Retry-After": {"description": description, "schema": {"type": "integer"}}}


def _ref(name: str) -> Schema:
    return {"$ref": _SCHEMAS + name}


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _response(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _responses(answers: Schema, *refusals: int) -> Schema:
    return answers | {str(status): _response(_REFUSALS[status], "Message") for status in refusals}
