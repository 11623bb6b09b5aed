"""Spans from the request to the function, written to a file by the SDK of a user's own."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncjob.sqlite.database import APPLICATION_ID, SCHEMA_VERSION
from asyncjob.sqlite.statements import MIGRATIONS
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import PatchedServer, Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
FUNCTIONS = """
import fcntl
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from asyncjob import JobContext, Jobs

jobs = Jobs()
file = open("spans", "a", buffering=1)
exporter = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\\n")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)


@jobs.job
def sync(gate: str | None = None) -> str:
    with trace.get_tracer("mine").start_as_current_span("inside"):
        if gate is not None:
            print("started", file=open("started", "a"))
            fcntl.flock(open(gate), fcntl.LOCK_SH)
    return format(trace.get_current_span().get_span_context().trace_id, "032x")


@jobs.job(name="async")
async def async_() -> str:
    with trace.get_tracer("mine").start_as_current_span("inside"):
        return format(trace.get_current_span().get_span_context().trace_id, "032x")


@jobs.job
def handed(context: JobContext) -> str | None:
    return context.traceparent


@jobs.job
def raises() -> None:
    raise LookupError("a secret")
"""
HANDED = """
from asyncjob import JobContext, Jobs

jobs = Jobs()


@jobs.job
def handed(context: JobContext) -> str | None:
    return context.traceparent


@jobs.job(isolate=True)
def apart(context: JobContext) -> str | None:
    return context.traceparent
"""
BROKEN = """

from opentelemetry.sdk.trace import SpanProcessor


class Broken(SpanProcessor):
    def {method}(self, span, parent_context=None):
        if not span.name == "inside":
            raise {error}


provider.add_span_processor(Broken())
"""
CURRENT = """
from opentelemetry import trace

from asyncjob import Jobs

jobs = Jobs()


@jobs.job
def current() -> str:
    return format(trace.get_current_span().get_span_context().trace_id, "032x")
