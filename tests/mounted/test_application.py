"""What an application's own code sees of it: clients without an address, several event loops, and nothing changed."""

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.websockets import WebSocketDisconnect

from asyncjob import JobsApp, JobSnapshot, Refused
from asyncjob.mounted.clients import Transport
from asyncjob.mounted.member import Member
from asyncjob.server import logs
from asyncjob.server.settings import SettingsError
from tests.functions import add, echo, jobs, raises

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer versions want another library than httpx
    from starlette.testclient import TestClient


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_write", logs._write)  # which the application changes for its process


@pytest.fixture
def work(tmp_path: Path) -> JobsApp:
    return JobsApp(jobs, database=tmp_path / "jobs.db", workers=1, backoff=0.01)


def test_to_make_one_starts_nothing_and_writes_nothing(tmp_path: Path) -> None:
    threads = threading.active_count()
    JobsApp(jobs, database=tmp_path / "jobs.db")
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads


def test_a_setting_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match=r"^api_key= must be at least"):
        JobsApp(jobs, api_key="short")
    with pytest.raises(SettingsError, match=r"^workers= must be a whole number from 1"):
        JobsApp(jobs, workers=0)
    with pytest.raises(SettingsError, match=r"^notify_allow= needs notify_secret=,"):
        JobsApp(jobs, notify_allow=["hooks.example.com"])
    with pytest.raises(ValueError, match="is not a duration"):
        JobsApp(jobs, keep="for ever")
    with pytest.raises(ValueError, match="is not a duration"):
        JobsApp(jobs, keep=30)  # type: ignore[arg-type]


def test_a_coroutine_submits_a_function_and_gets_what_it_returns(work: JobsApp) -> None:
    async def use() -> tuple[int, Any, str]:
        async with work.lifespan():
            handle = await work.submit(add, a=2, b=3)
            total: int = await handle.result(timeout=30)
            failed = await work.submit("raises", message="no")
            listed = [job.job_id async for job in work.client.list()]
            assert listed == [failed.id, handle.id]
            return total, (await failed.wait(30)).error, (await work.client.get(handle.id)).status

    total, error, status = asyncio.run(use())
    assert (total, status) == (5, "Success")
    assert error is not None and error.message == "no"


def test_what_the_application_asks_itself_is_no_request_in_httpxs_log(
    work: JobsApp, caplog: pytest.LogCaptureFixture
) -> None:
    async def use() -> None:
        async with work.lifespan():
            await (await work.submit(add, a=2, b=3)).result(timeout=30)
            await asyncio.to_thread(lambda: list(work.blocking_client.list()))

    with caplog.at_level(logging.INFO):
        asyncio.run(use())
    assert not [record for record in caplog.records if record.name == "httpx"]


def test_what_the_api_refuses_is_raised(work: JobsApp) -> None:
    async def use() -> None:
        async with work.lifespan():
            with pytest.raises(Refused, match="Expected `int`, got `str`"):
                await work.submit("add", a="x")

    asyncio.run(use())


def test_an_api_key_is_for_those_outside(tmp_path: Path) -> None:
    work = JobsApp(jobs, database=tmp_path / "jobs.db", workers=1, api_key="a key of 20 characters")

    async def use() -> None:
        async with work.lifespan(), httpx.AsyncClient(transport=httpx.ASGITransport(work), base_url="http://x") as http:
            assert (await http.post("/jobs", json={"type": "add", "a": 1})).status_code == 401
            assert await (await work.submit(add, a=1)).result(timeout=30) == 2
            assert await asyncio.to_thread(lambda: work.blocking_client.submit(add, a=2).result(timeout=30)) == 3

    asyncio.run(use())


def test_the_blocking_client_refuses_to_wait_for_its_own_event_loop(work: JobsApp) -> None:
    async def use() -> None:
        async with work.lifespan():
            with pytest.raises(RuntimeError, match=r"use `await work.client"):
                work.blocking_client.submit(add, a=1)

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="is not running"):
        work.blocking_client.submit(add, a=1)


def test_routes_submit_jobs_and_return_them_as_they_are(work: JobsApp) -> None:
    app = FastAPI(lifespan=work.lifespan)
    app.mount("/work", work)

    @app.post("/sums")
    async def begin(a: int) -> str:
        return (await work.submit(add, a=a)).id

    @app.get("/sums/{job_id}")
    def look(job_id: str) -> JobSnapshot:
        return work.blocking_client.job(job_id).wait(timeout=30)

    with TestClient(app) as client:
        job_id = client.post("/sums?a=4").json()
        job = client.get(f"/sums/{job_id}").json()
        assert (job["status"], job["results"]) == ("Success", 5)
        assert job == client.get(f"/work/jobs/{job_id}").json()
        with client.stream("GET", f"/work/jobs/{job_id}/events") as events:
            assert '"Success"' in events.read().decode()


