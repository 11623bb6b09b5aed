"""AsyncJobProcessor: claims a job, runs it, records its outcome.

Lambda may deliver an event twice, and delivers it again when an invocation has failed. So each write names what it
expects: a claim expects no job, or an attempt whose deadline has passed; an outcome expects its own attempt.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from asyncjob.aws.runtime.dynamodb import LAST_WRITE_SECONDS, Conflict, write
from asyncjob.aws.runtime.record import (
    STATUS,
    ended,
    error,
    expired,
    guard,
    now_ms,
    parsed,
    submitted,
    timestamp,
    to_json,
)
from asyncjob.aws.runtime.shapes import Context, Event, Item

MAX_ATTEMPTS = 3  # the first, and the two more that Lambda makes
CLOCK_SKEW_MS = 1_500


class StillRunning(Exception):
    """An attempt of this event may still be running. Lambda delivers the event again, in a minute or two."""


class WorkerLost(Exception):
    """All attempts of this job were lost."""


def sleep(seconds: float) -> dict[str, str]:
    """The original job: asyncjob.sleep, without an event loop to start."""
    limit = float(os.environ["TIMEOUT"])
    if seconds > limit:
        raise ValueError(f"seconds must be at most {limit:g} (the environment variable TIMEOUT), not {seconds}")
    time.sleep(seconds)
    return {"message": f"I slept for {seconds} seconds"}


JOBS: dict[str, Callable[..., Any]] = {"sleep": sleep}


def handler(event: Event, context: Context) -> None:
    """Run the job of one event.

    Raises:
        StillRunning, WorkerLost, TableError: Lambda sends the event again, and at last to the recorder.
    """
    until = time.time() + context.get_remaining_time_in_millis() / 1_000 - LAST_WRITE_SECONDS
    deadline = int(until * 1_000) + CLOCK_SKEW_MS
    item = claim({**submitted(event), "requestId": event["requestId"], "deadline": deadline}, until)
    if item is None:
        return
    outcome = run(event)
    try:
        write({**item, **outcome}, guard(item), until)
        kept = outcome["status"]
    except Conflict as conflict:  # too late: another attempt has begun, or this one was given up
        kept = str(conflict)
    print(to_json({"jobId": event["jobId"], "attempt": item["attempt"], "status": kept}))


def next_attempt(held: Item, item: Item) -> int:
    """Which attempt may follow the one that is held; 0 if none may."""
    if held["status"] != STATUS["claim"] or held["requestId"] != item["requestId"]:
        return 0  # it has ended, or is another request's, which has deliveries of its own
    if held["deadline"] >= now_ms():
        raise StillRunning(f"attempt {held['attempt']} has until {timestamp(held['deadline'])}")
    if held["attempt"] >= MAX_ATTEMPTS:
        raise WorkerLost(f"{MAX_ATTEMPTS} attempts were lost")
    return held["attempt"] + 1


def claim(item: Item, until: float) -> Item | None:
    """Make the job Running, and this its attempt; None if there is nothing to do."""
    item = {**item, "attempt": 1, "claimId": os.urandom(8).hex()}
    item |= {"status": STATUS["claim"], "startedAt": timestamp(now_ms())}
    expected = None
    while True:
        try:
            write(item, expected, until)
            return item
        except Conflict as conflict:
            held = conflict.item
        if held.get("claimId") == item["claimId"]:
            return item  # it was written, and the answer was lost
        item["attempt"] = 1 if expired(held) else next_attempt(held, item)
        if not item["attempt"]:
            return None
        expected = guard(held, "deadline", "expiresAt")


def run(event: Event) -> Item:
    """The outcome of the job function: whatever it raises is its answer."""
    kind, parameters = parsed(event)
    try:
        results = JOBS[kind](**parameters)
        return ended("succeed", {"results": to_json(results)})
    except Exception as raised:
        return ended("fail", {"error": error(type(raised).__name__, str(raised))})
