"""What one transaction does: first the operations, then the rows, then the claims.

All rows for the same statement are written by one execution of it. SQLite works through them without Python's lock,
which the event loop needs in the meantime. That halves the cost of a row and keeps the two threads from waiting for
each other.

When no job waits and a slot is free, a new job is claimed as it is saved, without a look at the queue.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from asyncjob.job import utc_now
from asyncjob.sqlite.notifying import tell, to_tell
from asyncjob.store import Claim, Claims, Told

MAX_TEXT = 16 << 20  # bytes of text for one statement
MAX_CLAIM_BYTES = 16 << 20  # bytes of parameters that one transaction claims; a single job has 1 MB at most
MAX_CLAIMED = 128  # waiting jobs that one transaction looks at; it reads them whole, however large they are


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


class Insisted(NamedTuple):
    """Marks a write that must not be given up, for the log: the store's verb, and the ids of the jobs."""

    verb: str
    jobs: Sequence[str] = ()


class Operation(NamedTuple):
    """A call to make inside a transaction; its result is what the call returns."""

    call: Callable[[sqlite3.Connection], Any]
    future: Told
    insisted: Insisted | None = None


class Rows(NamedTuple):
    """Rows for one statement, which writes or refuses each; the result is a bool for each."""

    statement: str
    rows: Sequence[Row]
    future: Told
    insisted: Insisted | None = None


Item = Operation | Rows
Results = list[tuple[Told, Any]]


class Taken(NamedTuple):
    """What a transaction claimed.

    Attributes:
        claims: for the server.
        none_left: True if no job waits, not even for a later time.
        go_on: True if slots are free and more jobs may be due than one transaction claims.
    """

    claims: Claims
    none_left: bool = False
    go_on: bool = False


class RowsRefused(Exception):
    """A statement refused some of its rows. To learn which, write them one by one."""

    def __init__(self, statement: str) -> None:
        super().__init__(statement)
        self.statement = statement


class Waiting(NamedTuple):
    """A job as the statement `waiting` returns it: a claim, with the length of its parameters in bytes."""

    job_id: str
    attempt: int
    type: str
    losses: int
    due_at: int
    traceparent: str | None
    group_limit: int | None
    length: int


_decode_waiting = msgspec.json.Decoder(list[Waiting]).decode


class Transaction:
    """One transaction, between its BEGIN and its COMMIT.

    Args:
        connection: to the file.
        statements: SQL by name.
        slots: how many jobs may be claimed.
        due: the time, in milliseconds since 1970; jobs that are due later are not claimed.
        none_waits: whether no job waited after the last commit.
        singly: names of statements whose rows must be written one by one.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Mapping[str, str],
        *,
        slots: int,
        due: int,
        none_waits: bool,
        singly: frozenset[str],
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._slots = slots
        self._due = due
        self._none_waits = none_waits
        self._singly = singly
        self._now = utc_now()
        self._claimed: list[Claim] = []

    def run(self, batch: Sequence[Item]) -> tuple[Results, Taken]:
        """Write a whole batch, then claim.

        Raises:
            RowsRefused: roll back and run the batch again, with that statement in `singly`.
            sqlite3.Error: roll back.
        """
        results: Results = []
        together: dict[str, list[Rows]] = {}
        for item in batch:
            if isinstance(item, Operation):
                results.append((item.future, item.call(self._connection)))
            else:
                together.setdefault(item.statement, []).append(item)
        self._none_waits = self._none_waits and not results  # each of them may have put a job back into the queue
        for statement, items in together.items():
            written = self._write(statement, [row for item in items for row in item.rows])
            start = 0
            for item in items:
                end = start + len(item.rows)
                results.append((item.future, written[start:end]))
                start = end
        return results, self._claim()

    def _write(self, statement: str, rows: list[Row]) -> list[bool]:
        """Write all rows at once if none is refused, otherwise one by one to learn which are."""
        if statement in self._singly:
            return [self._execute(statement, [row]) == 1 for row in rows]
        for portion in _portions(rows):
            if self._execute(statement, portion) != len(portion):
                raise RowsRefused(statement)
        return [True] * len(rows)

    def _execute(self, statement: str, rows: list[Row]) -> int:
        claimed = self._claim_new(cast(list[NewJob], rows)) if statement == "submit" else 0
        places = _places(rows)
        values: dict[str, object] = {"rows": places, "texts": b"".join([row[-1] for row in rows])}
        values |= {"claimed": claimed, "now": self._now}
        told = to_tell(self._connection, places) if statement == "succeed" else []
        written = self._connection.execute(self._statements[statement], values).rowcount
        if told:
            tell(self._connection, told)
        return written

    def _claim_new(self, rows: Sequence[NewJob]) -> int:
        """Claim the first of the jobs that are about to be saved; how many."""
        is_first = self._none_waits and not self._claimed and "submit" not in self._singly
        free = max(0, self._slots) if is_first else 0
        self._claimed += [
            Claim(job.job_id, 1, job.type, job.parameters, 0, job.due_at, job.traceparent) for job in rows[:free]
        ]
        self._none_waits = self._none_waits and free >= len(rows)
        return min(free, len(rows))

    def _claim(self) -> Taken:
        free = self._slots - len(self._claimed)
        if self._none_waits or free <= 0:
            return Taken(Claims(self._claimed), none_left=self._none_waits)
        most = min(free, MAX_CLAIMED)
        rows, texts, next_due = self._connection.execute(
            self._statements["waiting"], {"due": self._due, "slots": most, "most": MAX_CLAIM_BYTES}
        ).fetchone()
        jobs = _claims(rows, texts or b"")
        if jobs:
            self._connection.execute(self._statements["claim"], {"rows": rows, "now": self._now})
        cut_off = len(jobs) == most or sum(len(job.parameters) for job in jobs) > MAX_CLAIM_BYTES // 2
        if cut_off:
            return Taken(Claims(self._claimed + jobs), go_on=len(jobs) < free)
        return Taken(Claims(self._claimed + jobs, next_due), none_left=next_due is None)


def _claims(rows: str, texts: bytes) -> list[Claim]:
    """The claims of jobs that waited; `texts` has their parameters, one after the other."""
    claims = []
    start = 0
    for job in _decode_waiting(rows):
        end = start + job.length
        claims.append(
            Claim(
                job.job_id,
                job.attempt,
                job.type,
                texts[start:end],
                job.losses,
                job.due_at,
                job.traceparent,
                job.group_limit,
            )
        )
        start = end
    return claims


def _places(rows: list[Row]) -> str:
    """The rows as JSON; in place of its text, each says where that begins, counted from 1, and how long it is."""
    places = []
    start = 1
    for row in rows:
        size = len(row[-1])
        places.append((*row[:-1], start, size))
        start += size
    return msgspec.json.encode(places).decode()


def _portions(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in portions whose texts SQLite and the memory can take."""
    if sum([len(row[-1]) for row in rows]) <= MAX_TEXT:
        yield rows
        return
    portion: list[Row] = []
    size = 0
    for row in rows:
        size += len(row[-1])
        if portion and size > MAX_TEXT:
            yield portion
            portion, size = [], 0
        portion.append(row)
    yield portion