"""


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Server]:
    target = tmp_path / "mine.py"
    target.write_text(FUNCTIONS)
    with Server(tmp_path / "jobs.db", "--workers", "1", target=str(target)) as server:
        yield server


def submit(server: Server, type: str, traceparent: str | None = TRACEPARENT, **parameters: Any) -> str:
    headers = {} if traceparent is None else {"traceparent": traceparent}
    answer = server.client.post("/jobs", json={"type": type, **parameters}, headers=headers)
    assert answer.status_code == 202
    job_id: str = answer.json()["jobId"]
    return job_id


def spans(server: Server, count: int) -> dict[str, Any]:
    """The spans that were exported, by name, once there are so many."""
    file = server.database.with_name("spans")
    wait_for(lambda: len(lines(file)) >= count, f"{count} spans")
    return {span["name"]: span for span in map(json.loads, lines(file))}


@pytest.mark.parametrize("type", ["sync", "async"])
def test_a_functions_own_spans_belong_to_the_trace_of_the_request(traced: Server, type: str) -> None:
    job_id = submit(traced, type)
    assert traced.result(job_id)["results"] == TRACE
    found = spans(traced, 3)
    submission, run, inside = found[f"submit {type}"], found[f"run {type}"], found["inside"]
    assert {span["context"]["trace_id"] for span in found.values()} == {f"0x{TRACE}"}
    assert submission["parent_id"] == f"0x{PARENT}"
    assert run["parent_id"] == submission["context"]["span_id"]
    assert inside["parent_id"] == run["context"]["span_id"]
    assert (submission["kind"], run["kind"]) == ("SpanKind.PRODUCER", "SpanKind.CONSUMER")
    assert run["attributes"] == {"asyncjob.id": job_id, "asyncjob.type": type, "asyncjob.attempt": 1}
    assert run["status"]["status_code"] == "UNSET"


@pytest.mark.parametrize("traceparent", [None, "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "é" * 500])
def test_without_a_valid_traceparent_a_job_has_a_trace_of_its_own(traced: Server, traceparent: str | None) -> None:
    body = b'{"type":"sync"}'
    headers = {} if traceparent is None else {b"traceparent": traceparent.encode()}
    answer = traced.client.post("/jobs", content=body, headers=headers)
    trace_id = traced.result(answer.json()["jobId"])["results"]
    assert trace_id not in (TRACE, "0" * 32)
    found = spans(traced, 3)
    assert found["submit sync"]["parent_id"] is None
    assert {span["context"]["trace_id"] for span in found.values()} == {f"0x{trace_id}"}


def test_a_failure_is_told_by_its_type_and_not_its_message(traced: Server) -> None:
    assert traced.result(submit(traced, "raises"))["status"] == "Failure"
    run = spans(traced, 2)["run raises"]
    assert run["status"] == {"status_code": "ERROR", "description": "LookupError"}
    assert run["attributes"]["error.type"] == "LookupError"
    assert "a secret" not in json.dumps(run)


def test_the_trace_outlives_the_server(traced: Server, gate: Gate) -> None:
    job_id = submit(traced, "sync", gate=gate.path)
    wait_for(lambda: lines(traced.database.with_name("started")), "its start")
    traced.stop(9)
    gate.open()
    traced.start()
    job = traced.result(job_id)
    assert (job["results"], job["attempt"]) == (TRACE, 2)
    found = spans(traced, 3)
    assert found["run sync"]["parent_id"] == found["submit sync"]["context"]["span_id"]
    assert found["run sync"]["attributes"]["asyncjob.attempt"] == 2


def test_without_an_sdk_the_requests_context_is_passed_on(tmp_path: Path) -> None:
    target = tmp_path / "mine.py"
    target.write_text(CURRENT)
    with Server(tmp_path / "jobs.db", target=str(target)) as server:
        assert server.result(submit(server, "current"))["results"] == TRACE
        assert server.result(submit(server, "current", None))["results"] == "0" * 32


def test_a_server_without_opentelemetry_runs_jobs_all_the_same(tmp_path: Path) -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; from asyncjob.cli import app; app()"
    with PatchedServer(tmp_path / "jobs.db", code) as server:
        answer = server.client.post("/jobs", json={"seconds": 0}, headers={"traceparent": TRACEPARENT})
        assert server.result(answer.json()["jobId"])["status"] == "Success"


@pytest.mark.parametrize("hidden", [True, False], ids=["without OpenTelemetry", "with it"])
def test_the_function_is_handed_the_requests_traceparent(tmp_path: Path, hidden: bool) -> None:
    code = "from asyncjob.cli import app; app()"
    if hidden:
        code = f"import sys; sys.modules['opentelemetry'] = None; {code}"
    target = tmp_path / "mine.py"
    target.write_text(HANDED)
    later = f"01-{TRACE}-{PARENT}-01-more"
    with PatchedServer(tmp_path / "jobs.db", code, target=str(target)) as server:
        for name in ("handed", "apart"):
            assert server.result(submit(server, name))["results"] == TRACEPARENT
        assert server.result(submit(server, "handed", later))["results"] == later
        for none in (
            None,
            "nonsense",
            f"ff-{TRACE}-{PARENT}-01",
            f"{TRACEPARENT}-more",
            f"00-{'0' * 32}-{PARENT}-01",
            TRACEPARENT.upper(),
        ):
            assert server.result(submit(server, "handed", none))["results"] is None


def test_with_an_sdk_the_function_is_handed_the_submissions_span(traced: Server) -> None:
    handed = traced.result(submit(traced, "handed"))["results"]
    assert handed == f"00-{TRACE}-{spans(traced, 2)['submit handed']['context']['span_id'][2:]}-01"


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
@pytest.mark.parametrize("method", ["on_start", "on_end"])
def test_an_sdk_that_raises_costs_no_job_and_the_log_says_so(tmp_path: Path, method: str, error: str) -> None:
    target = tmp_path / "mine.py"
    target.write_text(FUNCTIONS + BROKEN.format(method=method, error=error))
    with Server(tmp_path / "jobs.db", target=str(target)) as server:
        for name in ("async", "sync"):
            job = server.result(submit(server, name, jobId=name))
            assert (job["status"], job["attempt"]) == ("Success", 1)
        again = server.client.post("/jobs", json={"type": "handed", "jobId": "sync"})
        assert again.status_code == 409
        assert server.log.read_text().count(f"a span failed error={error}") == 5
        assert "unexpected error" not in server.log.read_text()


def test_a_provider_that_cannot_be_loaded_costs_no_job(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", env={"OTEL_PYTHON_TRACER_PROVIDER": "there_is_none"}) as server:
        for number in range(2):  # the second one is answered on the lane
            assert server.result(submit(server, "sleep", seconds=number / 1000))["status"] == "Success"
        assert server.stop() == 0


def test_a_submission_that_is_refused_is_told_by_its_type(traced: Server) -> None:
    submit(traced, "sync", jobId="1")
    assert traced.client.post("/jobs", json={"type": "handed", "jobId": "1"}).status_code == 409
    refused = spans(traced, 4)["submit handed"]
    assert refused["status"] == {"status_code": "ERROR", "description": "Conflict"}
    assert (refused["attributes"]["error.type"], refused["events"]) == ("Conflict", [])


def test_a_file_of_the_first_version_is_taken_up(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.db") as old:
        old.executescript(f"{MIGRATIONS[0]}\nPRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
        old.execute(
            "INSERT INTO job (job_id, type, status, parameters, due_at, created_at) "
            "VALUES ('old', 'sleep', 'Pending', '{\"seconds\":0}', 0, '2024-06-06T12:34:56.789Z')"
        )
    old.close()
    with Server(tmp_path / "jobs.db") as server:
        assert server.result("old")["results"] == {"message": "I slept for 0 seconds"}
        assert server.result(server.submit("sleep", seconds=0))["status"] == "Success"
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert "traceparent" in [row[1] for row in connection.execute("PRAGMA table_info(job)")]
    connection.close()
