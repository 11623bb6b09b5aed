"""The generated description of an API."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import UUID

import pytest
import schemathesis.openapi
from msgspec import Meta, Struct
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


class Started(Struct, tag=True):
    at: datetime


class Ended(Struct, tag=True):
    at: datetime


class Stopped(Struct, tag=True, array_like=True):
    at: datetime


class Pair(NamedTuple):
    first: datetime
    second: time


class Named(TypedDict):
    at: datetime


@dataclass
class Stay:
    at: datetime
    more: "Stay | None" = None


MOMENT = {"type": "string", "format": "date-time"}
FORMATS: list[tuple[Any, dict[str, Any]]] = [
    (datetime, MOMENT),
    (Annotated[datetime, Meta(tz=True)], MOMENT),
    (Annotated[datetime, Meta(tz=False)], {"type": "string"}),  # no format is of times without a zone
    (date, {"type": "string", "format": "date"}),
    (time, {"type": "string", "format": "time"}),
    (UUID, {"type": "string", "format": "uuid"}),
    (timedelta, {"type": "string", "format": "duration"}),
    (datetime | None, {"anyOf": [MOMENT, {"type": "null"}]}),
    (Annotated[datetime, Meta(description="When.")], MOMENT | {"description": "When."}),
    (list[datetime], {"type": "array", "items": MOMENT}),
    (dict[str, datetime | int], {"type": "object", "additionalProperties": {"anyOf": [MOMENT, {"type": "integer"}]}}),
]


@pytest.mark.parametrize(("hint", "schema"), FORMATS, ids=lambda each: repr(each)[:40])
def test_a_text_that_stands_for_something_else_has_its_format(hint: Any, schema: dict[str, Any]) -> None:
    def function(value: Any) -> Any: ...

    function.__annotations__.update(value=hint)
    jobs = Jobs()
    jobs.job(function)
    described = document(jobs, "1")
    assert _resolve(described, _body(described))["properties"]["value"] == schema


def test_a_time_that_may_be_returned_without_a_zone_has_no_format_that_demands_one() -> None:
    jobs = Jobs()
    jobs.job(name="returns_times")(_returns_times)
    schemas = document(jobs, "1")["components"]["schemas"]
    assert schemas["results.returns_times"]["items"] == {"$ref": "#/components/schemas/returned.Given"}
    assert schemas["returned.Given"]["properties"] == {"at": {"type": "string"}, "until": MOMENT}


@dataclass
class Given:
    at: datetime
    until: Annotated[datetime, Meta(tz=True)]


def _returns_times() -> list[Given]:
    return []


def test_times_in_classes_have_their_format_wherever_the_class_is() -> None:
    jobs = Jobs()

    @jobs.job
    def function(
        one: Started | Ended | int | None, tagged: Stopped, pair: Pair, named: list[Named], stay: tuple[int, Stay]
    ) -> None: ...

    schemas = document(jobs, "1")["components"]["schemas"]
    for name in ("Started", "Ended", "Named", "Stay"):
        assert schemas[f"parameters.{name}"]["properties"]["at"] == MOMENT
    assert schemas["parameters.Stopped"]["prefixItems"][1] == MOMENT
    assert schemas["parameters.Pair"]["prefixItems"] == [MOMENT, {"type": "string", "format": "time"}]


WITH_SETS = """
import json
from dataclasses import dataclass
from asyncjob import Jobs
from asyncjob.openapi import document

@dataclass
class Kept:
    tags: frozenset[str] = frozenset("abcdef")
    default: list[set[str]] | None = None

jobs = Jobs()

@jobs.job
def function(
    plain: set[str] = set("abcdef"),
    listed: list[set[str]] = [set("abcdef")],
    named: dict[str, set[str] | None] = {"x": set("abcdef")},
    pair: tuple[int, frozenset[frozenset[str]]] = (1, frozenset(map(frozenset, ("ab", "cd", "ef")))),
    kept: list[Kept] = [Kept(default=[set("abcdef")])],
) -> None: ...

print(json.dumps(document(jobs, "1")))
"""


def test_the_document_is_the_same_text_in_each_process() -> None:
    def described(seed: str) -> str:
        command = [sys.executable, "-c", WITH_SETS]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    first, *others = map(described, "1234")
    properties = json.loads(first)["components"]["schemas"]["parameters.function"]["properties"]
    assert properties["listed"]["default"] == [[*"abcdef"]]
    assert properties["kept"]["default"] == [{"tags": [*"abcdef"], "default": [[*"abcdef"]]}]
    assert set(others) == {first}
