"""The table of jobs, as both functions write it: one guarded update, and nothing else.

`make template` puts this text before each function's own, so it imports only what Lambda's Python brings: botocore's
signer and HTTP session. A client would read the service's whole description first, most of a cold start.
"""

import json
import os
import random
import time
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session

# What leads to which status. Both outcomes are written to a Running job alone, and to the attempt they belong to.
TRANSITIONS = {"claim": "Running", "succeed": "Success", "fail": "Failure"}
DAY_SECONDS = 86_400
MAX_PAUSE_SECONDS = 5.0
LAST_WRITE_SECONDS = 0.5  # what a write needs before its invocation is cut off

Item = dict[str, Any]
_http = URLLib3Session(timeout=(2, 5))


class Conflict(Exception):
    """The item is not as the writer expected; `item` is how it is."""

    def __init__(self, item: Item) -> None:
        super().__init__(f"the job is {item.get('status')}, attempt {item.get('attempt')}")
        self.item = item


class TableError(Exception):
    """DynamoDB refused the write, or did not answer in time."""


def write(job_id: str, fields: Item, expected: Item | None, until: float) -> None:
    """Set `fields` of a job whose `expected` fields have these values, or which does not exist (None).

    Raises:
        Conflict: the job is not as expected.
        TableError: it can never be written, or could not be `until` then (seconds since 1970).
    """
    names = {f"#{name}": name for name in [*fields, *(expected or {})]}
    values = {f":{name}": _typed(value) for name, value in fields.items()}
    values |= {f":expected_{name}": _typed(value) for name, value in (expected or {}).items()}
    guard = " AND ".join(f"#{name} = :expected_{name}" for name in expected or {})
    request = {
        "TableName": os.environ["TABLE"],
        "Key": {"jobId": {"S": job_id}},
        "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in fields),
        "ConditionExpression": guard or "attribute_not_exists(jobId)",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    pause = 0.05
    while not _update(request):
        if time.time() + pause > until:
            raise TableError("the table takes no writes at the moment")
        time.sleep(pause * (0.5 + random.random() / 2))
        pause = min(pause * 2, MAX_PAUSE_SECONDS)


def _update(request: Item) -> bool:
    """Whether the update is done; False is worth another try."""
    signed = AWSRequest(
        "POST",
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"],
        data=json.dumps(request),
        headers={"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.UpdateItem"},
    )
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    credentials = ReadOnlyCredentials(*map(os.environ.get, keys))
    SigV4Auth(credentials, "dynamodb", os.environ["AWS_REGION"]).add_auth(signed)
    try:
        answer = _http.send(signed.prepare())
    except HTTPClientError:
        return False
    if answer.status_code == 200:
        return True
    if answer.status_code >= 500:
        return False
    error = json.loads(answer.content)
    kind = error["__type"].rpartition("#")[2]
    if kind == "ConditionalCheckFailedException":
        raise Conflict({name: _plain(value) for name, value in error.get("Item", {}).items()})
    if "Throttling" in kind or "Exceeded" in kind:
        return False
    raise TableError(f"{kind}: {error.get('message') or error.get('Message')}")


def _typed(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _plain(value: dict[str, str]) -> str | int:
    return value["S"] if "S" in value else int(value["N"])


def submitted(event: Item) -> Item:
    """The fields of a job that the event holds which POST made of the request."""
    kind, parameters = parsed(event)
    return {"type": kind, "parameters": to_json(parameters), "createdAt": timestamp(event["createdAt"])}


def parsed(event: Item) -> tuple[str, Item]:
    """The type and the parameters that the client sent."""
    parameters = {name: value for name, value in event["request"].items() if name not in ("jobId", "type")}
    return event["request"].get("type", "sleep"), parameters


def ended(transition: str, **fields: str) -> Item:
    """The fields of a job that has ended."""
    days = int(os.environ["RETENTION_DAYS"])
    kept = {"expiresAt": int(time.time()) + days * DAY_SECONDS} if days else {}
    return {"status": TRANSITIONS[transition], "finishedAt": timestamp(now_ms()), **kept, **fields}


def error(kind: str, message: str) -> str:
    """An error as the API shows it, as JSON."""
    return to_json({"type": kind, "message": message[:10_000]})


def to_json(value: Any) -> str:
    """JSON text; lone surrogates, which it cannot carry, are replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="replace").decode()


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def timestamp(milliseconds: int) -> str:
    """A time as the API writes it: `2024-06-06T12:34:56.789Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
