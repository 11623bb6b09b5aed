"""What one transaction does: first the operations, then the rows, then what has become ready, then the claims.

All rows for the same statement are written by one execution of it. SQLite works through them without Python's lock,
which the event loop needs in the meantime. That halves the cost of a row and keeps the two threads from waiting for
each other.

When no job waits and a slot is free, a new job is claimed as it is saved, without a look at the queue.
"""

import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from asyncjob.job import now_ms, timestamp
from asyncjob.sqlite import plain
from asyncjob.sqlite.gates import Gates, Head, merged
from asyncjob.sqlite.notifying import any_to_tell, tell, to_tell
from asyncjob.sqlite.places import NEVER, Places
from asyncjob.sqlite.promotion import Promoted, promote, set_back
from asyncjob.sqlite.rows import MAX_TEXT, NewJob, Row, RowsRefused, joined, listed, portions, size_of
from asyncjob.sqlite.writing import expire
from asyncjob.store import Claim, Claims, Told

MAX_CLAIM_BYTES = 16 << 20  # bytes of parameters that one transaction claims; a single job has 1 MB at most
MAX_SHORT_ROWS = 512  # of one kind in a transaction that is short: some milliseconds
MAX_SHORT_TEXT = 128 << 10  # bytes of text of one kind in it
MAX_CLAIMED = 128  # waiting jobs that one transaction looks at; it reads them whole, however large they are


class Insisted(NamedTuple):
    """Marks a write that must not be given up, for the log: the store's verb, and the ids of the jobs."""

    verb: str
    jobs: Sequence[str] = ()


class Operation(NamedTuple):
    """A call to make inside a transaction; its result is what the call returns.

    Attributes:
        moves: whether it may change where a job waits.
    """

    call: Callable[[sqlite3.Connection], Any]
    future: Told
    insisted: Insisted | None = None
    moves: bool = True


