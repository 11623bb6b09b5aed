"""The notifications of ended jobs, as the file keeps them.

One is written by a trigger, in the transaction that ends its job: no outcome is saved without it, and none is sent of
an outcome that was not saved. What becomes of it is written here.
"""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import now_ms, timestamp, utc_now
from asyncjob.sqlite.database import Database, statements
from asyncjob.sqlite.reading import Reader

LOOK = 512  # notifications that one look takes, of all receivers
FULL = LOOK // 2  # of one receiver: the rest of its are passed over, so that they hide nobody else's
MAX_ROUNDS = 4  # of a look, each of which may find another receiver to pass over

_SQL = statements()

Write = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]


class DeliveryStatus(StrEnum):
    """Where a notification is: to be sent (again), answered with a 2xx, or given up."""

    WAITING = "Waiting"
    DELIVERED = "Delivered"
    FAILED = "Failed"


class Delivery(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A notification as the API shows it. `error` is what became of the last try, unless it was delivered."""

    id: str
    attempt: int
    url: str
    status: DeliveryStatus
    tries: int
    created_at: str
    next_try_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Due(NamedTuple):
    """A notification that is to be sent.

    Attributes:
        id: the same for each try: what a receiver has seen already, it knows by it.
        body: the text that is signed and sent.
        created_ms: when its job ended, in milliseconds since 1970.
        tries: how often it was tried.
    """

    id: str
    job_id: str
    url: str
    body: str
    created_ms: int
    tries: int


class Deliveries:
    """The notifications in one database file.

    Args:
        database: the open file.
        write: saves in the next transaction.
    """

    def __init__(self, database: Database, write: Write) -> None:
        self._reader = database.connect()
        self._look = Reader(database.connect(), "deliveries")
        self._write = write

    def of_job(self, job_id: str, after: int, limit: int) -> tuple[list[Delivery], int | None]:
        """Those of a job, the first one first.

        Args:
            job_id: the job's.
            after: the cursor; 0 for the first page.
            limit: how many at most.

        Returns:
            They, and the cursor of the next page if there is one.
        """
        values = {"job_id": job_id, "after": after, "limit": limit + 1}
        rows = self._reader.execute(_SQL["deliveries"], values).fetchall()
        return [_delivery(row) for row in rows[:limit]], rows[limit - 1][-1] if len(rows) > limit else None

    async def due(self, passed: Collection[str], now: int) -> dict[str, list[str]]:
        """The ids of some that are due, by receiver, the longest due first; of no receiver all, if it has very many.

        A hundred thousand of one receiver are read past in a third of a second, in a thread of its own.

        Args:
            passed: receivers of which none are wanted.
            now: milliseconds since 1970.
        """
        return await self._look.read(lambda connection: _due(connection, passed, now))

    def next_due_at(self, now: int) -> int | None:
        """When the next one is due after now, in milliseconds since 1970."""
        due_at: int | None = self._reader.execute(_SQL["next_delivery"], {"now": now}).fetchone()[0]
        return due_at

    def find(self, delivery_id: str) -> Due | None:
        """One that is due."""
        values = {"delivery_id": delivery_id, "now": now_ms()}
        row = self._reader.execute(_SQL["find_delivery"], values).fetchone()
        return None if row is None else Due(*row)

    async def delivered(self, delivery: Due) -> None:
        """Waiting → Delivered."""
        await self._finish(delivery, DeliveryStatus.DELIVERED, None)

    async def failed(self, delivery: Due, error: str) -> None:
        """Waiting → Failed."""
        await self._finish(delivery, DeliveryStatus.FAILED, error)

    async def again(self, delivery: Due, error: str, due_at: int) -> None:
        """Waiting, for a later time: milliseconds since 1970."""
        values = {"delivery_id": delivery.id, "tries": delivery.tries, "error": error, "due_at": due_at}
        await self._write(lambda connection: connection.execute(_SQL["try_again"], values))

    async def _finish(self, delivery: Due, status: DeliveryStatus, error: str | None) -> None:
        values = {
            "delivery_id": delivery.id,
            "tries": delivery.tries,
            "status": status,
            "error": error,
            "now": utc_now(),
        }

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(_SQL["finish_delivery"], values)
            connection.execute(_SQL["forget_delivery"], {"delivery_id": delivery.id})

        await self._write(operation)

    def close(self) -> None:
        """Close the reading connections."""
        self._look.close()
        self._reader.close()


def _due(connection: sqlite3.Connection, passed: Collection[str], now: int) -> dict[str, list[str]]:
    passing = set(passed)
    found: dict[str, dict[str, None]] = {}  # each in the order in which it was found, and once
    for _ in range(MAX_ROUNDS):
        values = {"passed": json.dumps(list(passing)), "now": now, "limit": LOOK}
        rows = connection.execute(_SQL["due_deliveries"], values).fetchall()
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
