"""The table of jobs, as both functions write it: one guarded put, and nothing else.

`make template` puts this text before each function's own. It signs its requests itself, since botocore's signer alone
would be most of a cold start (`make bench-aws`).
"""

import hashlib
import hmac
import json
import os
import random
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

# What leads to which status. Both outcomes are written to a Running job alone, and to the attempt they belong to.
TRANSITIONS = {"claim": "Running", "succeed": "Success", "fail": "Failure"}
LAST_WRITE_SECONDS = 0.5  # what a write needs before its invocation is cut off

Item = dict[str, Any]
_connections: dict[str, HTTPConnection] = {}  # one, kept from job to job


class Conflict(Exception):
    """The item is not as the writer expected; `item` is how it is."""

    def __init__(self, item: Item) -> None:
        super().__init__(f"the job is {item.get('status')}, attempt {item.get('attempt')}")
        self.item = item


class TableError(Exception):
    """DynamoDB refused the write, or did not answer in time."""


def write(item: Item, expected: Item | None, until: float) -> None:
    """Put a job's item in the place of one whose `expected` fields have these values, or of none (None).

    Raises:
        Conflict: the job is not as expected.
        TableError: it can never be written, or could not be `until` then (seconds since 1970).
    """
    request: Item = {
        "TableName": os.environ["TABLE"],
        "Item": {name: _typed(value) for name, value in item.items()},
        "ConditionExpression": "attribute_not_exists(jobId)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if expected is not None:
        request["ConditionExpression"] = " AND ".join(f"#{name} = :{name}" for name in expected)
        request["ExpressionAttributeNames"] = {f"#{name}": name for name in expected}
        request["ExpressionAttributeValues"] = {f":{name}": _typed(value) for name, value in expected.items()}
    pause = 0.0  # at first none: a kept connection may just have been closed
    while not _put(json.dumps(request).encode()):
        if time.time() + pause > until:
            raise TableError("the table takes no writes at the moment")
        time.sleep(pause * random.random())
        pause = min(max(0.05, pause * 2), 5.0)


def _put(body: bytes) -> bool:
    """Whether it is done; False is worth another try."""
    scheme, _, host = os.environ["AWS_ENDPOINT_URL_DYNAMODB"].partition("://")
    if host not in _connections:
        _connections[host] = (HTTPSConnection if scheme == "https" else HTTPConnection)(host, timeout=5)
    try:
        _connections[host].request("POST", "/", body, _signed(host, body))
        response = _connections[host].getresponse()
        answer = response.read()
    except (OSError, HTTPException):
        _connections[host].close()  # the next request opens it again
        return False
    if response.status == 200 or response.status >= 500:
        return response.status == 200
    error = json.loads(answer)
    kind = error["__type"].rpartition("#")[2]
    if kind == "ConditionalCheckFailedException":
        raise Conflict({name: _plain(value) for name, value in error.get("Item", {}).items()})
    if "Throttling" in kind or "Exceeded" in kind:
        return False
    raise TableError(f"{kind}: {error.get('message') or error.get('Message')}")


def _signed(host: str, body: bytes) -> dict[str, str]:
    """The headers of a PutItem, with AWS Signature Version 4."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": host,
        "x-amz-date": moment,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": "DynamoDB_20120810.PutItem",
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = (moment[:8], os.environ["AWS_REGION"], "dynamodb", "aws4_request")
    place = "/".join(scope)
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in (*scope, f"AWS4-HMAC-SHA256\n{moment}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{place}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": authorization}


def _typed(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _plain(value: dict[str, str]) -> str | int:
    return value["S"] if "S" in value else int(value["N"])


def submitted(event: Item) -> Item:
    """The item of a job that nobody has claimed yet."""
    kind, parameters = parsed(event)
    created_at = timestamp(event["createdAt"])
    return {"jobId": event["jobId"], "type": kind, "parameters": to_json(parameters), "createdAt": created_at}


def expired(item: Item) -> bool:
    """Whether a GET hides it already: to its client, there is no such job."""
    return "expiresAt" in item and int(item["expiresAt"]) <= time.time()


def parsed(event: Item) -> tuple[str, Item]:
    parameters = {name: value for name, value in event["request"].items() if name not in ("jobId", "type")}
    return event["request"].get("type", "sleep"), parameters


def ended(transition: str, **fields: str) -> Item:
    days = int(os.environ["RETENTION_DAYS"])
    kept = {"expiresAt": int(time.time()) + days * 86_400} if days else {}
    return {"status": TRANSITIONS[transition], "finishedAt": timestamp(now_ms()), **kept, **fields}


def error(kind: str, message: str) -> str:
    return to_json({"type": kind, "message": message[:10_000]})


def to_json(value: Any) -> str:
    """JSON text; lone surrogates, which it cannot carry, are replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="replace").decode()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
