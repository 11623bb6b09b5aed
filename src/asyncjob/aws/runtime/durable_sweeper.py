"""The sweeper of the durable edition: finds jobs that nobody has dispatched, and attempts that nobody has ended.

A record of the stream may be lost, an event may be dropped, a process may die between two writes. Each job has a time
when it is due (`dueAt`); whatever was to happen until then has not. A job that waits is dispatched again, an attempt
that is past its deadline is given up.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asyncjob.aws.runtime.durable_job import LOST, SHELVES, Changed, dispatch_again, fetch, lose
from asyncjob.aws.runtime.dynamodb import TableError, call
from asyncjob.aws.runtime.record import error, now_ms, to_json
from asyncjob.job import Status

THREADS = 8
SPARE_SECONDS = 10.0
PATIENCE_SECONDS = 5.0


def handler(event: Any, context: Any) -> None:
    """Look after every job that is due, or as many as there is time for; the next sweep goes on.

    Raises:
        TableError: the table did not answer for some of them.
    """
    until = time.time() + context.get_remaining_time_in_millis() / 1_000 - SPARE_SECONDS
    with ThreadPoolExecutor(THREADS) as pool:
        failures = [each for each in pool.map(lambda job_id: _failure(job_id, until), _due(until)) if each]
    if failures:
        raise TableError(f"{len(failures)} jobs were left for the next time; the first: {failures[0]}")


def _due(until: float) -> Iterator[str]:
    """The ids of the jobs that are due."""
    for shelf in range(SHELVES):
        request: dict[str, Any] = {
            "TableName": os.environ["TABLE"],
            "IndexName": "due",
            "KeyConditionExpression": "shelf = :shelf AND dueAt <= :now",
            "ExpressionAttributeValues": {":shelf": {"S": str(shelf)}, ":now": {"N": str(now_ms())}},
        }
        while time.time() < until:
            page = call("Query", request, until)
            for item in page["Items"]:
                yield item["jobId"]["S"]
            if "LastEvaluatedKey" not in page:
                break
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _failure(job_id: str, until: float) -> str | None:
    """Look after a job; what went wrong."""
    if time.time() > until:
        return None
    try:
        _look_after(job_id)
    except Changed:
        return None  # somebody has
    except Exception as problem:  # whatever it is, it must not hold up the others
        print(to_json({"jobId": job_id, "problem": f"{type(problem).__name__}: {problem}"}))
        return str(problem)
    return None


def _look_after(job_id: str) -> None:
    until = time.time() + PATIENCE_SECONDS
    job = fetch(job_id, until)
    if job is None or job["dueAt"] > now_ms():
        return
    if job["status"] == Status.PENDING:
        dispatch_again(job, until)
        status = "Pending: dispatched again"
    elif job["status"] == Status.RUNNING:
        status = f"given up: {lose(job, error(*LOST), until)}"
    else:
        return
    print(to_json({"jobId": job_id, "attempt": job["attempt"], "status": status}))
