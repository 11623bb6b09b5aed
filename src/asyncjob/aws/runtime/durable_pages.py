"""Pages of jobs, newest first, from the eight shelves of the index; and the cursors that lead from one to the next.

Each shelf is asked for what it has beyond the last job of the page before, and the shelves are merged. Jobs of the same
millisecond are on the same shelf, so the order of a shelf is the order of the page.
"""

import base64
import hashlib
import heapq
import hmac
import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from asyncjob.aws.runtime.durable_item import Job, read
from asyncjob.aws.runtime.durable_job import SHELVES, expired
from asyncjob.aws.runtime.dynamodb import TableError, call
from asyncjob.contract import ApiError
from asyncjob.job import Status

AT_ONCE = 100  # items, as DynamoDB takes them in a batch
MAX_PAGE_BYTES = 5_500_000  # Lambda answers with 6 MB at most; one job has never more than 5
SEARCH_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
MAC_BYTES = 12


class Place(NamedTuple):
    """Where a page has ended: the last job that was looked at."""

    created_at: str
    job_id: str
    shelf: str


class Cursors:
    """Cursors of this stack: what is mistyped, or comes from another one, is refused.

    Args:
        key: the stack's id will do. Whoever knows it can make a cursor, which shows no more than a page does.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def write(self, place: Place) -> str:
        """The cursor of a place."""
        text = "/".join(place).encode()
        mac = hmac.digest(self._key, text, hashlib.sha256)[:MAC_BYTES]
        return base64.urlsafe_b64encode(mac + text).decode().rstrip("=")

    def read(self, cursor: str) -> Place:
        """The place of a cursor.

        Raises:
            ApiError: 400, it is none, or was changed.
        """
        try:
            whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            created_at, job_id, shelf = whole[MAC_BYTES:].decode().split("/")
        except ValueError:
            raise _not_a_cursor() from None
        place = Place(created_at, job_id, shelf)
        if not hmac.compare_digest(self.write(place).encode(), cursor.encode(errors="replace")):
            raise _not_a_cursor()
        return place


def _not_a_cursor() -> ApiError:
    return ApiError(400, "cursor must be the next of an earlier page")


def page(
    status: Status | None, kind: str | None, limit: int, after: Place | None, shown: Callable[[Job], str]
) -> tuple[list[str], Place | None]:
    """A page of jobs, and where it ended if there may be more.

    It ends early rather than search for seconds, or grow beyond what can be answered.

    Args:
        status, kind: only jobs of these, if they are not None.
        limit: how many there may be.
        after: where the page before has ended.
        shown: a job's text in the answer.

    Raises:
        TableError: the table does not answer.
    """
    until = time.monotonic() + SEARCH_SECONDS
    at_once = min(limit, AT_ONCE) if status is None and kind is None else AT_ONCE
    found: list[str] = []
    size, last = 0, after
    entries = _merged(after, at_once)
    waiting = next(entries, None)
    while waiting is not None:
        batch = [waiting, *islice(entries, at_once - 1)]
        items = _items([entry["jobId"] for entry in batch if kind in (None, entry["type"])])
        for number, entry in enumerate(batch, start=1):
            before, last = last, Place(entry["createdAt"], entry["jobId"], entry["shelf"])
            job = items.get(entry["jobId"])
            if job is None or expired(job) or (status is not None and job["status"] != status):
                continue
            text = shown(job)
            size += len(json.dumps(text))  # as the body is written: in another JSON, and perhaps in ASCII
            if found and size > MAX_PAGE_BYTES:
                return found, before
            found.append(text)
            if len(found) == limit:
                more = number < len(batch) or next(entries, None) is not None
                return found, last if more else None
        waiting = next(entries, None)
        if waiting is not None and time.monotonic() > until:
            return found, last
    return found, None


def _merged(after: Place | None, at_once: int) -> Iterator[Job]:
    shelves = [_shelf(str(number), after, at_once) for number in range(SHELVES)]
    return heapq.merge(*shelves, key=lambda entry: entry["createdAt"], reverse=True)


def _shelf(shelf: str, after: Place | None, at_once: int) -> Iterator[Job]:
    """The entries of one shelf beyond a place, the newest first."""
    request: dict[str, Any] = {
        "TableName": os.environ["TABLE"],
        "IndexName": "list",
        "ScanIndexForward": False,
        "Limit": at_once,
        "KeyConditionExpression": "shelf = :shelf",
        "ExpressionAttributeValues": {":shelf": {"S": shelf}},
    }
    if after is not None and after.shelf == shelf:
        request["ExclusiveStartKey"] = {
            "shelf": {"S": shelf}, "createdAt": {"S": after.created_at}, "jobId": {"S": after.job_id}
        }  # fmt: skip
    elif after is not None:
        request["KeyConditionExpression"] += " AND createdAt < :after"
        request["ExpressionAttributeValues"][":after"] = {"S": after.created_at}
    while True:
        answer = call("Query", request, time.time() + PATIENCE_SECONDS)
        yield from map(read, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _items(job_ids: list[str]) -> dict[str, Job]:
    """The items of these jobs, by id, as far as they are there."""
    table, until = os.environ["TABLE"], time.time() + PATIENCE_SECONDS
    if not job_ids:
        return {}
    keys: dict[str, Any] = {"Keys": [{"jobId": {"S": job_id}} for job_id in job_ids], "ConsistentRead": True}
    found: dict[str, Job] = {}
    while keys:
        answer = call("BatchGetItem", {"RequestItems": {table: keys}}, until)
        for item in answer["Responses"].get(table, []):
            found[item["jobId"]["S"]] = read(item)
        keys = answer.get("UnprocessedKeys", {}).get(table, {})
        if keys and time.time() > until:
            raise TableError("the table does not answer")
    return found
