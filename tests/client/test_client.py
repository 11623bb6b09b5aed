"""What both clients promise, on a real server."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import asyncjob
from asyncjob import (
    AwaitedJobCanceled,
    ClientError,
    JobCanceled,
    JobFailed,
    NotFound,
    Refused,
    Unreachable,
    WaitTimeout,
)
from asyncjob.job import Status
from tests.server.conftest import lines, wait_for
from tests.serving import Server


def test_a_job_is_submitted_and_its_results_come_back(client: Any) -> None:
    assert client.submit("add", a=1, b=2).result(timeout=30) == 3
    assert client.submit(type="add", a=1).result() == 2
    assert client.submit("echo", value=None).result() is None


def test_a_job_is_seen_with_all_that_the_api_says(client: Any) -> None:
    handle = client.submit("counts", steps=4)
    job = handle.wait(timeout=30)
    assert job == handle.get() == client.get(handle.id) == client.job(handle.id).get()
    assert (job.job_id, job.type, job.status, job.parameters) == (handle.id, "counts", Status.SUCCESS, {"steps": 4})
    assert (job.results, job.error, job.attempt) == (4, None, 1)
    assert job.started_at is not None and job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at <= datetime.now(UTC)
    progress = handle.progress()
    assert (progress.fraction, progress.message) == (1.0, "step 4")
    assert list(job.document) == [
        *("jobId", "type", "status", "parameters", "progress", "results", "attempt", "createdAt"),
        *("startedAt", "finishedAt"),
    ]


def test_parameters_may_be_what_is_no_json_by_itself(client: Any) -> None:
    @dataclass
    class Point:
        x: float

    class Time(datetime):
        """As a library may have it."""

    drawn = client.submit("draw", points=[Point(1.5)], at=Time(2024, 6, 6, tzinfo=UTC)).result()
    assert (drawn["points"], drawn["at"]) == ([[1.5, 0.0]], "2024-06-06T00:00:00Z")


def test_a_failure_is_raised_with_its_type_and_message(client: Any) -> None:
    with pytest.raises(JobFailed, match="LookupError: no such thing") as raised:
        client.submit("raises", message="no such thing").result()
    assert (raised.value.type, raised.value.message) == ("LookupError", "no such thing")
    assert raised.value.job.status is Status.FAILURE


def test_a_canceled_job_is_an_error_that_every_likely_except_catches(client: Any, started: str) -> None:
    handle = client.submit("waits", started=started)
    assert handle.cancel().status is Status.CANCELED
    assert handle.cancel().status is Status.CANCELED
    for kind in (AwaitedJobCanceled, JobCanceled, ClientError, Exception):
        with pytest.raises(kind, match=f"{handle.id} was canceled"):
            handle.result()


def test_a_wait_that_is_over_is_a_timeout_and_the_job_goes_on(client: Any, started: str) -> None:
    handle = client.submit("waits", started=started)
    wait_for(lambda: lines(Path(started)), "the job")
    for kind in (WaitTimeout, TimeoutError, ClientError):
        with pytest.raises(kind, match="it is Running"):
            handle.wait(timeout=0.1)
    with pytest.raises(WaitTimeout) as raised:
        handle.result(timeout=0)
    assert raised.value.job is not None and raised.value.job.status is Status.RUNNING
    handle.cancel()


def test_an_ended_job_runs_again_when_it_is_retried(client: Any) -> None:
    handle = client.submit("raises", message="x")
    assert handle.wait().attempt == 1
    handle.retry()
    assert handle.wait().attempt == 2


def test_a_retry_or_cancel_that_cannot_be_is_refused(client: Any, started: str) -> None:
    handle = client.submit("waits", started=started)
    with pytest.raises(Refused) as raised:
        handle.retry()
    assert raised.value.status == 409
    handle.cancel()
    ended = client.submit("add", a=1)
    ended.wait()
    with pytest.raises(Refused) as raised:
        ended.cancel()
    assert raised.value.status == 409


def test_a_job_that_has_ended_is_deleted_and_another_is_not(client: Any, started: str) -> None:
    handle = client.submit("waits", started=started)
    with pytest.raises(Refused, match="cannot delete job") as raised:
        handle.delete()
    assert raised.value.status == 409
    handle.cancel()
    ended = client.submit("add", a=1, jobId=f"mine-{uuid.uuid4()}")
    ended.wait()
    ended.delete()
    with pytest.raises(NotFound):
        ended.wait()
    assert client.submit("add", a=2, jobId=ended.id).result() == 3


def test_an_unknown_job_is_not_found_at_once(client: Any) -> None:
    unknown = client.job(str(uuid.uuid4()))
    for ask in (unknown.get, unknown.wait, unknown.result, unknown.cancel, unknown.retry, unknown.delete):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(NotFound):
        client.get("no id of a job")


def test_wrong_parameters_are_refused_in_the_words_of_the_api(client: Any) -> None:
    with pytest.raises(Refused, match=r"Expected `int`, got `str` - at `\$.a` \(400\)") as raised:
        client.submit("add", a="one")
    assert (raised.value.status, raised.value.message) == (400, "Expected `int`, got `str` - at `$.a`")


def test_a_job_id_can_be_chosen_and_is_taken_once(client: Any) -> None:
    chosen = f"mine-{uuid.uuid4()}"
    assert client.submit("add", a=1, jobId=chosen).id == chosen
    assert client.submit("add", a=1, jobId=chosen).result() == 2
    with pytest.raises(Refused) as raised:
        client.submit("add", a=2, jobId=chosen)
    assert raised.value.status == 409
    for wrong in ("", "../healthz", "a?wait=1"):
        with pytest.raises(ValueError, match="cannot be a job's id"):
            client.job(wrong)


def test_the_list_goes_on_over_all_pages(client: Any) -> None:
    marker = str(uuid.uuid4())
    submitted = [client.submit("once", value=[marker, number]).id for number in range(5)]
    for _ in client.map("raises", [{"message": marker}]):
        pass
    mine = [job for job in client.list(type="once", page_size=2) if job.parameters["value"][:1] == [marker]]
    assert [job.job_id for job in mine] == submitted[::-1]
    failed = client.list(status=Status.FAILURE, page_size=1)
    assert next(iter(failed)).parameters == {"message": marker}
    assert all(job.status is Status.FAILURE for job in failed)
    with pytest.raises(Refused, match="status must be one of"):
        list(client.list(status="Failed"))


def test_map_gives_every_job_back_in_order_once_it_has_ended(client: Any) -> None:
    handles = list(client.map("add", ({"a": number} for number in range(20)), concurrency=4))
    assert [handle.result() for handle in handles] == list(range(1, 21))
    kinds = [client.submit("add", a=1), *client.map("raises", [{"message": "x"}])]
    assert kinds[0].result() == 2
    with pytest.raises(JobFailed):
        kinds[1].result()


def test_map_has_no_more_jobs_unfinished_than_it_may_and_takes_parameters_as_it_needs_them(
    client: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    taken = []

    def parameters() -> Any:
        for number in range(10):
            taken.append(number)
            yield {"started": str(tmp_path / f"{number}"), "gate": str(gate)}

    mapped = client.map("holds", parameters(), concurrency=3)
    for number in range(1, 11):
        assert next(mapped).result() == "done"
        assert len(taken) == min(10, number + 2)
    assert list(mapped) == []


def test_map_can_be_left_while_its_jobs_run(client: Any, started: str, tmp_path: Path) -> None:
    parameters = [{"started": str(tmp_path / "0"), "gate": __file__}, *[{"started": started, "gate": __file__}] * 3]
    for handle in client.map("holds", parameters, concurrency=2):
        assert handle.result() == "done"
        break


def test_the_document_of_the_api_and_its_health_can_be_asked(client: Any, served: Server) -> None:
    wait_for(lambda: served.client.get("/healthz").status_code == 200, "a worker")
    assert client.check() is None
    assert "parameters.add" in client.openapi()["components"]["schemas"]


def test_a_key_is_sent(connected: Callable[..., Any], tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", "s3cret-of-16-chars") as server:
        assert connected(server.url, api_key="s3cret-of-16-chars").submit(seconds=0).result() == {
            "message": "I slept for 0 seconds"
        }
        with pytest.raises(Refused) as raised:
            connected(server.url).submit(seconds=0)
        assert raised.value.status == 401


def test_where_nobody_listens_or_somebody_else_it_says_so(connected: Callable[..., Any], served: Server) -> None:
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:9/jobs gave no answer: "):
        connected("http://127.0.0.1:9", retries=0).submit(seconds=0)
    with pytest.raises(Refused, match="this URL is not a job API"):
        connected(f"{served.url}/nothing").submit(seconds=0)
    with pytest.raises(Refused, match="does not list jobs"):
        list(connected(f"{served.url}/nothing").list())


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://localhost", "http://", "http://host:port", "http://host/?a=b"]
)
def test_an_url_that_cannot_be_is_refused_when_the_client_is_made(connected: Callable[..., Any], url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        connected(url)


def test_a_key_that_no_header_can_carry_is_refused(connected: Callable[..., Any]) -> None:
    for key in ("schlüssel", "two\nlines"):
        with pytest.raises(ValueError, match="printable ASCII"):
            connected(api_key=key)


@pytest.mark.parametrize(
    "module",
    [
        "asyncjob",
        "asyncjob.cli",
        "asyncjob.server.workers.worker.executor",
        "asyncjob.serve",
        "asyncjob.aws.build.model",
    ],
)
def test_nothing_imports_httpx_before_a_client_is_asked_for(module: str) -> None:
    script = f"import sys, {module}; assert 'httpx' not in sys.modules; import asyncjob; asyncjob.Client"
    subprocess.run([sys.executable, "-c", f"{script}; sys.modules['httpx']"], check=True)


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="Clinet"):
        asyncjob.Clinet  # type: ignore[attr-defined]  # noqa: B018
