"""The table of jobs, as the functions write it: one guarded put.

`make template` puts it before each function's own text. It signs by itself: botocore would be most of a cold start.
"""

import hashlib
import hmac
import json
import os
import random
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

# What leads to which status. Both outcomes are written to a Running job alone, and to the attempt they belong to.
TRANSITIONS = {"claim": "Running", "succeed": "Success", "fail": "Failure"}
LAST_WRITE_SECONDS = 0.5  # what a write needs before its invocation is cut off

Item = dict[str, Any]
_connections: dict[tuple[str, int], HTTPConnection] = {}  # by host and thread, kept from job to job


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
        "Item": {name: typed(value) for name, value in item.items()},
        "ConditionExpression": "attribute_not_exists(jobId)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if expected is not None:
        request["ConditionExpression"] = " AND ".join(f"#{name} = :{name}" for name in expected)
        request["ExpressionAttributeNames"] = {f"#{name}": name for name in expected}
        request["ExpressionAttributeValues"] = {f":{name}": typed(value) for name, value in expected.items()}
    call("PutItem", request, until)


def call(operation: str, request: Item, until: float) -> Item:
    """DynamoDB's answer; raises as `write`."""
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{operation}"}
    pause = 0.0  # at first none: a kept connection may just have been closed
    while True:
        status, text = post("dynamodb", "/", headers, json.dumps(request).encode())
        answer: Item = json.loads(text) if status < 500 else {}
        if status == 200:
            return answer
        kind = answer.get("__type", "").rpartition("#")[2]
        if kind == "ConditionalCheckFailedException":
            raise Conflict({name: plain(value) for name, value in answer.get("Item", {}).items()})
        if kind and "Throttling" not in kind and "Exceeded" not in kind:
            raise TableError(f"{kind}: {answer.get('message') or answer.get('Message')}")
        if time.time() + pause > until:
            raise TableError("the table does not answer")
        time.sleep(pause * random.random())
        pause = min(max(0.05, pause * 2), 5.0)


def post(service: str, path: str, headers: Item, body: bytes) -> tuple[int, bytes]:
    """Send a signed request; its answer, or a 503 where none came."""
    scheme, _, host = os.environ[f"AWS_ENDPOINT_URL_{service.upper()}"].partition("://")
    kept = host, threading.get_ident()
    if kept not in _connections:
        _connections[kept] = (HTTPSConnection if scheme == "https" else HTTPConnection)(host, timeout=5)
    try:
        _connections[kept].request("POST", path, body, _signed(service, host, path, headers, body))
        response = _connections[kept].getresponse()
        return response.status, response.read()
    except (OSError, HTTPException):
        _connections[kept].close()  # the next request opens it again
        return 503, b""


def _signed(service: str, host: str, path: str, headers: Item, body: bytes) -> Item:
    """The headers, with AWS Signature Version 4."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = headers | {"host": host, "x-amz-date": moment, "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"]}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = (moment[:8], os.environ["AWS_REGION"], service, "aws4_request")
    place = "/".join(scope)
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in (*scope, f"AWS4-HMAC-SHA256\n{moment}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{place}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": authorization}


def typed(value: Any) -> Any:
    return {"S": value} if isinstance(value, str) else {"N": str(value)} if isinstance(value, int) else value


def plain(value: Item) -> Any:
    return int(value["N"]) if "N" in value else value.get("S", value)


def submitted(event: Item) -> Item:
    """The item of a job that nobody has claimed yet."""
    kind, parameters = parsed(event)
    created_at = timestamp(event["createdAt"])
    return {"jobId": event["jobId"], "type": kind, "parameters": to_json(parameters), "createdAt": created_at}


def expired(item: Item) -> bool:
    """Whether a GET hides it already."""
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
