"""The reader of the durable edition: answers what API Gateway cannot, since it takes more than one read.

GET /jobs                    merges the shelves of the index, the newest first, and reads their items
GET /jobs/{jobId}/attempts   those before, and the one that `attempt` counts
GET /jobs/{jobId}/large      a job that is kept compressed, where GET /jobs/{jobId} sends to
GET /openapi.json            the document that `asyncjob build` has put beside this file
"""

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from asyncjob.aws.runtime.durable_item import Job, unpacked
from asyncjob.aws.runtime.durable_job import expired, fetch
from asyncjob.aws.runtime.durable_pages import Cursors, page
from asyncjob.contract import ApiError, parse_list_query, parse_page_query
from asyncjob.job import Status

DOCUMENT = Path(__file__).with_name("openapi.json")
PATIENCE_SECONDS = 5.0
JSON = ("progress", "results", "error")
FIELDS = (
    *("jobId", "type", "status", "parameters", "progress", "results", "error", "attempt"),
    *("createdAt", "runAt", "startBy", "startedAt", "finishedAt"),
)
ATTEMPT = ("attempt", "status", "startedAt", "finishedAt", "error")

Answer = dict[str, Any]


def handler(event: dict[str, Any], context: Any) -> Answer:
    """Answer a request.

    Args:
        event: `{"operation", "jobId", "query"}`; the id is "." where there is none, or none that can be one.
        context: Lambda's.

    Returns:
        `{"status", "body", "retryAfter"?}`.

    Raises:
        TableError: the table does not answer.
    """
    answers = {"list": _list, "attempts": _attempts, "large": _large, "openapi": _openapi}
    try:
        return answers[event["operation"]](event["jobId"], event["query"])
    except ApiError as refused:
        return {"status": refused.status, "body": _json({"message": refused.message})}


def _openapi(job_id: str, query: dict[str, str]) -> Answer:
    return {"status": 200, "body": DOCUMENT.read_text()}


def _large(job_id: str, query: dict[str, str]) -> Answer:
    job = _found(job_id)
    answer = {"status": 200, "body": _json(_shown(job))}
    return answer if Status(job["status"]).is_final else {**answer, "retryAfter": "1"}


def _attempts(job_id: str, query: dict[str, str]) -> Answer:
    asked = parse_page_query(query)
    job = _found(job_id)
    now = {**_own(job), "attempt": job["attempt"], "status": job["status"]}
    attempts = [each for each in (*job["attempts"], now) if each["attempt"] > asked.after]
    shown = [_raw({name: each[name] for name in ATTEMPT if name in each}) for each in attempts[: asked.limit]]
    body: Answer = {"attempts": shown}
    if len(attempts) > asked.limit:
        body["next"] = str(shown[-1]["attempt"])
    return {"status": 200, "body": _json(body)}


def _list(job_id: str, query: dict[str, str]) -> Answer:
    if os.environ["LISTED"] != "true":
        raise ApiError(404, "jobs are not listed here: the stack was deployed with Listing=false")
    cursors = Cursors(os.environ["CURSOR_KEY"])
    after = cursors.read(query["cursor"]) if "cursor" in query else None
    asked = parse_list_query({name: value for name, value in query.items() if name != "cursor"})
    jobs, last = page(asked.status, asked.type, asked.limit, after, lambda job: _json(_shown(job)))
    body: Answer = {"jobs": [msgspec.Raw(job.encode()) for job in jobs]}
    if last is not None:
        body["next"] = cursors.write(last)
    return {"status": 200, "body": _json(body)}


def _found(job_id: str) -> Job:
    job = fetch(job_id, time.time() + PATIENCE_SECONDS)
    if job is None or expired(job):
        raise ApiError(404, "Not found")
    return unpacked(job)


def _own(job: Job) -> Job:
    """What the attempt that `attempt` counts says of itself: while it waits, its error is that of the one before."""
    return {} if job["status"] == Status.PENDING else job["current"][0]


def _shown(job: Job) -> Answer:
    """The job as `GET /jobs/{jobId}` has it."""
    whole = {**unpacked(job), **{name: value for name, value in job["current"][0].items() if name != "attempt"}}
    whole["parameters"] = {name: msgspec.Raw(text.encode()) for name, text in job["parameters"].items()}
    return _raw({name: whole[name] for name in FIELDS if name in whole})


def _raw(fields: Answer) -> Answer:
    return {name: msgspec.Raw(value.encode()) if name in JSON else value for name, value in fields.items()}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
