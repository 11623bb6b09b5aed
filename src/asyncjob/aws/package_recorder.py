"""The recorder of the package edition: what comes after the last delivery of an event.

A job that may be repeated gets another event, of the same request, which Lambda again delivers three times at most.
Each such event begins a later attempt than the one before, and there are no more attempts than its function's retries
allow, so this ends. A job that its event did not get to begin (its functions cannot be imported, the table takes no
writes) is a Failure.
"""

import json
import os
from typing import Any

from asyncjob.aws import recorder
from asyncjob.aws.item import begun, failed, may_repeat, repeated
from asyncjob.aws.table import Item, post
from asyncjob.job import Status

TRIES = 3  # the first may meet a connection that was closed


class NotSent(Exception):
    """Lambda has not taken the event. This one comes again, and finds the job as it left it."""


def handler(event: Item, context: Any) -> None:
    """Record what becomes of a job, and send its next event if there is to be one.

    Args:
        event: Lambda's record of a failed asynchronous invocation.
        context: Lambda's.

    Raises:
        TableError, TimeoutError, NotSent: Lambda sends the event again, and at last to the queue.
    """
    request = event["requestPayload"]
    request["request"].setdefault("type", os.environ["DEFAULT_TYPE"])
    written = recorder.handler(event, context, after)
    if written is not None and written["status"] == Status.PENDING:
        _send({**request, "attempt": written["attempt"]})


def after(item: Item, event: Item) -> Item:
    """What becomes of a job whose event was delivered for the last time."""
    request = event["requestPayload"]
    if item.get("status") == Status.PENDING and item["attempt"] > request.get("attempt", 1):
        return item
    if item.get("status") == Status.RUNNING and may_repeat(item):
        return repeated(item)
    if "status" not in item:
        item = {**begun(request)[0], "attempt": 1}
    return failed(item, recorder.reason(event))


def _send(event: Item) -> None:
    path = f"/2015-03-31/functions/{os.environ['PROCESSOR']}/invocations"
    body = json.dumps(event).encode()
    answers = (post("lambda", path, {"x-amz-invocation-type": "Event"}, body) for _ in range(TRIES))
    refusals = []
    for status, answer in answers:
        if status == 202:
            return
        refusals.append(f"{status} {answer.decode(errors='replace')}")
    raise NotSent(refusals[-1])
