"""The reader of the package edition: answers for a job that API Gateway cannot read, since it is compressed.

GET /jobs/{jobId} ── 303 ── GET /jobs/{jobId}/large ── reader ── GetItem
"""

import os
import time
from typing import Any

import msgspec

from asyncjob.aws.runtime.item import unpacked
from asyncjob.aws.runtime.table import Item, call, expired, plain
from asyncjob.job import Job

JSON = ("parameters", "progress", "results", "error")
PATIENCE_SECONDS = 5.0
NOT_FOUND: Item = {"status": 404, "body": '{"message": "Not found"}'}


def handler(event: Item, context: Any) -> Item:
    """Read one job.

    Args:
        event: `{"jobId"}`.
        context: Lambda's.

    Returns:
        `{"status", "body", "retryAfter"?}`, of the answer that `GET /jobs/{jobId}` has for smaller jobs.

    Raises:
        TableError: the table does not answer.
    """
    if len(event["jobId"]) > 128:  # no job's; DynamoDB would refuse it as a key
        return NOT_FOUND
    key = {"jobId": {"S": event["jobId"]}}
    request: Item = {"TableName": os.environ["TABLE"], "ConsistentRead": True, "Key": key}
    found = call("GetItem", request, time.time() + PATIENCE_SECONDS).get("Item", {})
    item = {name: plain(value) for name, value in found.items()}
    if not item or expired(item):
        return NOT_FOUND
    item = unpacked(item)
    job = {name: item[name] for name in Job.__struct_encode_fields__ if name in item}
    shown = {name: msgspec.Raw(value.encode()) if name in JSON else value for name, value in job.items()}
    answer = {"status": 200, "body": msgspec.json.encode(shown).decode()}
    return answer if "finishedAt" in item else {**answer, "retryAfter": "1"}
