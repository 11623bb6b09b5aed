"""Items of the package edition: what goes back to Pending, and what is too large for DynamoDB as it is.

An item of DynamoDB has at most 400 KB, all of it together, while a request and its results may have 1 MB each. So a
large item's parameters, results and error are kept compressed, in one attribute, `large`; API Gateway cannot read
that, so the reader does. What is too large even so is never cut short: the job is a Failure that says so.
"""

import base64
import gzip
import json
from collections.abc import Collection
from typing import cast

from asyncjob.aws.runtime.record import ended, error, submitted
from asyncjob.aws.runtime.shapes import Event, Item
from asyncjob.job import Status
from asyncjob.registry import DEFAULT_RETRIES

MAX_ITEM_BYTES = 400 * 1024
ROOM_BYTES = 2_048  # for a cancel, and for what DynamoDB counts beside names and values
ERROR_BYTES = 65_536  # of any error, and of progress: a claim leaves room for them
COMPRESSED = ("parameters", "results", "error")
MAX_REQUEST_BYTES = 1_015_808
"""Of a submission. The record of a failed event holds the event, up to 10,000 characters of error, and some more, and
Lambda takes 1 MB of that too: a larger job could vanish without an outcome."""
OF_AN_ATTEMPT = ("startedAt", "deadline", "claimId", "progress")


class TooLarge(Exception):
    """DynamoDB does not take the item, compressed or not; the message says how large it is."""


def packed(item: Item, room: int = ROOM_BYTES) -> Item:
    """The item, with what is large in it compressed if it has to be.

    Raises:
        TooLarge: it leaves no `room` even so.
    """
    if _size(item) + room <= MAX_ITEM_BYTES:
        return item
    texts = {name: value for name, value in item.items() if name in COMPRESSED}
    compressed = gzip.compress(json.dumps(texts, ensure_ascii=False).encode(), compresslevel=6, mtime=0)
    rest = without(item, COMPRESSED)
    size = _size(rest) + len(compressed)
    if size + room > MAX_ITEM_BYTES:
        most = f"DynamoDB has room for {MAX_ITEM_BYTES - room:,}"
        raise TooLarge(f"with them the job has {_size(item):,} bytes, {size:,} compressed; {most}")
    return {**rest, "large": {"B": base64.b64encode(compressed).decode()}}


def unpacked(item: Item) -> Item:
    """The item with everything in its own attribute."""
    if "large" not in item:
        return item
    texts = json.loads(gzip.decompress(base64.b64decode(item["large"]["B"])))
    return cast(Item, {**without(item, ("large",)), **texts})


def without(item: Item, names: Collection[str]) -> Item:
    """The item without some of its fields."""
    return cast(Item, {name: value for name, value in item.items() if name not in names})


def _size(item: Item) -> int:
    return sum(len(name) + (len(value.encode()) if isinstance(value, str) else 21) for name, value in item.items())


def begun(event: Event) -> tuple[Item, str | None]:
    """The item of a job that was submitted, and why it cannot be run if its parameters cannot be kept."""
    try:
        item = submitted(event)
        size = len(item["parameters"].encode())
        if size <= MAX_REQUEST_BYTES:
            return packed(item, ERROR_BYTES), None
        problem = f"the parameters are {size:,} bytes of JSON, over the limit of {MAX_REQUEST_BYTES:,}"
    except TooLarge as large:
        problem = f"the parameters cannot be kept: {large}"
    except ValueError:  # what API Gateway takes as a number and Python as infinity
        problem = "the parameters have a number that is out of range"
    bare: Event = {**event, "request": {"type": event["request"]["type"]}}
    return without(submitted(bare), ("parameters",)), error("InvalidParameters", problem)


def succeeded(item: Item, results: str) -> Item:
    """The item of a job whose function has returned; a Failure where DynamoDB cannot keep the results."""
    whole = unpacked(item)
    try:
        return packed({**whole, **ended("succeed", {"results": results})})
    except TooLarge as large:
        return failed(item, error("InvalidResults", f"the results cannot be kept: {large}"))


def failed(item: Item, reason: str) -> Item:
    """The item of a job that is a Failure."""
    return packed({**unpacked(item), **ended("fail", {"error": reason})})


def repeated(item: Item) -> Item:
    """The item of a job that waits for its next attempt."""
    return {**without(item, OF_AN_ATTEMPT), "status": Status.PENDING.value, "attempt": item["attempt"] + 1}


def may_repeat(item: Item) -> bool:
    """Whether another attempt may follow the item's. On AWS every attempt counts against the retries."""
    return item["attempt"] <= item.get("retries", DEFAULT_RETRIES)  # one of the original system's has none
