"""The generated description of an API."""

from dataclasses import dataclass
from typing import Annotated, Any

import schemathesis.openapi
from msgspec import Meta
from schemathesis.core.result import Ok

from asyncjob import JobContext, Jobs
from asyncjob.openapi import document
from asyncjob.sleep import jobs as sleep_jobs


@dataclass
class Job:
    """A user's own class, called as one of ours."""

    salary: int


def _registry() -> Jobs:
    jobs = Jobs()

    @jobs.job
    def hire(context: JobContext, job: Job, years: Annotated[int, Meta(ge=1)] = 1) -> None:
        """Hire somebody."""

    @jobs.job
    def fire(name: str) -> None: ...

    return jobs


def _resolve(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _body(described: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = described["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def test_each_function_is_a_body_with_its_parameters() -> None:
    described = document(_registry(), "1")
    bodies = [_resolve(described, reference) for reference in _body(described)["oneOf"]]
    hire, fire = bodies
    assert hire["title"] == "hire"
    assert hire["description"] == "Hire somebody."
    assert set(hire["properties"]) == {"jobId", "type", "job", "years"}
    assert hire["required"] == ["type", "job"]
    assert hire["properties"]["type"] == {"const": "hire"}
    assert hire["properties"]["years"] == {"type": "integer", "minimum": 1, "default": 1}
    assert _resolve(described, hire["properties"]["job"])["properties"] == {"salary": {"type": "integer"}}
    assert fire["required"] == ["type", "name"]
    assert hire["additionalProperties"] is False


def test_a_users_class_does_not_meet_ours() -> None:
    schemas = document(_registry(), "1")["components"]["schemas"]
    assert "jobId" in schemas["Job"]["properties"]
    assert "salary" in schemas["parameters.Job"]["properties"]


def test_with_one_function_the_type_may_be_left_out() -> None:
    described = document(sleep_jobs, "1")
    assert _resolve(described, _body(described))["required"] == ["seconds"]


def test_a_tool_that_reads_openapi_finds_every_operation() -> None:
    schema = schemathesis.openapi.from_dict(document(_registry(), "1"))
    found = {found.ok().label for found in schema.get_all_operations() if isinstance(found, Ok)}
    assert found == {
        "POST /jobs",
        "GET /jobs",
        "GET /jobs/{jobId}",
        "GET /jobs/{jobId}/attempts",
        "GET /jobs/{jobId}/deliveries",
        "GET /jobs/{jobId}/logs",
        "GET /jobs/{jobId}/events",
        "DELETE /jobs/{jobId}",
        "POST /jobs/{jobId}/cancel",
        "POST /jobs/{jobId}/retry",
        "POST /jobs/{jobId}/run-now",
        "GET /events",
        "GET /schedules",
        "GET /schedules/{scheduleId}",
        "PUT /schedules/{scheduleId}",
        "DELETE /schedules/{scheduleId}",
        "POST /schedules/{scheduleId}/pause",
        "POST /schedules/{scheduleId}/resume",
        "POST /schedules/{scheduleId}/run-now",
        "GET /stats",
    }


def test_what_is_notified_is_a_callback_where_anybody_is() -> None:
    described = document(_registry(), "1", options=["notify"])
    ((expression, item),) = described["paths"]["/jobs"]["post"]["callbacks"]["ended"].items()
    assert expression == "{$request.body#/options/notify}"
    body = _resolve(described, item["post"]["requestBody"]["content"]["application/json"]["schema"])
    assert body["properties"]["type"]["enum"] == ["job.canceled", "job.failure", "job.success"]
    assert "callbacks" not in document(_registry(), "1")["paths"]["/jobs"]["post"]


def test_a_key_is_described_where_there_is_one_or_may_be() -> None:
    for key_needed, security in (True, [{"apiKey": []}, {"bearer": []}]), (False, []), (None, [{}, {"apiKey": []}]):
        described = document(_registry(), "1", key_needed=key_needed)
        assert described["security"] == security
        assert ("securitySchemes" in described["components"]) == bool(security)
