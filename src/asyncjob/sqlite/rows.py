"""Rows on their way into a statement that takes all of them at once.

It takes them as JSON, and beside that their last fields, one after the other: these are JSON of any size already, and
are never parsed again.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

MAX_TEXT = 16 << 20  # bytes of text for one statement


class NewJob(NamedTuple):
    """A row for `submit`."""

    job_id: str
    type: str
    due_at: int
    created_at: str
    traceparent: str | None
    notify: str | None
    parameters: bytes


class EndedJob(NamedTuple):
    """A row for `succeed`."""

    job_id: str
    attempt: int
    finished_at: str
    results: bytes


Row = tuple[Any, ...]  # one of the above: the last field is JSON text of any size, the others are short


class RowsRefused(Exception):
    """A statement refused some of its rows. To learn which, write them one by one."""

    def __init__(self, statement: str) -> None:
        super().__init__(statement)
        self.statement = statement


def listed(rows: Sequence[Row]) -> str:
    """The rows as JSON; in place of its text, each says where that begins, counted from 1, and how long it is."""
    places = []
    start = 1
    for row in rows:
        size = len(row[-1])
        places.append((*row[:-1], start, size))
        start += size
    return msgspec.json.encode(places).decode()


def joined(rows: Sequence[Row]) -> bytes:
    """The texts of the rows, one after the other."""
    return b"".join([row[-1] for row in rows])


def size_of(rows: Sequence[Row]) -> int:
    """How many bytes of text they have."""
    return sum([len(row[-1]) for row in rows])


def portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in portions whose texts SQLite and the memory can take."""
    if size_of(rows) <= MAX_TEXT:
        yield rows
        return
    portion: list[Row] = []
    filled = 0
    for row in rows:
        filled += len(row[-1])
        if portion and filled > MAX_TEXT:
            yield portion
            portion, filled = [], len(row[-1])
        portion.append(row)
    yield portion
