"""The processor of the package edition: claims a job, runs its function, records its outcome.

What it cannot run or record now comes again: Lambda delivers an event that has failed twice more, and the recorder
sends another when those were not enough. So all that a repeated job needs is its item, Pending, with the next attempt,
and an invocation that fails: nothing here waits, and a crash at any point leaves an event that is delivered again.

    claim ── run ──┬── outcome ──────────────── record
                   ├── to be repeated ───────── Pending, attempt + 1 ── fail: delivered again, claim
                   └── deadline ── as above ─── the function does not end: the process ends itself
"""

import math
import os
import sys
import time

from asyncjob.aws.runtime.attempt import Attempt
from asyncjob.aws.runtime.deadline import STOP_SECONDS, Deadline, deadline
from asyncjob.aws.runtime.dynamodb import Conflict, write
from asyncjob.aws.runtime.inline_processor import StillRunning, claim
from asyncjob.aws.runtime.item import begun, failed, may_repeat, repeated, succeeded
from asyncjob.aws.runtime.record import error, guard, now_ms, submitted, timestamp, to_json
from asyncjob.aws.runtime.shapes import Context, Event, Item
from asyncjob.job import Error, Status
from asyncjob.registry import JobFunction, Jobs
from asyncjob.runner import Failed, Outcome, Succeeded


class Repeated(Exception):
    """The job is to run again: Lambda delivers its event again, or the recorder sends another."""


class Lost(Exception):
    """The job's last attempt is lost; `item` is what it has left."""

    def __init__(self, item: Item) -> None:
        super().__init__(f"attempt {item['attempt']}")
        self.item = item


def process(jobs: Jobs, event: Event, context: Context) -> None:
    """Run the job of one event.

    Args:
        jobs: what may run.
        event: as API Gateway sends it; the recorder's has the `attempt` too.
        context: Lambda's.

    Raises:
        Repeated, StillRunning, TableError: Lambda sends the event again, and at last to the recorder.
    """
    kind = event["request"].setdefault("type", jobs.names[0])
    function = next((each for each in jobs if each.name == kind), None)
    available = context.get_remaining_time_in_millis() / 1_000
    ends = deadline(available, function.timeout if function is not None else None)
    first, problem = begun(event)
    first["requestId"], first["deadline"] = event["requestId"], ends.attempt
    first["retries"] = 0 if function is None else function.retries
    try:
        item = claim(first, ends.writes, next_attempt)
    except Lost as lost:
        reason = error("WorkerLost", "the process ended, or could not record what became of the job")
        _record(lost.item, failed(lost.item, reason), ends.writes)
        return
    if item is None:
        return
    if function is None:
        problem = error("UnknownType", f"no function {kind!r} is registered in what is deployed")
    if function is None or problem is not None:
        _record(item, failed(item, str(problem)), ends.writes)
    else:
        _run(function, item, event, ends)


def next_attempt(held: Item, item: Item) -> int:
    """Which attempt may follow the one that is held; 0 if none may."""
    if "finishedAt" in held or held["requestId"] != item["requestId"]:
        return 0
    if held["status"] == Status.PENDING:
        return held["attempt"]
    if held["deadline"] >= now_ms():
        raise StillRunning(f"attempt {held['attempt']} has until {timestamp(held['deadline'])}")
    if not may_repeat(held):
        raise Lost(held)
    return held["attempt"] + 1


def _run(function: JobFunction, item: Item, event: Event, ends: Deadline) -> None:
    attempt = Attempt(function, item)
    limit = min(ends.function - time.monotonic(), function.timeout or math.inf)
    attempt.start(submitted(event)["parameters"].encode())
    outcome = attempt.wait(time.monotonic() + limit)
    if outcome is not None:
        return _settle(attempt.item, outcome, ends.writes)
    attempt.cancel()
    try:
        return _settle(attempt.item, _timeout(function, limit), ends.writes)
    finally:
        if attempt.wait(time.monotonic() + STOP_SECONDS) is None:
            sys.stdout.flush()
            os._exit(1)  # a thread cannot be ended, and no later job is to share the process with it


def _timeout(function: JobFunction, limit: float) -> Failed:
    whose = "its timeout of" if function.timeout == limit else "what was left to the processor:"
    return Failed(Error("Timeout", f"it ran longer than {whose} {limit:.3g} seconds"), retryable=True)


def _settle(item: Item, outcome: Outcome, until: float) -> None:
    """Record the outcome, or have the job run again."""
    if isinstance(outcome, Succeeded):
        _record(item, succeeded(item, outcome.results.decode()), until)
    elif not (outcome.retryable and may_repeat(item)):
        reason = error(outcome.error.type, outcome.error.message)
        _record(item, failed(item, reason), until, outcome.traceback)
    elif _record(item, repeated(item), until, outcome.traceback):
        raise Repeated(f"attempt {item['attempt']}: {outcome.error.type}")


def _record(item: Item, after: Item, until: float, traceback: str = "") -> bool:
    """Write what an attempt comes to, and log it; False if that was decided already."""
    written = True
    try:
        write(after, guard(item), until)
        status = after["status"]
    except Conflict as conflict:  # too late: it was canceled, another attempt has begun, or this one was given up
        written, status = False, str(conflict)
    line = {"jobId": item["jobId"], "attempt": item["attempt"], "status": status}
    print(to_json(line | ({"exception": traceback} if traceback else {})))
    return written
