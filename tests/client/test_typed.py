"""Submitting the function itself: a type checker knows its parameters and results, and the results are of its type."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from asyncjob import AsyncClient, Client, ClientError, Every, JobFailed, JobSnapshot, Options, RegistrationError
from asyncjob.client import ScheduleSnapshot
from asyncjob.client.functions import ask
from asyncjob.job import Progress
from asyncjob.options import NONE
from tests.client import typed_functions as functions
from tests.serving import Server

USE = """
from asyncjob import AsyncClient, Client, JobsApp, JobSnapshot, Options
from tests.client.typed_functions import count, report

def use(client: Client) -> None:
    job: JobSnapshot = client.submit('add', a=1).wait(timeout=1)
    reveal_type(job.status)
    reveal_type(client.submit(report, month="2026-11"))
    reveal_type(client.submit(report, Options(delay=3), month="2026-11").result())
    reveal_type(client.submit(count, Options(job_id="7"), words=["a"]).result(timeout=3))
    reveal_type(client.submit("count", words=["a"], options=Options(priority=1)).result())
    reveal_type(next(client.map(count, [{"words": ["a"]}])).result())

async def use_async(client: AsyncClient) -> None:
    reveal_type(await client.submit('add'))
    reveal_type(await (await client.submit(count, words=[])).result())

async def use_mounted(work: JobsApp) -> None:
    reveal_type(await (await work.submit(count, words=[])).result())
    reveal_type(work.blocking_client.submit(report, month="2026-11").result())

def misuse(client: Client) -> None:
    client.submit('add').wait(timeout='1')
    client.submit(report, month=11)
    client.submit(report)
    client.submit(report, month="2026-11", page=1)
    client.submit(count, words="abc")
    client.submit(report, Options(job_id=7), month="2026-11")
