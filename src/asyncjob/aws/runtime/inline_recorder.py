"""AsyncJobFailureRecorder: records the Failure of a job that its processor could not record.

Lambda sends it the event when all deliveries to the processor have failed. One that came twice may have left an attempt
running, so the recorder waits for its deadline: from then on nobody else writes this job.
"""

import time

from asyncjob.aws.runtime.dynamodb import LAST_WRITE_SECONDS, Conflict, write
from asyncjob.aws.runtime.record import ended, error, expired, guard, now_ms, submitted
from asyncjob.aws.runtime.shapes import Context, FailedEvent, Item

WRITE_SECONDS = 20.0  # not for as long as it could: it would keep processors from running
# What Lambda calls its own failures, and what the contract calls them. Any other error is the processor's exception.
ERROR_TYPES = {
    "Sandbox.Timedout": "Timeout",
    "Runtime.ExitError": "WorkerLost",
    "Runtime.OutOfMemory": "WorkerLost",
    "StillRunning": "WorkerLost",
    "EventAgeExceeded": "WorkerLost",
    "ZeroReservedConcurrency": "WorkerLost",
}


def handler(event: FailedEvent, context: Context) -> None:
    """Record one job as a Failure, unless it has another outcome.

    Raises:
        TableError, TimeoutError: Lambda sends the event again, and at last to the queue.
    """
    until = time.time() + context.get_remaining_time_in_millis() / 1_000 - LAST_WRITE_SECONDS
    request = event["requestPayload"]
    item: Item = {**submitted(request), "attempt": 1}  # it was never claimed, or see below
    expected = None
    while True:
        try:
            failure = ended("fail", {"error": reason(event)})
            return write({**item, **failure}, expected, min(until, time.time() + WRITE_SECONDS))
        except Conflict as conflict:
            held = conflict.item
        expected = guard(held, "deadline", "expiresAt")
        if expired(held):
            continue
        if "finishedAt" in held or held["requestId"] != request["requestId"]:
            return None  # it has ended, or is another request's
        deadline = held.get("deadline", 0)
        if deadline > until * 1_000:
            raise TimeoutError("an attempt may still be running")
        time.sleep(max(0, deadline - now_ms() + 1) / 1_000)
        item = held


def reason(event: FailedEvent) -> str:
    """Why the job failed, as JSON."""
    answer = event.get("responsePayload") or {}
    kind = answer.get("errorType") or event["requestContext"]["condition"]
    message = answer.get("errorMessage") or f"the job was never started: {kind}"
    if "Task timed out" in message:  # some runtimes send no type with it
        kind = "Sandbox.Timedout"
    return error(ERROR_TYPES.get(kind, kind), message)
