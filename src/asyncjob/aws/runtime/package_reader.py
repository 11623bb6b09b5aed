"""The reader of the package edition: answers for a job that API Gateway cannot read, since it is compressed.

GET /jobs/{jobId} ── 303 ── GET /jobs/{jobId}/large ── reader ── GetItem
"""

import os
import time
from typing import NotRequired, TypedDict

import msgspec

from asyncjob.aws.runtime.dynamodb import call, untyped
from asyncjob.aws.runtime.item import unpacked
from asyncjob.aws.runtime.record import expired
from asyncjob.aws.runtime.shapes import Context
from asyncjob.job import Job

JSON = ("parameters", "progress", "results", "error")
PATIENCE_SECONDS = 5.0


class Wanted(TypedDict):
    """What API Gateway asks for."""

    jobId: str


class Answer(TypedDict):
    """What API Gateway makes its own answer of."""

    status: int
    body: str
    retryAfter: NotRequired[str]


NOT_FOUND: Answer = {"status": 404, "body": '{"message": "Not found"}'}


def handler(event: Wanted, context: Context) -> Answer:
    """Read one job.

    Args:
        event: names the job.
        context: Lambda's.

    Returns:
        The answer that `GET /jobs/{jobId}` has for smaller jobs.

    Raises:
        TableError: the table does not answer.
    """
    if len(event["jobId"]) > 128:  # no job's; DynamoDB would refuse it as a key
        return NOT_FOUND
    key = {"jobId": {"S": event["jobId"]}}
    request = {"TableName": os.environ["TABLE"], "ConsistentRead": True, "Key": key}
    item = untyped(call("GetItem", request, time.time() + PATIENCE_SECONDS).get("Item", {}))
    if not item or expired(item):
        return NOT_FOUND
    fields = dict(unpacked(item))
    job = {name: fields[name] for name in Job.__struct_encode_fields__ if name in fields}
    shown = {name: msgspec.Raw(str(value).encode()) if name in JSON else value for name, value in job.items()}
    answer: Answer = {"status": 200, "body": msgspec.json.encode(shown).decode()}
    return answer if "finishedAt" in item else {**answer, "retryAfter": "1"}
