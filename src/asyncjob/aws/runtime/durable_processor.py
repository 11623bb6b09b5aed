"""The processor of the durable edition: claims a job, runs its function, records its outcome.

The event names a job and an attempt; the claim hands over the rest. What is to run again is written back to Pending,
with its next attempt, and the table's stream starts that one: Lambda's own deliveries are for what was lost on the way.

    claim ──┬── run ──┬── outcome ──────── record
            │         ├── to be repeated ─ Pending, attempt + 1, and perhaps a time before which it does not begin
            │         ├── deadline ─────── as above; if the function does not end, the process ends itself
            │         └── cancel ───────── nothing is left to record; if the function does not end, as above
            ├── another delivery has it ── raise while it may be alive, and afterwards give its attempt up
            ├── before its time ────────── raise
            └── too late to begin ──────── record
"""

import math
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from asyncjob.aws.runtime.attempt import Attempt
from asyncjob.aws.runtime.durable_item import Job
from asyncjob.aws.runtime.durable_job import (
    LOST,
    Changed,
    claim,
    expire,
    fail,
    is_early,
    is_late,
    lose,
    may_repeat,
    postpone,
    repeat,
    succeed,
)
from asyncjob.aws.runtime.dynamodb import LAST_WRITE_SECONDS
from asyncjob.aws.runtime.record import error, now_ms, timestamp, to_json
from asyncjob.aws.runtime.shapes import Context, DurableEvent
from asyncjob.context import WorkerContext
from asyncjob.job import Error, Status
from asyncjob.registry import JobFunction, Jobs
from asyncjob.runner import Failed, Outcome, Postponed, Succeeded

STOP_SECONDS = 1.0  # what a function gets, after its deadline, to notice it before its process ends
OUTCOME_SECONDS = 1.0  # of the invocation, for the outcome
REQUEST_SECONDS = 6.0  # of the invocation, for a claim that is under way: it takes 5 if the table hangs


class TooEarly(Exception):
    """Not yet: the job's time is ahead, and who started it did not know. Lambda delivers the event again."""


class StillRunning(Exception):
    """Not now: another delivery of this event may still be at work. Lambda delivers it again in a minute or two."""


def process(jobs: Jobs, worker: WorkerContext, event: DurableEvent, context: Context) -> None:
    """Run an attempt of a job.

    Args:
        jobs: the functions that were deployed.
        worker: this process, as they see it.
        event: `{"jobId", "attempt"}`.
        context: Lambda's.

    Raises:
        StillRunning, TooEarly, TableError: Lambda sends the event again, and at last to the recorder.
    """
    began, available = time.monotonic(), context.get_remaining_time_in_millis() / 1_000
    until = time.time() + available - LAST_WRITE_SECONDS
    claim_until = time.time() + available - min(REQUEST_SECONDS, available / 2)
    job = _claimed(event["jobId"], event["attempt"], int(available * 1_000), claim_until)
    if job is None:
        return
    function = next((each for each in jobs if each.name == job["type"]), None)
    if function is None:
        problem = error("UnknownType", f"no function {job['type']!r} is registered in what is deployed")
        _record(job, lambda: fail(job, problem, None, until))
        return
    left = (job["deadline"] - now_ms()) / 1_000 - OUTCOME_SECONDS - STOP_SECONDS
    latest = min(time.monotonic() + left, began + available - LAST_WRITE_SECONDS - OUTCOME_SECONDS)
    _run(Attempt(function, job, worker), function, latest, until)


def _claimed(job_id: str, attempt: int, lasts: int, until: float) -> Job | None:
    """The job, now Running; None when there is nothing to do."""
    try:
        return claim(job_id, attempt, lasts, until)
    except Changed as changed:
        held = changed.job
    if not held or held["attempt"] != attempt:
        return None
    if held["status"] == Status.PENDING:
        if is_early(held):
            raise TooEarly(f"attempt {attempt} is to begin at {held['current'][0]['runAt']}")
        if is_late(held):
            _record(held, lambda: expire(held, until))
        return None
    if held["status"] != Status.RUNNING:
        return None
    if held["deadline"] >= now_ms():
        raise StillRunning(f"attempt {attempt} has until {timestamp(held['deadline'])}")
    _record(held, lambda: lose(held, error(*LOST), until))
    return None


def _run(attempt: Attempt, function: JobFunction, latest: float, until: float) -> None:
    job = attempt.job
    limit = min(latest - time.monotonic(), function.timeout or math.inf)
    attempt.start(_parameters(job))
    outcome = attempt.wait(time.monotonic() + limit)
    if outcome is not None:
        return _settle(attempt, outcome, until)
    if attempt.is_given_up:
        print(to_json({"jobId": job["jobId"], "attempt": job["attempt"], "status": "canceled, but it goes on"}))
        _end_process()
    attempt.cancel()
    try:
        return _settle(attempt, _timeout(function, limit), min(until, job["deadline"] / 1_000))
    finally:
        if attempt.wait(time.monotonic() + STOP_SECONDS) is None:
            _end_process()


def _end_process() -> NoReturn:
    """End a function that does not end: a thread cannot be ended, and no later job is to share the process with it."""
    sys.stdout.flush()
    os._exit(1)


def _parameters(job: Job) -> bytes:
    texts = (f"{to_json(name)}:{text}" for name, text in job["parameters"].items())
    return f"{{{','.join(texts)}}}".encode()


def _timeout(function: JobFunction, limit: float) -> Failed:
    whose = "its timeout of" if function.timeout == limit else "what was left to the processor:"
    return Failed(Error("Timeout", f"it ran longer than {whose} {limit:.3g} seconds"), retryable=True)


def _settle(attempt: Attempt, outcome: Outcome, until: float) -> None:
    """Record the outcome, or have the job run again."""
    job, progress = attempt.job, attempt.untold
    if isinstance(outcome, Succeeded):
        _record(job, lambda: succeed(job, outcome.results.decode(), progress, until))
        return
    reason = error(outcome.error.type, outcome.error.message)
    if isinstance(outcome, Postponed):
        seconds = outcome.seconds
        _record(job, lambda: postpone(job, seconds, reason, until), outcome.traceback)
        return
    again = outcome.retryable and may_repeat(job)
    write = (lambda: repeat(job, reason, until)) if again else (lambda: fail(job, reason, progress, until))
    _record(job, write, outcome.traceback)


def _record(job: Job, write: Callable[[], str], traceback: str = "") -> None:
    """Write what an attempt comes to, and log it."""
    try:
        status = write()
    except Changed as changed:  # too late: it was canceled, or this attempt was given up
        status = f"too late: {changed}"
    line = {"jobId": job["jobId"], "attempt": job["attempt"], "status": status}
    print(to_json(line | ({"exception": traceback} if traceback else {})))
