"""The limits of functions: which of their waiting jobs may be claimed.

A job of a function with limits waits before gates and not in the queue:

    stage 0   before the gate of its key, if its function has limits for each value of a parameter
    stage 1   past that, before the gate of its function
    stage 2   it runs

What is behind a closed gate is not looked at, however much it is. The gate of a key is looked at when a job of that key
has come, ended or gone, or when its rate lets one more start; the gates of functions, before each claim, and only those
that a job waits at. Who passes the gate of its key gets the time of that as its rank, so that among the keys of one
function none goes before the others.

How many run, or are past the gate of their key, is counted from the jobs themselves in the transaction that claims, so
no place is ever lost. Only of attempts that have ended while their function goes on, since a thread cannot be stopped,
is a list kept. It is in memory: they all end with the server. A rate is kept exactly, from the times of the last
starts: in no period are there more. As many jobs are let past the gate of a key as may start now, so those can be
claimed whenever their function has room.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from asyncjob.policies import Rate
from asyncjob.sqlite.places import NEVER, Places
from asyncjob.sqlite.statements import SQL
from asyncjob.store import LEVEL_MS, Expired, Suspect

MAX_OPENED = 500  # gates that are looked at in one transaction because their rate opens
MAX_PASSED = 500  # jobs that pass one gate in one transaction
RUNS = 2  # the stage of what runs
WHOLE = ""  # the key of a function's own rate

Gate = tuple[str, str]  # a type and a key
Attempt = tuple[str, int]  # a job id and the number of the attempt


class Head(NamedTuple):
    """A job that may be claimed. In the order of these fields, the lowest goes first."""

    rank: int
    sequence: int


class Gates:
    """The gates of all functions. Used by the writer alone.

    Attributes:
        places: knows the functions and their limits.
        expired: jobs that were found too late in this transaction, which has ended them.
        suspects: those whose pause this transaction has found over; they pass no gate before they are admitted.
        caps: how many jobs of a function may run, whatever its limits say. The event loop sets these.
        wanting: how many jobs these caps have held back in this transaction; None if it has looked at none.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.expired: list[Expired] = []
        self.suspects: list[Suspect] = []
        self.caps: dict[str, int] = {}
        self.wanting: dict[str, int] | None = None
        self._lingering: dict[Attempt, Gate] = {}  # attempts that have ended and go on, and the gates that they passed
        self._held: Counter[tuple[str, str | None]] = Counter()  # how many these are, of a type and of a key
        self._begun: list[Attempt] = []  # those that this transaction has added
        self._touched: set[Gate] = set()  # of keys, at which something may have changed
        self._looked_at: set[Gate] = set()  # the same, in a transaction that is not committed yet

    @property
    def touched(self) -> bool:
        """Whether there is a gate to look at."""
        return bool(self._touched)

    def begin(self) -> None:
        """A transaction begins; what one before it did may have been rolled back."""
        for attempt in self._begun:
            self.gone(attempt)
        self._touched |= self._looked_at
        self.expired, self.suspects, self.wanting = [], [], None

    def committed(self) -> None:
        """The transaction is on the disk."""
        self._looked_at, self._begun = set(), []

    @property
    def lingering(self) -> int:
        """How many attempts hold a place although they have ended."""
        return len(self._lingering)

    def linger(self, attempt: Attempt, name: str, key: str | None) -> None:
        """An attempt of this function ends in this transaction, and goes on: it keeps its place."""
        self._begun.append(attempt)
        self._lingering[attempt] = name, key or WHOLE
        self._hold(name, key or WHOLE, 1)

    def gone(self, attempt: Attempt) -> None:
        """An attempt goes on no longer."""
        if (gate := self._lingering.pop(attempt, None)) is not None:
            self._hold(*gate, -1)
            self._touched.add(gate)

    def _hold(self, name: str, key: str, change: int) -> None:
        for gate in ((name, None), (name, key)):
            self._held[gate] += change
            if not self._held[gate]:
                del self._held[gate]

    def touch(self, name: str, key: str | None) -> None:
        """Look at the gate of this key before the next claim: a job of it has come, ended or gone."""
        if key is not None:
            self._touched.add((name, key))

    def touch_those_of(self, connection: sqlite3.Connection, rows: str) -> None:
        """The same for running jobs that are about to end. Rows: JSON, an array for each, its id the first element."""
        if self.places.has_keys:
            self._touched.update(connection.execute(SQL["keys_of"], {"rows": rows}).fetchall())

    def touch_all(self, connection: sqlite3.Connection) -> None:
        """Look at all gates: the limits have changed."""
        connection.execute(SQL["forget_gates"])
        self._touched.update(connection.execute(SQL["gates_of_keys"]).fetchall())

    def open(self, connection: sqlite3.Connection, now: int) -> None:
        """Let jobs past the gates of their keys, where there is room."""
        values = {"now": now, "latest": now + self.places.longest_period_ms, "limit": MAX_OPENED}
        for name, key in connection.execute(SQL["opened_gates"], values).fetchall():
            connection.execute(SQL["forget_gate"], {"type": name, "limit_key": key})
            if key != WHOLE:
                self._touched.add((name, key))
        self._looked_at, self._touched = self._touched, set()
        for name, key in sorted(self._looked_at):
            self._pass(connection, name, key, now)

    def _pass(self, connection: sqlite3.Connection, name: str, key: str, now: int) -> None:
        """Let as many jobs past the gate of one key as there is room for."""
        limits, gate = self.places.limits(name), {"type": name, "limit_key": key}
        if not connection.execute(SQL["before_key"], gate | {"limit": 1}).fetchall():
            return
        past, running = connection.execute(SQL["past_key"], gate).fetchone()
        room = MAX_PASSED
        if limits.concurrency_per_key is not None:
            room = limits.concurrency_per_key.count - past - self._held[name, key]
        if limits.rate_per_key is not None and room > 0:
            reserved = past - running
            room = self._may_start(connection, name, key, limits.rate_per_key, now, room + reserved) - reserved
            if room <= 0:
                self._wait_for(connection, name, key, limits.rate_per_key, now)
        if room <= 0:
            return
        passing = connection.execute(SQL["before_key"], gate | {"limit": min(room, MAX_PASSED)}).fetchall()
        moved = [{"sequence": sequence, "turn": now - priority * LEVEL_MS} for sequence, priority in passing]
        connection.executemany(SQL["pass_key"], moved)
        if len(moved) == MAX_PASSED:
            self._touched.add((name, key))  # there may be more

    def heads(self, connection: sqlite3.Connection, now: int, most: int) -> list[Head]:
        """The jobs before the gates of functions that may be claimed, at most so many of each function."""
        found: list[Head] = []
        self.wanting = {}
        if not self.places.has_limits:
            return found
        for (name,) in connection.execute(SQL["types_at_gates"]).fetchall():
            limits, room, cap = self.places.limits(name), most, self.caps.get(name)
            running = 0
            if limits.concurrency is not None or cap is not None:
                (running,) = connection.execute(SQL["running_of_type"], {"type": name}).fetchone()
                running += self._held[name, None]
            if limits.concurrency is not None:
                room = min(room, limits.concurrency.count - running)
            if limits.rate is not None and room > 0:
                room = self._may_start(connection, name, WHOLE, limits.rate, now, room)
                if room <= 0:
                    self._wait_for(connection, name, WHOLE, limits.rate, now)
            if room > 0:
                rows = connection.execute(SQL["before_function"], {"type": name, "limit": room}).fetchall()
                allowed = len(rows) if cap is None else max(0, cap - running)
                if allowed < len(rows):
                    self.wanting[name] = len(rows) - allowed
                found += [Head(*row) for row in rows[:allowed]]
        return found

    def any_waits(self, connection: sqlite3.Connection) -> bool:
        """Whether any job waits before the gate of its function; before the gate of a key, none may be claimed."""
        return self.places.has_limits and bool(connection.execute(SQL["any_before_functions"]).fetchone()[0])

    # -- rates -------------------------------------------------------------------------------------------------------

    def started(self, connection: sqlite3.Connection, job_ids: Sequence[str], now: int) -> None:
        """Count the starts of jobs that were claimed."""
        if not (self.places.has_rates and job_ids):
            return
        rows = connection.execute(SQL["with_limits"], {"job_ids": json.dumps(job_ids)}).fetchall()
        for name, key in rows:
            limits = self.places.limits(name)
            for of, rate in ((WHOLE, limits.rate), (key, limits.rate_per_key)):
                if rate is not None and of is not None:
                    connection.execute(SQL["count_start"], {"type": name, "limit_key": of, "now": now})
                    connection.execute(SQL["forget_start"], {"type": name, "limit_key": of, "count": rate.count})
                    self._wait_for(connection, name, of, rate, now)
        before = now - self.places.longest_period_ms
        connection.execute(SQL["forget_starts"], {"before": before, "limit": MAX_OPENED})

    def next_opening(self, connection: sqlite3.Connection) -> int:
        """When a rate lets one more start that waits now, in milliseconds since 1970; NEVER if none waits for that."""
        if not self.places.has_rates:
            return NEVER
        (opens_at,) = connection.execute(SQL["next_gate"]).fetchone()
        return NEVER if opens_at is None else int(opens_at)

    def _may_start(self, connection: sqlite3.Connection, name: str, key: str, rate: Rate, now: int, wanted: int) -> int:
        """How many may start now, if that many are wanted.

        After the clock was set back, what seems to have started later is taken to have started now.
        """
        gate, wanted = {"type": name, "limit_key": key}, min(wanted, rate.count)
        last = connection.execute(SQL["last_start"], gate).fetchone()
        if last is None:
            return wanted
        number, started = last
        if started > now:
            connection.execute(SQL["set_starts_back"], gate | {"now": now})
        # The next one may start when the one that was `count` before it has left the period, and so on.
        span = {"after": number - rate.count, "until": number - rate.count + wanted, "since": now - _period(rate)}
        (recent,) = connection.execute(SQL["recent_starts"], gate | span).fetchone()
        return wanted - int(recent)

    def _wait_for(self, connection: sqlite3.Connection, name: str, key: str, rate: Rate, now: int) -> None:
        """Have the gate looked at when its rate lets one more start, if it does not now and a job waits there."""
        values = {"type": name, "limit_key": key, "count": rate.count, "period": _period(rate), "now": now}
        connection.execute(SQL["close_function" if key == WHOLE else "close_key"], values)


def _period(rate: Rate) -> int:
    return rate.seconds * 1000


def merged(queue: Iterable[Head], gates: Iterable[Head], most: int) -> list[int]:
    """The jobs to claim, in order, by their sequence."""
    return [head.sequence for head in sorted([*queue, *gates])[:most]]
