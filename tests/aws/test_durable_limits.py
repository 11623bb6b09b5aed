"""What grows has a bound in the durable edition: the history of a job, a page of jobs, and the time between two sweeps.

The transitions are those of the processor, called here one after the other on the double's table.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any

import pytest

from asyncjob.aws.runtime import durable_item, durable_job, signing
from asyncjob.aws.runtime.record import error
from tests.aws.conftest import PROCESSOR, Api
from tests.aws.double.double import Double
from tests.aws.packaging import user_package

MOST = 405_000  # bytes of an item, as moto counts them; DynamoDB takes 409,600


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A deployment whose processor is never started, so that all jobs stay Pending."""
    folder = tmp_path_factory.mktemp("build")
    with ExitStack() as stack:
        double = stack.enter_context(Double(user_package(folder), bucket=folder))
        stack.enter_context(double.dropping(PROCESSOR))
        yield Api(double, stack, signed=True)


@pytest.fixture
def table(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """DynamoDB, where this process may write what a processor may."""
    variables = api.double.services.credentials(api.double.stack.named("ProcessorRole").attributes["Arn"])
    variables |= {"TABLE": "Jobs", "RETENTION_DAYS": "0", "AWS_REGION": "us-east-1"}
    for name, value in {**variables, "ASYNCJOB_URL_DYNAMODB": api.double.endpoint}.items():
        monkeypatch.setenv(name, value)
    connections: dict[Any, HTTPConnection] = {}
    monkeypatch.setattr(signing, "_connections", connections)
    yield api.double.client("dynamodb")
    for connection in connections.values():
        connection.close()


def _until() -> float:
    return time.time() + 30


def _submit(api: Api, table: Any, job_id: str) -> dict[str, Any]:
    """Submit a job with nearly all the parameters that it may have, and let it run a hundred times; its item."""
    answer = api.post(jobId=job_id, type="flaky", failures=9, value="x" * 299_000)
    assert answer.status_code == 202, answer.text
    item = table.get_item(TableName="Jobs", Key={"jobId": {"S": job_id}}, ConsistentRead=True)["Item"]
    item = {**item, "retries": {"N": "100"}}
    table.put_item(TableName="Jobs", Item=item)
    return item


def _claim(job_id: str, attempt: int) -> durable_item.Job:
    return durable_job.claim(job_id, attempt, 6_000, _until())


@pytest.mark.parametrize("text", ["日" * 950, "\x01" * 10_000], ids=["letters", "escapes"])
def test_a_job_runs_again_whatever_its_attempts_have_said(api: Api, table: Any, text: str) -> None:
    job_id = f"says-{ord(text[0])}"
    _submit(api, table, job_id)
    for attempt in range(1, 26):
        assert durable_job.lose(_claim(job_id, attempt), error("ConnectionError", text), _until()) == "Pending"
    attempts = api.client.get(f"/jobs/{job_id}/attempts").json()["attempts"]
    numbers = [each["attempt"] for each in attempts]
    assert numbers == list(range(numbers[0], 27))
    assert len(numbers) > 10
    assert all(text.startswith(each["error"]["message"]) for each in attempts[:-1])


def _history(size: int) -> dict[str, Any]:
    """Attempts of this size, as an earlier release may have left them."""
    errors = [error("Old", "x" * 10_000)] * (size // 10_000) + [error("Old", "x" * (size % 10_000))]
    return {"L": [{"M": {"attempt": {"N": "1"}, "error": {"S": each}}} for each in errors]}


def test_a_job_that_waits_can_begin_though_its_item_is_full(api: Api, table: Any) -> None:
    item = _submit(api, table, "full")
    for room in range(0, 2_000, 20):  # the first history that has some, but none for a claim
        try:
            table.put_item(TableName="Jobs", Item={**item, "attempts": _history(MOST - 299_000 - room)})
        except table.exceptions.ClientError:
            continue
        table.put_item(TableName="Jobs", Item={**item, "attempts": _history(MOST - 299_000 - room - 20)})
        break
    assert _claim("full", 1)["status"] == "Running"
    (now,) = api.client.get("/jobs/full/attempts").json()["attempts"]
    assert (now["attempt"], now["status"]) == (1, "Running")


@pytest.mark.parametrize(("letter", "size"), [("a", 900_000), ("ä", 450_000), ("\x01", 150_000)], ids=ascii)
def test_every_job_is_on_a_page_that_lambda_can_answer(api: Api, table: Any, letter: str, size: int) -> None:
    ids = [f"large-{ord(letter)}-{number}" for number in range(12)]
    for job_id in ids:
        assert api.post(jobId=job_id, type="add", a=1).status_code == 202
        durable_job.succeed(_claim(job_id, 1), json.dumps(letter * size, ensure_ascii=False), None, _until())
    listed, cursor = [], ""
    while True:
        answer = api.client.get(f"/jobs?type=add&limit=100{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        listed += [job["jobId"] for job in page["jobs"] if job["results"] == letter * size]
        if "next" not in page:
            break
        cursor = f"&cursor={page['next']}"
    assert listed == ids[::-1]