"""
CLIENTS = "asyncjob.client"
REVEALED = [
    "asyncjob.job.Status",
    f"{CLIENTS}.blocking.JobHandle[tests.client.typed_functions.Report]",
    "tests.client.typed_functions.Report",
    "dict[str, int]",
    "Any",
    "dict[str, int]",
    f"{CLIENTS}.asynchronous.AsyncJobHandle[Any]",
    "dict[str, int]",
    "dict[str, int]",
    "tests.client.typed_functions.Report",
]


def test_a_type_checker_sees_what_the_client_takes_and_gives(tmp_path: Path) -> None:
    code = tmp_path / "use.py"
    code.write_text(USE)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(tmp_path), str(code)]
    said = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    assert [line.partition('is "')[2].rstrip('"') for line in said if "Revealed type" in line] == REVEALED
    wrong = {int(line.split(":")[1]) for line in said if ": error:" in line}
    first = USE.splitlines().index("def misuse(client: Client) -> None:") + 2
    assert wrong == set(range(first, first + 6))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("typed")
    with Server(folder / "jobs.db", target=functions.__file__) as server:
        yield server


def test_results_come_back_as_what_the_function_returns(server: Server) -> None:
    with Client(server.url) as client:
        made = client.submit(functions.report, month="2026-11").result(timeout=60)
        assert made == functions.Report("2026-11", datetime(2026, 11, 1, tzinfo=UTC), [timedelta(days=1)])
        assert client.submit(functions.count, words=["a", "b", "a"]).result(timeout=60) == {"a": 2, "b": 1}
        by_name = client.submit("report", month="2026-11").result(timeout=60)
        assert by_name == {"month": "2026-11", "at": "2026-11-01T00:00:00Z", "takes": ["P1D"]}


def test_so_does_the_asynchronous_client(server: Server) -> None:
    async def year() -> int:
        async with AsyncClient(server.url) as client:
            handle = await client.submit(functions.report, month="2026-11")
            return (await handle.result(timeout=60)).at.year

    assert asyncio.run(year()) == 2026


def test_results_that_are_not_of_the_type_are_a_failure(server: Server) -> None:
    with Client(server.url) as client, pytest.raises(JobFailed) as failed:
        client.submit(functions.lies, value="three").result(timeout=60)
    assert failed.value.type == "InvalidResults"
    assert failed.value.message == "the results are not what the function's return type says: Expected `int`, got `str`"


def test_results_of_another_version_of_the_function_are_an_error_of_one_line() -> None:
    read = ask(functions.report, NONE, {"month": "1"}).read_results
    with pytest.raises(ClientError, match="the results are not what report returns in this program: Object missing"):
        read({"month": "2026-11"})


@pytest.mark.parametrize("job", [len, functions.not_a_job, lambda: None])
def test_what_is_no_job_function_is_refused_before_anything_is_sent(job: Any) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(RegistrationError, match="not registered with @jobs"):
        client.submit(job)


def test_options_are_sent_from_either_place_and_only_if_there_are_any() -> None:
    options = Options(delay="90s", priority=2)
    sent = {"type": "report", "month": "1", "options": {"delay": 90.0, "priority": 2}}
    assert ask(functions.report, options, {"month": "1"}).fields == sent
    assert ask("report", NONE, {"month": "1", "options": options}).fields == sent
    assert ask("report", NONE, {"options": {"delay": "90s"}}).fields == {"type": "report", "options": {"delay": "90s"}}
    assert ask("report", NONE, {}).fields == {"type": "report"}
    chosen = Options(job_id="7")
    assert ask(functions.report, chosen, {"month": "1"}).fields == {"type": "report", "month": "1", "jobId": "7"}
    assert ask("report", NONE, {"options": Options(job_id="7", priority=1)}).fields == {
        "type": "report",
        "jobId": "7",
        "options": {"priority": 1},
    }
    with pytest.raises(TypeError, match="either jobId or Options"):
        ask(functions.report, chosen, {"month": "1", "jobId": "7"})
    with pytest.raises(TypeError, match="Options and then parameters by name"):
        ask(functions.report, "2026-11", {})  # type: ignore[arg-type]


def test_the_openapi_document_says_what_each_function_returns(server: Server) -> None:
    schemas = httpx.get(f"{server.url}/openapi.json").json()["components"]["schemas"]
    assert schemas["results.count"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert schemas["results.report"] == {"$ref": "#/components/schemas/returned.Report"}
    assert schemas["returned.Report"]["required"] == ["month", "at", "takes"]
    assert {"$ref": "#/components/schemas/results.report"} in schemas["Job"]["properties"]["results"]["anyOf"]


def test_a_route_of_fastapi_returns_jobs_and_their_progress_as_they_are(server: Server) -> None:
    app, client = FastAPI(), Client(server.url)

    @app.get("/typed/{job_id}")
    def typed(job_id: str) -> JobSnapshot:
        return client.get(job_id)

    @app.get("/untyped/{job_id}")
    def untyped(job_id: str):  # type: ignore[no-untyped-def]
        return {"job": client.get(job_id), "progress": client.job(job_id).progress()}

    @app.get("/progress/{job_id}")
    def progress(job_id: str) -> Progress | None:
        return client.job(job_id).progress()

    async def get(*paths: str) -> list[Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as web:
            return [(await web.get(path)).json() for path in paths]

    with client:
        handle = client.submit(functions.count, words=["a"])
        handle.result(timeout=60)
        job, told = server.client.get(f"/jobs/{handle.id}").json(), {"fraction": 1.0, "message": "counted"}
        answers = asyncio.run(get(*(f"/{route}/{handle.id}" for route in ("typed", "untyped", "progress"))))
        assert answers == [job, {"job": job, "progress": told}, told]
        (document,) = asyncio.run(get("/openapi.json"))
    schema = document["components"]["schemas"]["JobSnapshot"]
    answer = document["paths"]["/typed/{job_id}"]["get"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/JobSnapshot"}
    contract = server.client.get("/openapi.json").json()["components"]["schemas"]["Job"]
    assert (set(schema["properties"]), schema["required"]) == (set(contract["properties"]), contract["required"])
    Draft202012Validator(schema).validate(job)


def test_a_route_of_fastapi_returns_a_schedule_as_it_is(server: Server) -> None:
    app, client = FastAPI(), Client(server.url)

    @app.get("/schedule")
    def schedule() -> ScheduleSnapshot:
        return client.schedule("typed").get()

    async def get(path: str) -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as web:
            return (await web.get(path)).json()

    with client:
        client.schedule("typed").put(Every("1h", parameters={"words": ["a"]}), functions.count)
        told = asyncio.run(get("/schedule"))
        client.schedule("typed").delete()
    assert (told["scheduleId"], told["every"]) == ("typed", 3_600) and "cron" not in told
    schema = asyncio.run(get("/openapi.json"))["components"]["schemas"]["ScheduleSnapshot"]
    Draft202012Validator(schema).validate(told)
