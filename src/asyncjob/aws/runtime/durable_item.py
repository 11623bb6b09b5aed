"""What the item of a job may hold: its form in DynamoDB's JSON, and its size, which DynamoDB bounds.

Results that have no room are compressed; the history of attempts gives way before anything else.
"""

import base64
import gzip
import json
from typing import Any

from asyncjob.aws.runtime.record import to_json

Job = dict[str, Any]
Request = dict[str, Any]

MAX_ITEM_BYTES = 400 * 1024
ROOM_BYTES = 4_096  # for what a cancel and a retry add, and what DynamoDB counts beside names and values
KEPT_ATTEMPTS = 50
KEPT_BYTES = 40_000  # of all of them
KEPT_MESSAGE_BYTES = 500  # of the error of an earlier attempt


class TooLarge(Exception):
    """DynamoDB does not take the item, compressed or not and without its history; the message says how large it is."""


def unpacked(job: Job) -> Job:
    """The job with everything in its own attribute."""
    if "large" not in job:
        return job
    return {**job, **json.loads(gzip.decompress(base64.b64decode(job["large"]["B"])))}


def read(item: Request) -> Job:
    """An item out of DynamoDB's JSON."""
    return {name: _plain(value) for name, value in item.items()}


def packed(job: Job, texts: dict[str, str]) -> Request:
    """The texts as they are, or all of them compressed in `large` where the item has no room.

    Raises:
        TooLarge: it has none even so.
    """
    held = _size({name: value for name, value in job.items() if name not in texts}) + ROOM_BYTES
    size = held + _size(texts)
    if size <= MAX_ITEM_BYTES:
        return dict(texts)
    compressed = gzip.compress(json.dumps(texts, ensure_ascii=False).encode(), compresslevel=6, mtime=0)
    if held + len(compressed) > MAX_ITEM_BYTES:
        most = f"DynamoDB has room for {MAX_ITEM_BYTES:,}"
        raise TooLarge(f"with them the job has {size:,} bytes, {held + len(compressed):,} compressed; {most}")
    return {"large": {"B": base64.b64encode(compressed).decode()}}


def kept(attempts: list[Job]) -> list[Job]:
    """The last attempts, of a bounded size in all: an item has 400 KB, however often a job runs, whatever it says."""
    kept: list[Job] = []
    size = 0
    for attempt in reversed(attempts[-KEPT_ATTEMPTS:]):
        shortened = _shortened(attempt)
        size += _size(shortened)
        if size > KEPT_BYTES:
            break
        if attempt:
            kept.append(shortened)
    return kept[::-1]


def _shortened(attempt: Job) -> Job:
    if len(attempt.get("error", "").encode()) <= KEPT_MESSAGE_BYTES:
        return attempt
    told = json.loads(attempt["error"])
    message = told["message"].encode()[:KEPT_MESSAGE_BYTES].decode(errors="ignore")
    return {**attempt, "error": to_json({**told, "message": message})}


def _size(value: Any) -> int:
    """Bytes, as DynamoDB counts them, or some more."""
    match value:
        case str():
            return len(value.encode()) + 1
        case {"B": compressed}:
            return len(compressed)
        case dict():
            return 3 + sum(len(name.encode()) + _size(each) for name, each in value.items())
        case list():
            return 3 + sum(map(_size, value))
    return 22


def typed(value: Any) -> Any:
    match value:
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case list():
            return {"L": [typed(each) for each in value]}
        case {"B": _}:
            return value
    return {"M": {name: typed(each) for name, each in value.items()}}


def _plain(value: Request) -> Any:
    match value:
        case {"S": text}:
            return text
        case {"N": number}:
            return int(number)
        case {"L": values}:
            return [_plain(each) for each in values]
        case {"M": values}:
            return {name: _plain(each) for name, each in values.items()}
    return value
