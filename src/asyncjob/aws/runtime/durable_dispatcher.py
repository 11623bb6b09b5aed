"""The dispatcher of the durable edition: starts the processor for each job that has become Pending.

It is called with the records of the table's stream, which may come twice: an attempt is claimed once all the same. What
it cannot pass on is reported record by record, and Lambda comes again with the first of those and all that follow it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asyncjob.aws.runtime.record import to_json
from asyncjob.aws.runtime.signing import post
from asyncjob.job import Status
from asyncjob.registry import MAX_RETRIES

THREADS = 8
TRIES = 2  # the first may meet a connection that was closed

_pool = ThreadPoolExecutor(THREADS)  # kept, with its threads' connections, from batch to batch


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Send an event for each record.

    Args:
        event: `{"Records": [...]}` of the table's stream.
        context: Lambda's.

    Returns:
        Which records could not be passed on.
    """
    records = event["Records"]
    sent = list(_pool.map(_dispatched, records))
    failed = [record["dynamodb"]["SequenceNumber"] for record, done in zip(records, sent, strict=True) if not done]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def _dispatched(record: dict[str, Any]) -> bool:
    """Whether the record is done with."""
    item = record["dynamodb"].get("NewImage", {})
    try:
        job_id, attempt, spent = item["jobId"]["S"], int(item["attempt"]["N"]), int(item["spent"]["N"])
    except (KeyError, ValueError):
        print(to_json({"ignored": record["dynamodb"].get("Keys"), "why": "it is no job"}))
        return True
    if item["status"]["S"] != Status.PENDING:
        return True
    if spent > MAX_RETRIES:  # nothing here writes that; Lambda sees no loop that goes through a table
        print(to_json({"jobId": job_id, "attempt": attempt, "why": f"{spent} attempts were lost"}))
        return True
    return _sent(to_json({"jobId": job_id, "attempt": attempt}).encode())


def _sent(event: bytes) -> bool:
    path = f"/2015-03-31/functions/{os.environ['PROCESSOR']}/invocations"
    for _ in range(TRIES):
        status, answer = post("lambda", path, {"x-amz-invocation-type": "Event"}, event)
        if status == 202:
            return True
    print(to_json({"refused": event.decode(), "status": status, "answer": answer.decode(errors="replace")[:500]}))
    return False
