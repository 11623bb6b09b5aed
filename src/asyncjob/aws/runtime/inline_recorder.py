"""AsyncJobFailureRecorder: records the Failure of a job that its processor could not record.

Lambda sends it the event when all deliveries to the processor have failed. An attempt may still be running then, of a
delivery that came twice, so it waits for that one's deadline: from then on nobody else writes this job.
"""

import time
from collections.abc import Callable
from typing import Any

from asyncjob.aws.runtime.table import (
    LAST_WRITE_SECONDS,
    Conflict,
    Item,
    ended,
    error,
    expired,
    now_ms,
    submitted,
    write,
)

# What Lambda calls its own failures, and what the contract calls them. Any other error is the processor's exception.
ERROR_TYPES = {
    "Sandbox.Timedout": "Timeout",
    "Runtime.ExitError": "WorkerLost",
    "Runtime.OutOfMemory": "WorkerLost",
    "StillRunning": "WorkerLost",
    "EventAgeExceeded": "WorkerLost",
    "ZeroReservedConcurrency": "WorkerLost",
}


def failed(item: Item, event: Item) -> Item:
    return {**item, **ended("fail", error=reason(event))}


def handler(
    event: Item, context: Any, after: Callable[..., Item] = failed, first: Callable[[Item], Item] = submitted
) -> Item | None:
    """Record one job as a Failure, unless it has another outcome.

    Args:
        event: Lambda's record of a failed asynchronous invocation; its `requestPayload` is the processor's event.
        context: Lambda's.

    Raises:
        TableError, TimeoutError: Lambda sends the event again, and at last to the queue.
    """
    until = time.time() + context.get_remaining_time_in_millis() / 1_000 - LAST_WRITE_SECONDS
    request = event["requestPayload"]
    item, expected = {**first(request), "attempt": 1}, None  # it was never claimed
    while True:
        try:
            written = after(item, event)
            # Not for as long as it could: it would keep processors from running.
            write(written, expected, min(until, time.time() + 20))
            return written
        except Conflict as conflict:
            held = conflict.item
        expected = {name: held[name] for name in held if name in ("status", "attempt", "deadline", "expiresAt")}
        if expired(held):
            continue
        if "finishedAt" in held or held["requestId"] != request["requestId"]:
            return None  # it has ended, or is another request's
        deadline = held.get("deadline", 0)
        if deadline > until * 1_000:
            raise TimeoutError("an attempt may still be running")
        time.sleep(max(0, deadline - now_ms() + 1) / 1_000)
        item = held


def reason(event: Item) -> str:
    """Why the job failed, as JSON."""
    answer = event.get("responsePayload") or {}
    kind = answer.get("errorType") or event["requestContext"]["condition"]
    message = answer.get("errorMessage") or f"the job was never started: {kind}"
    if "Task timed out" in message:  # some runtimes send no type with it
        kind = "Sandbox.Timedout"
    return error(ERROR_TYPES.get(kind, kind), message)
