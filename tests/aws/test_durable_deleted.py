"""A deleted job of the durable edition: whoever still knows it changes no job that has its id by now."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import PROCESSOR, RECORDER, Api
from tests.aws.double.double import Double
from tests.conformance.answers import assert_refused


@pytest.fixture(scope="module")
def api(package: str, folder: Path) -> Iterator[Api]:
    with ExitStack() as stack:
        yield Api(stack.enter_context(Double(package, scale=0.001, bucket=folder)), stack, signed=True)


def _submit(api: Api, job_id: str, **body: Any) -> None:
    answer = api.post(jobId=job_id, **body)
    assert answer.status_code == 202, answer.text


def _awaited(api: Api, pattern: str) -> None:
    """Wait for a line in the processor's log."""
    deadline = time.monotonic() + 60
    while not any(re.search(pattern, line) for line in [*api.double.services.logs[f"/aws/lambda/{PROCESSOR}"]]):
        assert time.monotonic() < deadline, api.double.services.logs
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["ask", "report"])
def test_a_function_whose_job_was_deleted_is_told_and_leaves_the_next_one_alone(api: Api, kind: str) -> None:
    """Both are Running and in their first attempt: only the time of their submission tells them apart."""
    job_id = f"same-{kind}"
    _submit(api, job_id, type=kind)
    api.job(job_id, "Running")
    assert api.client.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert api.client.delete(f"/jobs/{job_id}").status_code == 204
    _submit(api, job_id, type="hold", value=1)
    job = api.job(job_id, "Running")
    _awaited(api, f"{job_id} has noticed")
    _awaited(api, f"{job_id}.*too late")
    assert api.get(job_id).json() == job
    assert api.client.post(f"/jobs/{job_id}/cancel").status_code == 200


def test_the_recorder_does_not_fail_a_job_for_what_became_of_the_one_before(api: Api) -> None:
    with api.double.dropping(PROCESSOR):
        _submit(api, "again", type="add", a=1)
        created_at = api.get("again").json()["createdAt"]
        for named, expected in ((created_at.replace("2", "1", 1), "Pending"), (created_at, "Failure")):
            record = {
                "requestContext": {"condition": "RetriesExhausted"},
                "requestPayload": {"jobId": "again", "attempt": 1, "createdAt": named},
                "responsePayload": {"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"},
            }
            result = api.double.run(api.double.functions.invoke(RECORDER, json.dumps(record).encode()))
            assert result.error is None, result.payload
            assert api.get("again").json()["status"] == expected


def test_a_job_that_a_get_hides_already_is_not_found(api: Api) -> None:
    _submit(api, "expired", type="add", a=1)
    api.job("expired")
    key: dict[str, Any] = {"TableName": "Jobs", "Key": {"jobId": {"S": "expired"}}}
    client = api.double.client("dynamodb")
    client.update_item(
        **key, UpdateExpression="SET expiresAt = :then", ExpressionAttributeValues={":then": {"N": "1000000000"}}
    )
    assert assert_refused(api.client.delete("/jobs/expired"), 404) == "Not found"
    assert "Item" in client.get_item(**key)


@pytest.mark.parametrize(("fault", "status"), [("ThrottlingException", 429), ("InternalServerError", 503)])
def test_a_table_that_refuses_deletes_nothing(api: Api, fault: str, status: int) -> None:
    job_id = f"kept-{status}"
    _submit(api, job_id, type="add", a=1)
    job = api.job(job_id)
    with api.double.services.failing("dynamodb:DeleteItem", fault, role="ApiRole"):
        answer = api.client.delete(f"/jobs/{job_id}")
    assert_refused(answer, status)
    assert answer.headers["retry-after"] == "1"
    assert api.get(job_id).json() == job


def test_a_page_of_the_other_origin_may_delete(deployed: Callable[..., Api], package: str, folder: Path) -> None:
    api = deployed(package, scale=0.001, bucket=folder, CorsOrigin="https://app.example.com")
    answer = api.client.options("/jobs/x")
    assert answer.headers["access-control-allow-methods"] == "DELETE, GET"
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert api.client.options("/jobs").headers["access-control-allow-methods"] == "GET, POST"
