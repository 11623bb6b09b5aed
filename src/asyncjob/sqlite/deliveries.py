"""The notifications in the file, and what becomes of them. notifying.py writes new ones."""

import json
import sqlite3
from collections.abc import Callable, Collection
from typing import Any

from msgspec import UNSET

from asyncjob.job import now_ms, timestamp, utc_now
from asyncjob.sqlite.database import Database
from asyncjob.sqlite.reading import Lookup, Reader
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.transaction import Insisted
from asyncjob.sqlite.writer import Writer
from asyncjob.store import Delivery, DeliveryStatus, Due

LOOK = 512  # notifications that one query returns
FULL = LOOK // 2  # of one receiver: then further queries leave it out, so that it hides no other receiver
MAX_ROUNDS = 4  # queries in one look for due notifications


class SqliteDeliveries:
    """The notifications in one database file. Implements `store.Deliveries`.

    Args:
        database: the open file.
        writer: the file's.
    """

    def __init__(self, database: Database, writer: Writer[Any]) -> None:
        self._lookup = Lookup(database.connect())
        self._look = Reader(database.connect(), "deliveries")
        self._writer = writer

    def of_job(self, job_id: str, after: int, limit: int) -> tuple[list[Delivery], int | None]:
        """The notifications of a job, the first one first, and the cursor of the next page if there is one."""
        rows = self._lookup.all("deliveries", job_id=job_id, after=after, limit=limit + 1)
        return [_delivery(row) for row in rows[:limit]], rows[limit - 1][-1] if len(rows) > limit else None

    async def due(self, passed: Collection[str], now: int) -> dict[str, list[str]]:
        """The ids of some that are due, by receiver, in a thread: of 100,000 it takes a third of a second."""
        return await self._look.read(lambda connection: _due(connection, passed, now))

    def next_due_at(self, now: int) -> int | None:
        """When the next one becomes due after now, in milliseconds since 1970."""
        due_at: int | None = self._lookup.one("next_delivery", now=now)[0]
        return due_at

    def find(self, delivery_id: str) -> Due | None:
        """One that waits and is due."""
        row = self._lookup.one("find_delivery", delivery_id=delivery_id, now=now_ms())
        return None if row is None else Due(*row)

    async def delivered(self, delivery: Due) -> None:
        """Waiting → Delivered."""
        await self._finish(delivery, DeliveryStatus.DELIVERED, None)

    async def failed(self, delivery: Due, error: str) -> None:
        """Waiting → Failed."""
        await self._finish(delivery, DeliveryStatus.FAILED, error)

    async def again(self, delivery: Due, error: str, due_at: int) -> None:
        """Stay Waiting, until a later time: milliseconds since 1970."""
        values = {"delivery_id": delivery.id, "tries": delivery.tries, "error": error, "due_at": due_at}
        await self._write("again", delivery, lambda connection: connection.execute(SQL["try_again"], values))

    async def _finish(self, delivery: Due, status: DeliveryStatus, error: str | None) -> None:
        values = {
            "delivery_id": delivery.id,
            "tries": delivery.tries,
            "status": status,
            "error": error,
            "now": utc_now(),
        }

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["finish_delivery"], values)
            connection.execute(SQL["forget_delivery"], {"delivery_id": delivery.id})

        await self._write("delivered" if error is None else "failed", delivery, operation)

    async def _write(self, verb: str, delivery: Due, call: Callable[[sqlite3.Connection], object]) -> None:
        await self._writer.do(call, Insisted(verb, [delivery.job_id]))

    def close(self) -> None:
        """Close the reading connections."""
        self._look.close()
        self._lookup.close()


def _due(connection: sqlite3.Connection, passed: Collection[str], now: int) -> dict[str, list[str]]:
    passing = set(passed)
    found: dict[str, dict[str, None]] = {}  # each in the order in which it was found, and once
    for _ in range(MAX_ROUNDS):
        values = {"passed": json.dumps(list(passing)), "now": now, "limit": LOOK}
        rows = connection.execute(SQL["due_deliveries"], values).fetchall()
        for delivery_id, receiver in rows:
            found.setdefault(receiver, {})[delivery_id] = None
        full = {receiver for receiver, ids in found.items() if len(ids) >= FULL} - passing
        if len(rows) < LOOK or not full:
            break
        passing |= full
    return {receiver: list(ids) for receiver, ids in found.items()}


def _delivery(row: tuple[Any, ...]) -> Delivery:
    delivery_id, attempt, url, status, tries, created_ms, due_at, finished_at, error, _ = row
    return Delivery(
        id=delivery_id,
        attempt=attempt,
        url=url,
        status=DeliveryStatus(status),
        tries=tries,
        created_at=timestamp(created_ms),
        next_try_at=UNSET if due_at is None else timestamp(due_at),
        finished_at=UNSET if finished_at is None else finished_at,
        error=UNSET if error is None else error,
    )
