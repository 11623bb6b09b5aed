"""The table of jobs, as the functions write it: one guarded put."""

import json
import os
import random
import time
from collections.abc import Mapping
from typing import Any

from asyncjob.aws.runtime.shapes import Item
from asyncjob.aws.runtime.signing import post

LAST_WRITE_SECONDS = 0.5  # what a write needs before its invocation is cut off


class Conflict(Exception):
    """The item is not as the writer expected; `item` is how it is."""

    def __init__(self, item: Item) -> None:
        super().__init__(f"the job is {item.get('status')}, attempt {item.get('attempt')}")
        self.item = item


class TableError(Exception):
    """DynamoDB refused the write, or did not answer in time."""


def write(item: Item, expected: Mapping[str, Any] | None, until: float) -> None:
    """Put an item in the place of one whose `expected` fields have these values, or of none (None).

    Raises:
        Conflict: the job is not as expected.
        TableError: it was not written `until` then (seconds since 1970), or never can be.
    """
    request: dict[str, Any] = {
        "TableName": os.environ["TABLE"],
        "Item": {name: typed(value) for name, value in item.items()},
        "ConditionExpression": "attribute_not_exists(jobId)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if expected is not None:
        request |= {
            "ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in expected),
            "ExpressionAttributeNames": {f"#{name}": name for name in expected},
            "ExpressionAttributeValues": {f":{name}": typed(value) for name, value in expected.items()},
        }
    call("PutItem", request, until)


def call(operation: str, request: dict[str, Any], until: float) -> dict[str, Any]:
    """DynamoDB's answer; raises as `write`."""
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{operation}"}
    pause = 0.0  # none at first: the kept connection may just have been closed
    while True:
        status, text = post("dynamodb", "/", headers, json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(text) if status < 500 else {}
        if status == 200:
            return answer
        kind = answer.get("__type", "").rpartition("#")[2]
        if kind == "ConditionalCheckFailedException":
            raise Conflict(untyped(answer.get("Item", {})))
        if kind and "Throttling" not in kind and "Exceeded" not in kind:
            raise TableError(f"{kind}: {answer.get('message') or answer.get('Message')}")
        if time.time() + pause > until:
            raise TableError("the table does not answer")
        time.sleep(pause * random.random())
        pause = min(max(0.05, pause * 2), 5.0)


def typed(value: Any) -> Any:
    """A value in DynamoDB's JSON, if it is not in it already."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)} if isinstance(value, int) else value


def untyped(item: dict[str, Any]) -> Any:
    """The way back, for a whole item."""
    return {name: int(value["N"]) if "N" in value else value.get("S", value) for name, value in item.items()}