class Rows(msgspec.Struct, frozen=True):
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
        none_left: True if no job is ready.
        go_on: True if there is more to do than one transaction does: jobs to claim, or whose time has come.
        promoted: how many jobs wait for their time no longer.
        next_run: when the next job's time comes, in milliseconds since 1970.
        next_gate: when a rate lets one more job start that waits.
        now: when this was, in milliseconds since 1970.
        notifies: False if no job that has not ended has a notification to send.
    """

    claims: Claims
    none_left: bool = False
    go_on: bool = False
    promoted: int = 0
    next_run: int = NEVER
    next_gate: int = NEVER
    now: int = 0
    notifies: bool = True


class Waiting(NamedTuple):
    """A job as the statement `waiting` returns it: a claim, with the length of its parameters in bytes."""

    job_id: str
    attempt: int
    type: str
    losses: int
    due_at: int
    traceparent: str | None
    group_limit: int | None
    start_by: int | None
    length: int


_decode_waiting = msgspec.json.Decoder(list[Waiting]).decode


class Transaction:
    """One transaction.

    Args:
        connection: to the file.
        statements: SQL by name.
        slots: how many jobs may be claimed.
        places: says where jobs wait.
        gates: of functions with limits.
        before: what the last transaction said that was committed.
        singly: names of statements whose rows must be written one by one.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Mapping[str, str],
        *,
        slots: int,
        places: Places,
        gates: Gates,
        before: Taken,
        singly: frozenset[str],
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._slots = slots
        self._places = places
        self._gates = gates
        self._none_waits = before.none_left
        self._notifies = before.notifies
        self._singly = singly
        self._now_ms = now_ms()
        self._now = timestamp(self._now_ms)
        self._claimed: list[Claim] = []
        self._promoted = Promoted(0, before.next_run)
        self._is_set_back = self._now_ms < before.now
        self._moves = self._is_set_back or self._now_ms >= min(before.next_run, before.next_gate)

    def run(self, batch: Sequence[Item]) -> tuple[Results, Taken]:
        """Write a whole batch, claim, and commit.

        Raises:
            RowsRefused: roll back and run the batch again, with that statement in `singly`.
            sqlite3.Error: roll back.
        """
        done = self._run_plain(batch)
        if done is None:
            self._connection.execute("BEGIN IMMEDIATE")
            done = self._run(batch)
            self._connection.execute("COMMIT")
        return done

    def run_short(self, batch: Sequence[Item]) -> tuple[Results, Taken] | None:
        """The same for a batch that takes little time, since it is small and nothing of it is special; None for others.

        Raises:
            RowsRefused, sqlite3.Error: nothing was written.
        """
        return self._run_plain(batch, MAX_SHORT_ROWS, MAX_SHORT_TEXT)

    def _run_plain(
        self, batch: Sequence[Item], most_rows: int = sys.maxsize, most_text: int = MAX_TEXT
    ) -> tuple[Results, Taken] | None:
        """The same for a batch of which nothing is special, and which is no larger than that; None for others."""
        looks = self._moves or self._gates.touched or self._places.has_limits or self._notifies
        if looks or self._singly or not (self._none_waits or self._slots <= 0):
            return None
        rows: dict[str, list[Any]] = {"submit": [], "succeed": []}
        for item in batch:
            if isinstance(item, Operation) or item.statement not in rows:
                return None
            rows[item.statement].extend(item.rows)
        if any(len(each) > most_rows or size_of(each) > most_text for each in rows.values()):
            return None
        claimed = self._claim_new(rows["submit"])
        plain.write(self._connection, rows["submit"], rows["succeed"], claimed, self._now)
        written: Results = [(item.future, [True] * len(cast(Rows, item).rows)) for item in batch]
        return written, self._taken(none_left=self._none_waits)

    def _run(self, batch: Sequence[Item]) -> tuple[Results, Taken]:
        results: Results = []
        together: dict[str, list[Rows]] = {}
        for item in batch:
            if isinstance(item, Operation):
                results.append((item.future, item.call(self._connection)))
                self._moves = self._moves or item.moves
                self._notifies = self._notifies or item.moves  # it may have left a job with a notification to send
            else:
                together.setdefault(item.statement, []).append(item)
        self._none_waits = self._none_waits and not self._moves
        for statement, items in together.items():
            written = self._write(statement, [row for item in items for row in item.rows])
            start = 0
            for item in items:
                end = start + len(item.rows)
                results.append((item.future, written[start:end]))
                start = end
        if self._moves or self._gates.touched:
            self._move()
            self._none_waits = False
        return results, self._claim()

    def _move(self) -> None:
        """Move on what has become ready, or may pass a gate."""
        if self._is_set_back:
            set_back(self._connection, self._now_ms)
        self._promoted = promote(self._connection, self._places, self._gates, self._now_ms)
        if self._places.has_limits:
            self._gates.open(self._connection, self._now_ms)

    def _write(self, statement: str, rows: list[Row]) -> list[bool]:
        """Write all rows at once if none is refused, otherwise one by one to learn which are."""
        if statement in self._singly:
            return [self._execute(statement, [row]) == 1 for row in rows]
        for portion in portions(rows):
            if self._execute(statement, portion) != len(portion):
                raise RowsRefused(statement)
        return [True] * len(rows)

    def _execute(self, statement: str, rows: Sequence[Row]) -> int:
        claimed = self._claim_new(cast(Sequence[NewJob], rows)) if statement == "submit" else 0
        places = listed(rows)
        values = {"rows": places, "texts": joined(rows), "claimed": claimed, "now": self._now}
        told: list[str] = []
        if statement == "succeed":
            told = self._to_tell(places)
            self._gates.touch_those_of(self._connection, places)
        written = self._connection.execute(self._statements[statement], values).rowcount
        if told:
            tell(self._connection, told)
        return written

    def _to_tell(self, rows: str) -> list[str]:
        """Which of the jobs that are about to end have a notification to send."""
        if not self._notifies:
            return []
        self._notifies = any_to_tell(self._connection)
        return to_tell(self._connection, rows) if self._notifies else []

    def _claim_new(self, rows: Sequence[NewJob]) -> int:
        """Claim the first of the jobs that are about to be saved; how many."""
        self._notifies = self._notifies or any(job.notify is not None for job in rows)
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
            return self._taken(none_left=self._none_waits)
        most = min(free, MAX_CLAIMED)
        rows, texts = self._next(most)
        jobs = _decode_waiting(rows)
        claims = _claims(jobs, texts or b"")
        late = {job.job_id for job in jobs if job.start_by is not None and self._is_too_late(job)}
        if late:
            claims = [claim for claim in claims if claim.job_id not in late]
        if claims:
            self._connection.execute(self._statements["claim"], {"rows": rows, "now": self._now})
            self._gates.started(self._connection, [claim.job_id for claim in claims], self._now_ms)
        self._claimed += claims
        cut_off = len(jobs) == most or sum([job.length for job in jobs]) > MAX_CLAIM_BYTES // 2
        none_left = not cut_off and not self._gates.any_waits(self._connection)
        # Who was too late has left its place to those behind it, of whom perhaps none was looked at.
        return self._taken(none_left=none_left, go_on=(cut_off or bool(late)) and len(claims) < free)

    def _next(self, most: int) -> tuple[str, bytes | None]:
        """The jobs to claim: from the queue, and from the gates of functions that have room."""
        heads = self._gates.heads(self._connection, self._now_ms, most)
        if not heads:
            values = {"slots": most, "most": MAX_CLAIM_BYTES}
            return cast(tuple[str, bytes], self._connection.execute(self._statements["waiting"], values).fetchone())
        queue = self._connection.execute(self._statements["head_of_queue"], {"limit": most}).fetchall()
        chosen = msgspec.json.encode(merged(map(Head._make, queue), heads, most)).decode()
        found = self._connection.execute(self._statements["chosen"], {"sequences": chosen, "most": MAX_CLAIM_BYTES})
        return cast(tuple[str, bytes], found.fetchone())

    def _is_too_late(self, job: Waiting) -> bool:
        """Whether the job should have begun before now; if so, it has ended."""
        if job.attempt > 1 or job.start_by is None or job.start_by >= self._now_ms:
            return False
        expire(self._connection, self._gates, job.job_id, job.start_by, self._now)
        return True

    def _taken(self, *, none_left: bool, go_on: bool = False) -> Taken:
        promoted, next_run = self._promoted
        next_gate = self._gates.next_opening(self._connection)
        next_at = min(next_run, next_gate)
        next_due = next_at if self._now_ms < next_at < NEVER else None
        gates = self._gates
        claims = Claims(self._claimed, next_due, gates.expired, gates.suspects, gates.wanting)
        more = go_on or next_at <= self._now_ms or self._gates.touched
        return Taken(claims, none_left, more, promoted, next_run, next_gate, self._now_ms, self._notifies)


def _claims(jobs: list[Waiting], texts: bytes) -> list[Claim]:
    """The claims of jobs that waited; `texts` has their parameters, one after the other."""
    claims = []
    start = 0
    for job in jobs:
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
