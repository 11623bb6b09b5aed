"""The dispatcher of the durable edition: starts the processor for each job that has become Pending.

It is called with the records of the table's stream, which may come twice: an attempt is claimed once all the same. What
it cannot pass on is reported record by record, and Lambda comes again with the first of those and all that follow it.

A job whose time is ahead gets a one-time schedule, which calls the dispatcher again (durable_times.py). If its time is
seconds ahead, a schedule, which may be a minute late, is too coarse: the dispatcher calls itself with all such jobs of
the batch, and that call waits.

A function may have a processor of its own (`asyncjob build --reserve`), whose name ends with `own_suffix`.
"""

import hashlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asyncjob.aws.runtime.durable_times import schedule
from asyncjob.aws.runtime.record import now_ms, timestamp, to_json
from asyncjob.aws.runtime.shapes import DurableEvent, Start
from asyncjob.aws.runtime.signing import post
from asyncjob.job import Status, milliseconds
from asyncjob.registry import MAX_RETRIES

THREADS = 8
TRIES = 2  # the first may meet a connection that was closed
NEAR_MS = 10_000  # ahead, for which it is waited here
PATIENCE_SECONDS = 3.0  # with a Scheduler that throttles, of all records of a batch together
LONGEST_WAIT_SECONDS = 45.0  # for a schedule that has called early in its minute; a call has 60

_pool = ThreadPoolExecutor(THREADS)  # kept, with its threads' connections, from batch to batch


class NotStarted(Exception):
    """A call that waited could not start all of its jobs. Lambda makes it again."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Send an event for each record, at its time.

    Args:
        event: `{"Records": [...]}` of the table's stream, or `{"starts": [...]}`, whose times have come or are near.
        context: Lambda's.

    Returns:
        Which records could not be passed on.

    Raises:
        NotStarted: some of the starts could not be made; making the others again starts nothing twice.
    """
    if "starts" in event:
        _wait(event["starts"])
        return None
    records = event["Records"]
    starts = [_start(record) for record in records]
    near = [start for start in starts if start and _ahead_ms(start) in range(1, NEAR_MS + 1)]
    done_near = not near or _sent(os.environ["AWS_LAMBDA_FUNCTION_NAME"], {"starts": near})
    own, until = context.invoked_function_arn, time.time() + PATIENCE_SECONDS
    done = _pool.map(lambda start: done_near if start in near else _dispatched(start, own, until), starts)
    failed = [
        record["dynamodb"]["SequenceNumber"] for record, is_done in zip(records, done, strict=True) if not is_done
    ]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def _start(record: dict[str, Any]) -> Start | None:
    """What is to be started, and when; None if the record asks for nothing."""
    item = record["dynamodb"].get("NewImage", {})
    try:
        job_id, attempt, spent = item["jobId"]["S"], int(item["attempt"]["N"]), int(item["spent"]["N"])
        kind, created_at = item["type"]["S"], item["createdAt"]["S"]
        run_at = item["current"]["L"][0]["M"].get("runAt", {"S": ""})["S"]
    except (KeyError, ValueError, IndexError):
        print(to_json({"ignored": record["dynamodb"].get("Keys"), "why": "it is no job"}))
        return None
    if item["status"]["S"] != Status.PENDING:
        return None
    if spent > MAX_RETRIES:  # nothing here writes that; Lambda sees no loop that goes through a table
        print(to_json({"jobId": job_id, "attempt": attempt, "why": f"{spent} attempts were lost"}))
        return None
    return {"jobId": job_id, "type": kind, "attempt": attempt, "createdAt": created_at, "runAt": run_at}


def _ahead_ms(start: Start) -> int:
    return milliseconds(start["runAt"]) - now_ms() if start["runAt"] > timestamp(now_ms()) else 0


def _dispatched(start: Start | None, own: str, until: float) -> bool:
    """Whether the record is done with."""
    if start is None:
        return True
    return schedule(start, own, until) if _ahead_ms(start) > 0 else _started(start)


def _started(start: Start) -> bool:
    processor = os.environ["PROCESSOR"]
    if start["type"] in os.environ["OWN_PROCESSORS"].split(","):
        processor = f"{processor}-{own_suffix(start['type'])}"
    event: DurableEvent = {"jobId": start["jobId"], "attempt": start["attempt"]}
    if "createdAt" in start:  # not in what an earlier build has scheduled
        event["createdAt"] = start["createdAt"]
    return _sent(processor, event)


def own_suffix(name: str) -> str:
    """The end of the name of the processor that a job function has for itself."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _wait(starts: Iterable[Start]) -> None:
    """Start jobs at their times."""
    in_order = sorted(starts, key=lambda start: start["runAt"])
    done = list(_pool.map(_started_in_time, in_order))
    if not all(done):
        raise NotStarted(f"{done.count(False)} of {len(done)}")


def _started_in_time(start: Start) -> bool:
    time.sleep(min(_ahead_ms(start) / 1_000, LONGEST_WAIT_SECONDS))
    return _started(start)


def _sent(function: str, event: Any) -> bool:
    path, text = f"/2015-03-31/functions/{function}/invocations", to_json(event)
    for _ in range(TRIES):
        status, answer = post("lambda", path, {"x-amz-invocation-type": "Event"}, text.encode())
        if status == 202:
            return True
    print(to_json({"refused": text[:500], "status": status, "answer": answer.decode(errors="replace")[:500]}))
    return False
