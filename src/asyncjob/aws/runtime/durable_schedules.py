"""Begins a job for each occurrence of a schedule that the code declares; EventBridge Scheduler says when.

The job's id is made of the schedule's and of the time that was named, so an occurrence that is told twice is one job.
Its item is what a POST would have written; the table's stream takes it from there.

A schedule whose jobs must not overlap has an item of its own, whose key no job can have, with the last job's id in it.
It is written before the job: where both writes are cut apart, the same occurrence comes again and goes on.
"""

import time
from datetime import datetime
from typing import Any

from asyncjob.aws.runtime.durable_job import Changed, fetch, point, submit
from asyncjob.aws.runtime.dynamodb import LAST_WRITE_SECONDS
from asyncjob.aws.runtime.record import to_json
from asyncjob.aws.runtime.shapes import Occurrence
from asyncjob.job import Status
from asyncjob.schedules import occurrence_id


def handler(event: Occurrence, context: Any) -> None:
    """Begin the job of an occurrence.

    Args:
        event: the schedule, the time, and the job as it is to be written.
        context: Lambda's.

    Raises:
        Changed: another call is at work on the same schedule.
        TableError: the table does not answer. Lambda calls again after either.
    """
    until = time.time() + context.get_remaining_time_in_millis() / 1_000 - LAST_WRITE_SECONDS
    at = round(datetime.fromisoformat(event["time"]).timestamp())
    job_id = occurrence_id(event["schedule"], at)
    print(to_json({"schedule": event["schedule"], "jobId": job_id, "became": _begun(event, job_id, at, until)}))


def _begun(event: Occurrence, job_id: str, at: int, until: float) -> str:
    """What has become of the occurrence."""
    if event["latest"] and time.time() > at + event["latest"]:
        return "missed"
    if event["overlap"] == "skip" and not _is_its_turn(event["schedule"], job_id, until):
        return "skipped: the last one has not ended"
    try:
        submit(job_id, event["job"], until)
    except Changed:
        return "there already"
    return "a job"


def _is_its_turn(schedule: str, job_id: str, until: float) -> bool:
    """Whether the last job of the schedule has ended; this one is then the last."""
    key = f".{schedule}"
    last = (fetch(key, until) or {}).get("last")
    if last == job_id:
        return True
    job = None if last is None else fetch(last, until)
    if job is not None and not Status(job["status"]).is_final:
        return False
    point(key, last, job_id, until)
    return True
