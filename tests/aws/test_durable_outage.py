"""The durable edition where something does not end or does not answer: a function, a table, an event."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import PROCESSOR, RECORDER, Api
from tests.aws.double.services import Answer
from tests.aws.packaging import with_timeout

Deploy = Callable[..., Api]
REFUSED = Answer(500, b'{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}')


@pytest.fixture
def deploy(deployed: Deploy, folder: Path) -> Deploy:
    return partial(deployed, scale=0.001, bucket=folder, signed=True)


@contextmanager
def _stuck(api: Api, name: str, seconds: float) -> Iterator[None]:
    """Let DynamoDB answer the processor's writes that have this value after some seconds, and then with a 500."""
    answer = api.double.services.dynamodb
    processor = api.double.stack.named("ProcessorRole").attributes["Arn"]

    async def answered(role: str | None, operation: str, body: bytes) -> Answer:
        if role != processor or name not in json.loads(body).get("ExpressionAttributeValues", {}):
            return await answer(role, operation, body)
        await asyncio.sleep(seconds)
        return REFUSED

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.double.services, "dynamodb", answered)
        yield


def _submit(api: Api, job_id: str, **body: Any) -> None:
    answer = api.post(jobId=job_id, **body)
    assert answer.status_code == 202, answer.text


def _awaited(api: Api, pattern: str, name: str = PROCESSOR) -> str:
    """The first line in a function's log that matches, once it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in [*api.double.services.logs[f"/aws/lambda/{name}"]]:
            if re.search(pattern, line):
                return line
        time.sleep(0.05)
    raise AssertionError(f"nothing like {pattern}: {api.double.services.logs}")


def test_a_canceled_function_that_goes_on_costs_its_process(deploy: Deploy, package: str) -> None:
    api = deploy(with_timeout(package, 120))
    _submit(api, "deaf", type="deaf")
    process = Path("/proc") / _awaited(api, r"deaf in \d+").rpartition(" ")[2]
    assert api.client.post("/jobs/deaf/cancel").status_code == 200
    assert api.client.post("/jobs/deaf/retry").status_code == 202
    assert "deaf" in _awaited(api, "canceled, but it goes on")
    _awaited(api, "Error Type: Runtime.ExitError")
    assert not process.exists()
    assert (api.job("deaf", "Running")["attempt"], api.client.post("/jobs/deaf/cancel").status_code) == (2, 200)


def test_a_table_that_hangs_fails_no_job_that_waits(deploy: Deploy, package: str) -> None:
    api = deploy(with_timeout(package, 10))
    with _stuck(api, ":claimId", 5.5):
        _submit(api, "waits", type="add", a=1)
        assert "waits" in _awaited(api, "left to the sweeper", RECORDER)
    assert not [line for line in api.double.services.logs[f"/aws/lambda/{PROCESSOR}"] if "Status: timeout" in line]
    api.double.advance(300)
    job = api.job("waits")
    assert (job["status"], job["results"]) == ("Success", 2)


def test_a_timeout_of_a_job_that_never_began_is_its_failure_when_it_has_been_tried_often(
    deploy: Deploy, package: str
) -> None:
    api = deploy(package)
    record = {
        "requestContext": {"condition": "RetriesExhausted"},
        "requestPayload": {"jobId": "never", "attempt": 1},
        "responsePayload": {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"},
    }
    with api.double.dropping(PROCESSOR):
        _submit(api, "never", type="add", a=1)
        statuses = []
        for sweeps in range(5):
            result = api.double.run(api.double.functions.invoke(RECORDER, json.dumps(record).encode()))
            assert result.error is None, result.payload
            job = api.get("never").json()
            statuses.append(job["status"])
            api.double.client("dynamodb").update_item(
                TableName="Jobs",
                Key={"jobId": {"S": "never"}},
                UpdateExpression="SET sweeps = :sweeps",
                ExpressionAttributeValues={":sweeps": {"N": str(sweeps + 1)}},
            )
    assert statuses == ["Pending", "Pending", "Pending", "Failure", "Failure"]
    assert job["error"]["type"] == "Timeout"


def test_a_timeout_that_cannot_be_recorded_ends_the_process_at_the_deadline(deploy: Deploy, package: str) -> None:
    api = deploy(with_timeout(package, 20))
    with _stuck(api, ":never", 5.5):
        _submit(api, "late", type="overrun_once")
        assert "Runtime.ExitError" in _awaited(api, "^REPORT")


def test_a_job_that_waits_is_due_again_in_time_for_the_next_sweep(deploy: Deploy, package: str) -> None:
    api = deploy(package)
    with api.double.dropping(PROCESSOR):
        _submit(api, "waits", type="add", a=1)
        api.double.advance(8 * 120)
    sweeps = "".join(
        "." if line.startswith("START") else "!"
        for line in api.double.services.logs[f"/aws/lambda/{PROCESSOR}-sweeper"]
        if line.startswith("START") or "dispatched again" in line
    )
    assert re.fullmatch(r"\.+!\.!\.\.!\.*", sweeps), sweeps
