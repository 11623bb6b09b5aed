"""The recorder of the durable edition: what becomes of a job when Lambda has given up its event.

A job that never began (its functions cannot be imported, say) is a Failure. One whose event was too old, or met a table
that hung or took no writes, still waits: the sweeper has it dispatched again. An attempt that may still run is left to
its deadline, and to the sweeper too: nothing waits here.
"""

import time
from typing import Any

from asyncjob.aws.runtime.durable_item import Job
from asyncjob.aws.runtime.durable_job import Changed, claim, fail, fetch, lose
from asyncjob.aws.runtime.dynamodb import LAST_WRITE_SECONDS
from asyncjob.aws.runtime.record import error, now_ms, to_json
from asyncjob.job import Status

PATIENCE_SECONDS = 20.0
RECORD_MS = 30_000  # between the two writes of a Failure that never ran
PASSING = ("EventAgeExceeded", "StillRunning", "TableError", "TooEarly")
TIMEOUT = "Sandbox.Timedout"
TIMEOUT_SWEEPS = 3  # after them, a job that never began and timed out again has functions whose import hangs

# What Lambda calls its own failures, and what the contract calls them. Any other error is the processor's exception.
ERROR_TYPES = {
    TIMEOUT: "Timeout",
    "Runtime.ExitError": "WorkerLost",
    "Runtime.OutOfMemory": "WorkerLost",
    "StillRunning": "WorkerLost",
    "EventAgeExceeded": "WorkerLost",
    "ZeroReservedConcurrency": "WorkerLost",
}


def handler(event: dict[str, Any], context: Any) -> None:
    """Record what becomes of a job.

    Args:
        event: Lambda's record of a failed asynchronous invocation; its `requestPayload` is the processor's event.
        context: Lambda's.

    Raises:
        TableError: Lambda sends the event again, and at last to the queue.
    """
    longest = context.get_remaining_time_in_millis() / 1_000 - LAST_WRITE_SECONDS
    until = time.time() + min(longest, PATIENCE_SECONDS)
    asked = event["requestPayload"]
    job_id, attempt = asked["jobId"], asked["attempt"]
    job = fetch(job_id, until)
    if job is None or job["attempt"] != attempt or job["createdAt"] != asked.get("createdAt", job["createdAt"]):
        return
    try:
        status = _settled(job, *_why(event), until)
    except Changed:
        return  # somebody has ended it
    print(to_json({"jobId": job_id, "attempt": attempt, "status": status}))


def _settled(job: Job, kind: str, message: str, until: float) -> str:
    reason = error(ERROR_TYPES.get(kind, kind), message)
    if job["status"] == Status.PENDING and not _is_passing(job, kind):
        return fail(claim(job["jobId"], job["attempt"], RECORD_MS, until), reason, None, until)
    if job["status"] == Status.RUNNING and job["deadline"] < now_ms():
        return lose(job, reason, until)
    return f"{job['status']}: left to the sweeper" if "deadline" in job or job["status"] == Status.PENDING else "ended"


def _is_passing(job: Job, kind: str) -> bool:
    """Whether a job that never began may do so with its next event."""
    return kind in PASSING or (kind == TIMEOUT and job.get("sweeps", 0) < TIMEOUT_SWEEPS)


def _why(event: dict[str, Any]) -> tuple[str, str]:
    answer = event.get("responsePayload") or {}
    kind = answer.get("errorType") or event["requestContext"]["condition"]
    message = answer.get("errorMessage") or f"the job was never started: {kind}"
    if "Task timed out" in message:  # some runtimes send no type with it
        kind = TIMEOUT
    return kind, message