def test_tests_may_start_it_again_and_again_or_not_at_all(work: JobsApp, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI(lifespan=work.lifespan)
    app.mount("/work", work)
    job = {"type": "add", "a": 1, "jobId": "one"}
    for _ in range(2):
        with TestClient(app) as client:
            assert client.post("/work/jobs", json=job).status_code == 202
    client = TestClient(app)  # without the lifespan, each of its requests has an event loop of its own
    for _ in range(2):
        assert client.get("/work/jobs/one").status_code == 200
    assert "starts with its first request" in caplog.text


def test_two_event_loops_of_one_process_share_the_database(work: JobsApp) -> None:
    app = FastAPI(lifespan=work.lifespan)
    app.mount("/work", work)
    with TestClient(app) as first, TestClient(app) as second:
        assert first.post("/work/jobs", json={"type": "add", "a": 1, "jobId": "one"}).status_code == 202
        assert second.get("/work/jobs/one?wait=30").json()["results"] == 2


def test_lifespans_that_are_entered_twice_start_it_once(work: JobsApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="asyncjob")

    async def use() -> None:
        async with work.lifespan():
            async with work.lifespan():
                assert await (await work.submit(add, a=1)).result(timeout=30) == 2
            assert await (await work.submit(add, a=2)).result(timeout=30) == 3

    asyncio.run(use())
    assert caplog.text.count("owning the database") == 1


def test_a_database_that_cannot_be_used_fails_the_start(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("this is no database, and longer than a header of one " * 10)
    work = JobsApp(jobs, database=tmp_path / "jobs.db")
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(work({"type": "lifespan"}, receive, send))
    (message,) = told
    assert message["type"] == "lifespan.startup.failed"
    assert "cannot use" in message["message"]


def test_a_late_start_that_fails_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("this is no database, and longer than a header of one " * 10)
    app = FastAPI()
    app.mount("/work", JobsApp(jobs, database=tmp_path / "jobs.db"))
    answer = TestClient(app).get("/work/jobs")
    assert answer.status_code == 503
    assert "cannot use" in answer.json()["message"]


def test_a_websocket_is_refused(work: JobsApp) -> None:
    with TestClient(work) as client, pytest.raises(WebSocketDisconnect), client.websocket_connect("/"):
        pass


def test_nothing_that_is_the_processs_own_is_changed(work: JobsApp) -> None:
    def seen() -> list[object]:
        return [
            [signal.getsignal(each) for each in signal.valid_signals() if each != signal.SIGCHLD],
            resource.getrlimit(resource.RLIMIT_NOFILE),
            os.getcwd(),
            (sys.stdin, sys.stdout, sys.stderr, sys.path[:]),
            [
                (each.handlers, each.level, each.propagate)
                for each in map(logging.getLogger, (None, "asyncjob", "uvicorn", "uvicorn.error"))
            ],
            {**os.environ, "PYTEST_CURRENT_TEST": ""},
        ]

    async def use() -> None:
        before = seen()
        async with work.lifespan():
            assert seen() == before
            assert await (await work.submit(echo, value="x")).result(timeout=30) == "x"
        assert seen() == before

    asyncio.run(use())


def test_the_logger_gets_our_lines_and_what_they_are_about(work: JobsApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="asyncjob")

    async def use() -> str:
        async with work.lifespan():
            handle = await work.submit(raises, message="no")
            await handle.wait(30)
            return handle.id

    job_id = asyncio.run(use())
    (ended,) = [record for record in caplog.records if record.getMessage().startswith("job ended")]
    assert (ended.asyncjob["event"], ended.asyncjob["job_id"]) == ("job ended", job_id)  # type: ignore[attr-defined]
    assert f"job_id={job_id}" in ended.getMessage()


def test_event_loops_that_came_and_went_leave_nothing(work: JobsApp) -> None:
    app = FastAPI()
    app.mount("/work", work)
    client = TestClient(app)  # without the lifespan: each request has an event loop of its own
    for _ in range(2):
        assert client.get("/work/jobs").status_code == 200
    gc.collect()
    assert [each for each in gc.get_objects() if type(each) is Member] == []  # other tests' objects may lie


def test_a_client_that_leaves_is_no_error_to_a_middleware(work: JobsApp) -> None:
    async def passes(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app = FastAPI()
    app.mount("/work", work)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passes)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/work/jobs",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"500")],
    }
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def use() -> None:
        async with work.lifespan():
            await app(scope, receive, send)

    asyncio.run(use())
    assert sent[0]["status"] == 499


def test_a_stream_of_the_application_itself_can_be_left(work: JobsApp) -> None:
    async def use() -> None:
        transport = Transport(work, lambda: False)
        async with work.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            async with http.stream("GET", "/events") as answer:
                await anext(answer.aiter_bytes())
                for _ in range(3):  # so that there is more to be read
                    await work.submit(add, a=1)
            assert (await http.get("/jobs")).status_code == 200

    asyncio.run(use())
