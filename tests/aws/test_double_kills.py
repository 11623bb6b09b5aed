"""A function's process can be killed at a write: just before it, or just after, which the function never learns."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double_stack import Small, allow, arn, role

CLAIMING = """
import os, boto3

def handler(event, context):
    table = boto3.client("dynamodb", endpoint_url=os.environ["ASYNCJOB_URL_DYNAMODB"])
    for status in ("Running", "Success"):
        table.update_item(
            TableName="Jobs", Key={"jobId": {"S": event["jobId"]}}, UpdateExpression="SET #status = :status",
            ExpressionAttributeNames={"#status": "status"}, ExpressionAttributeValues={":status": {"S": status}},
        )
    return "done"
"""


def sets(status: str) -> Any:
    return lambda request: request["ExpressionAttributeValues"][":status"]["S"] == status


@pytest.mark.parametrize(
    ("after", "status", "left"),
    [
        (False, "Running", None),
        (True, "Running", "Running"),
        (False, "Success", "Running"),
        (True, "Success", "Success"),
    ],
)
def test_a_process_dies_before_or_after_a_given_write(
    tmp_path: Path, after: bool, status: str, left: str | None
) -> None:
    small = Small(tmp_path)
    small.resources["ReaderRole"] = role(allow("dynamodb:UpdateItem", arn("Jobs")))
    small.resources["Reader"]["Properties"] |= {"Code": {"ZipFile": CLAIMING}}
    with small.deployed() as double:

        def invoke(job_id: str) -> Any:
            result = double.run(double.functions.invoke("reader", json.dumps({"jobId": job_id}).encode()))
            return json.loads(result.payload)

        assert invoke("before") == "done"
        with double.services.killing("dynamodb:UpdateItem", after=after, matching=sets(status)):
            assert invoke("killed")["errorMessage"].endswith("signal: killed")
            assert (double.item("killed") or {}).get("status") == left
            assert invoke("after") == "done"  # one call was asked for
        with double.services.killing("dynamodb:UpdateItem", after=after, matching=sets("Canceled")):
            pass
        assert invoke("last") == "done"


def test_only_the_caller_dies(tmp_path: Path) -> None:
    small = Small(tmp_path)
    small.resources["ReaderRole"] = role(allow("dynamodb:UpdateItem", arn("Jobs")))
    small.resources["Reader"]["Properties"] |= {"Code": {"ZipFile": CLAIMING}}
    with small.deployed() as double:

        def is_second(request: dict[str, Any]) -> bool:
            return bool(request["Key"]["jobId"]["S"] == "j1")

        with double.services.killing("dynamodb:UpdateItem", after=True, matching=is_second):
            for number in range(3):
                event = json.dumps({"jobId": f"j{number}"}).encode()
                double.call(lambda event=event: double.functions.send("reader", event))  # type: ignore[misc]
            double.advance(1)
        statuses = [(double.item(f"j{number}") or {})["status"] for number in range(3)]
        assert statuses == ["Success", "Running", "Success"]
        double.advance(61)  # Lambda's retry
        assert (double.item("j1") or {})["status"] == "Success"
