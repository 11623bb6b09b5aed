"""The JSON Schema of a `POST /jobs`, made from the job functions' signatures, for OpenAPI and for AWS's model."""

from collections.abc import Collection
from typing import Any, NamedTuple

from asyncjob.contract import JOB_ID
from asyncjob.durations import MAX_SECONDS
from asyncjob.options import HIGHEST_PRIORITY, LOWEST_PRIORITY
from asyncjob.registry import JobFunction, Jobs
from asyncjob.type_schemas import Schema, schema_components

JOB_ID_SCHEMA: Schema = {
    "type": "string",
    "pattern": f"^{JOB_ID.pattern}$",
    "examples": ["12345"],
    "description": "Any id you like; posting the same request with the same id again starts nothing new.",
}
# Of the lengths of time that are accepted, those that are surely not over the longest.
_LENGTH = "^([0-9]{1,3}w)?([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?$"
_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": "^(197[1-9]|19[89][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-",  # the year
    "examples": ["2026-12-24T18:00:00Z"],
}
OPTION_SCHEMAS: dict[str, Schema] = {
    "delay": {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
            {"type": "string", "pattern": _LENGTH, "minLength": 2, "examples": ["90s", "1h30m"]},
        ],
        "description": "Run the job this long after its submission, at the earliest: seconds, or with units.",
    },
    "runAt": _TIME | {"description": "Run the job at this time, at the earliest."},
    "priority": {
        "type": "integer",
        "minimum": LOWEST_PRIORITY,
        "maximum": HIGHEST_PRIORITY,
        "description": "Before others, which rise while they wait.",
    },
    "startBy": _TIME | {"description": "If the job has not begun by this time, it is a Failure of type `Expired`."},
    "notify": {
        "type": "string",
        "format": "uri",
        "description": "Told how the job ended: an https URL of a host that the server allows (Standard Webhooks).",
    },
}


PLAN_SCHEMA: Schema = {
    "type": {"type": "string", "description": "The job function; it may be left out if there is only one."},
    "cron": {"type": "string", "examples": ["0 9 * * 1-5"], "description": "Five fields. Give this or `every`."},
    "tz": {"type": "string", "examples": ["Europe/Berlin"], "description": "Of `cron`: a time zone. Default: UTC."},
    "every": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}],
        "examples": ["15m", 900],
        "description": "At the multiples of this period since 1970, in UTC: seconds, or with units.",
    },
    "parameters": {"type": "object", "description": "Of each job."},
    "missed": {
        "enum": ["last", "all", "none"],
        "default": "last",
        "description": "Which times to make up for, if nobody was there.",
    },
    "overlap": {
        "enum": ["run", "skip"],
        "default": "run",
        "description": "Whether to begin a job while the last one has not ended.",
    },
    "options": {"type": "object", "description": "Of each job, as in a submission, without `runAt` and `startBy`."},
}
"""What a client may say of a schedule."""


class SubmissionSchemas(NamedTuple):
    """What may be submitted, in JSON Schema 2020-12.

    Attributes:
        bodies: by a name that none of the components has, in the order of the registry; a submission is one of them.
        components: by name, the classes that they refer to.
    """

    bodies: dict[str, Schema]
    components: dict[str, Schema]


def submission_schemas(jobs: Jobs, ref_template: str, *, options: Collection[str] = ()) -> SubmissionSchemas:
    """Describe what may be submitted.

    Args:
        jobs: the registry; each of its functions becomes a body.
        ref_template: how a component is referred to, with `{name}` for its name.
        options: the names of the options that it may have.
    """
    references, components = schema_components([function.parameters for function in jobs], ref_template)
    bodies = {}
    before = ref_template.partition("{name}")[0]
    for function, reference in zip(jobs, references, strict=True):
        name = reference["$ref"].removeprefix(before)
        bodies[name] = _body(components.pop(name), function, type_required=len(jobs) > 1, options=options)
    return SubmissionSchemas(bodies, components)


def results_schemas(jobs: Jobs, ref_template: str) -> SubmissionSchemas:
    """Describe what the functions return: `bodies` has the results of each whose type is known, by the function's name.

    Args:
        jobs: the registry.
        ref_template: as above.
    """
    known = [function for function in jobs if function.results is not Any]
    schemas, components = schema_components([function.results for function in known], ref_template, returned=True)
    bodies = {function.name: schema for function, schema in zip(known, schemas, strict=True)}
    return SubmissionSchemas(bodies, components)


def _body(parameters: Schema, function: JobFunction, *, type_required: bool, options: Collection[str]) -> Schema:
    """The schema of a function's parameters, made that of the body that submits it."""
    properties = {"jobId": JOB_ID_SCHEMA, "type": {"const": function.name}, **parameters.get("properties", {})}
    if options:
        known = {name: schema for name, schema in OPTION_SCHEMAS.items() if name in options}
        properties["options"] = {"type": "object", "properties": known, "additionalProperties": False}
        if {"delay", "runAt"} <= known.keys():
            properties["options"]["not"] = {"required": ["delay", "runAt"]}
    body = {**parameters, "title": function.name, "properties": properties}
    if function.function.__doc__:
        body["description"] = function.function.__doc__.strip().splitlines()[0]
    if type_required:
        body["required"] = ["type", *parameters.get("required", [])]
    return body
