"""The OpenAPI document of what is deployed: the contract, without what AWS does not have.

Nothing may be paid for while it waits, so there are no held answers and no streams; and nobody counts.
"""

from typing import Any

from asyncjob.aws.build.durable import OPTIONS
from asyncjob.openapi import document
from asyncjob.registry import Jobs
from asyncjob.version import __version__

PATHS = (
    *("/jobs", "/jobs/{jobId}", "/jobs/{jobId}/cancel", "/jobs/{jobId}/retry", "/jobs/{jobId}/run-now"),
    "/jobs/{jobId}/attempts",
)
SCHEMAS = ("Deliveries", "Notification", "Plan", "Problem", "Schedule", "Schedules", "Stats", "Submitted")  # not here
RETRY_AFTER = {"description": "Until it is final.", "schema": {"type": "integer"}}
LARGE = {
    "description": "The job is too large to be read here: `Location` answers with it.",
    "headers": {"Location": {"schema": {"type": "string"}}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}},
}


def description(jobs: Jobs) -> dict[str, Any]:
    """The document of an API that runs these job functions on AWS."""
    whole = document(jobs, __version__, options=OPTIONS)
    paths = {path: whole["paths"][path] for path in PATHS}
    for operation in (paths["/jobs"]["post"], paths["/jobs/{jobId}"]["get"]):
        del operation["parameters"]  # of waits, versions and keys
    for status in ("200", "422"):
        del paths["/jobs"]["post"]["responses"][status]
    shown = paths["/jobs/{jobId}"]["get"]["responses"]
    del shown["304"]
    shown["200"] = {**shown["200"], "headers": {"Retry-After": RETRY_AFTER}}
    for path in ("/jobs/{jobId}", "/jobs/{jobId}/cancel"):
        for operation in ("get", "post"):
            if operation in paths[path]:
                paths[path][operation]["responses"]["303"] = LARGE
    for parameter in paths["/jobs"]["get"]["parameters"]:
        if parameter["name"] == "cursor":
            parameter["schema"] = {"type": "string"}
    for path in paths.values():
        for operation in path.values():
            if "responses" in operation:
                operation["responses"].pop("401")
                operation["responses"]["403"]["description"] = "The request is not signed as the API wants it."
            for answer in operation["responses"].values() if "responses" in operation else ():
                answer.get("content", {}).pop("application/problem+json", None)
    schemas = {name: schema for name, schema in whole["components"]["schemas"].items() if name not in SCHEMAS}
    return {**whole, "paths": paths, "components": {**whole["components"], "schemas": schemas}}
