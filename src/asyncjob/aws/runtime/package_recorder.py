"""The recorder of the package edition: what comes after the last delivery of an event.

A job that may be repeated gets another event, of the same request, which Lambda again delivers three times at most.
Each such event begins a later attempt than the one before, and there are no more attempts than its function's retries
allow, so this ends. A job that its event did not get to begin (its functions cannot be imported, the table takes no
writes) is a Failure.
"""

import os
import time

from asyncjob.aws.runtime.dynamodb import write
from asyncjob.aws.runtime.inline_recorder import reason, record
from asyncjob.aws.runtime.item import begun, failed, may_repeat, repeated
from asyncjob.aws.runtime.record import error, guard, to_json
from asyncjob.aws.runtime.shapes import Context, Event, FailedEvent, Item
from asyncjob.aws.runtime.signing import post
from asyncjob.job import Status

WRITE_SECONDS = 10.0
TRIES = 3  # the first may meet a connection that was closed


class NotSent(Exception):
    """Lambda has not taken the event. This one comes again, and finds the job as it left it."""


def handler(event: FailedEvent, context: Context) -> None:
    """Record what becomes of a job, and send its next event if there is to be one.

    Args:
        event: Lambda's record of a failed asynchronous invocation.
        context: Lambda's.

    Raises:
        TableError, TimeoutError, NotSent: Lambda sends the event again, and at last to the queue.
    """
    request = event["requestPayload"]
    request["request"].setdefault("type", os.environ["DEFAULT_TYPE"])
    first: Item = {**begun(request)[0], "attempt": 1, "requestId": request["requestId"]}
    written = record(first, lambda item: after(item, event), context)
    if written is None or written["status"] != Status.PENDING:
        return
    if not _sent({**request, "attempt": written["attempt"]}):
        problem = error("WorkerLost", "what would run it again is over Lambda's limit of an event")
        write(failed(written, problem), guard(written), time.time() + WRITE_SECONDS)


def after(item: Item, event: FailedEvent) -> Item:
    """What becomes of a job whose event was delivered for the last time."""
    request = event["requestPayload"]
    if item.get("status") == Status.PENDING and item["attempt"] > request.get("attempt", 1):
        return item
    if item.get("status") == Status.RUNNING and may_repeat(item):
        return repeated(item)
    return failed(item, reason(event))


def _sent(event: Event) -> bool:
    """Whether Lambda has taken the event; False where it never will, since it is too large.

    Raises:
        NotSent: not now.
    """
    path = f"/2015-03-31/functions/{os.environ['PROCESSOR']}/invocations"
    body = to_json(event).encode()
    answers = (post("lambda", path, {"x-amz-invocation-type": "Event"}, body) for _ in range(TRIES))
    refusals = []
    for status, answer in answers:
        if status in (202, 413):
            return status == 202
        refusals.append(f"{status} {answer.decode(errors='replace')}")
    raise NotSent(refusals[-1])
