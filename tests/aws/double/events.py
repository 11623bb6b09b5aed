"""An asynchronous event of Lambda, and what is written of one that was given up."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LARGEST_ERROR_MESSAGE = 1024


@dataclass(frozen=True)
class AsyncConfig:
    """What a template says of the asynchronous events of a function."""

    max_retries: int = 2
    max_age: float = 21_600
    """Seconds from acceptance until an event is given up."""


@dataclass
class Event:
    """One asynchronous event on its way."""

    request_id: str
    body: bytes
    accepted: float
    invoke_count: int = 0
    failure: bytes | None = None
    """The error JSON of the last run; None where it was not the function that failed."""


def timestamp(seconds: float) -> str:
    """A time as Lambda's records have it, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def failure_record(arn: str, event: Event, condition: str, now: float) -> dict[str, Any]:
    """What the failure destination of an event that was given up gets, as Lambda writes it."""
    record = {
        "version": "1.0",
        "timestamp": timestamp(now),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": f"{arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": event.invoke_count,
        },
        "requestPayload": json.loads(event.body),
    }
    if event.failure is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
        record["responsePayload"] = json.loads(event.failure)
    return record


def dead_letter_attributes(event: Event, condition: str) -> dict[str, str]:
    """The attributes of the dead letter of an event that was given up."""
    if condition == "ZeroReservedConcurrency":
        message = "Function not invoked. Function is configured with zero reserved concurrent executions"
        return {"RequestID": event.request_id, "ErrorMessage": message}
    if event.failure is None:
        return {"RequestID": event.request_id, "ErrorCode": "429", "ErrorMessage": "Rate Exceeded."}
    message = json.loads(event.failure)["errorMessage"].encode()[:LARGEST_ERROR_MESSAGE].decode(errors="ignore")
    return {"RequestID": event.request_id, "ErrorCode": "200", "ErrorMessage": message}
