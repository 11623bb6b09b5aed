"""The notifications of ended jobs, as the file keeps them.

One is written by a trigger, in the transaction that ends its job: no outcome is saved without it, and none is sent of
an outcome that was not saved. What becomes of it is written here.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import timestamp, utc_now
from asyncjob.local.database import Database, statements

_SQL = statements()

Write = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]


class DeliveryStatus(StrEnum):
    """Where a notification is: to be sent (again), answered with a 2xx, or given up."""

    WAITING = "Waiting"
    DELIVERED = "Delivered"
    FAILED = "Failed"


class Delivery(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A notification as the API shows it. `error` is what became of the last try that failed."""

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
        self._write = write

    def of_job(self, job_id: str) -> list[Delivery]:
        """Those of a job, the first one first."""
        return [_delivery(row) for row in self._reader.execute(_SQL["deliveries"], {"job_id": job_id})]

    def due_at(self, limit: int) -> list[tuple[str, int]]:
        """The ids of the next ones that wait, and when each is due, in milliseconds since 1970."""
        return list(self._reader.execute(_SQL["due_deliveries"], {"limit": limit}))

    def find(self, delivery_id: str) -> Due | None:
        """One that waits."""
        row = self._reader.execute(_SQL["find_delivery"], {"delivery_id": delivery_id}).fetchone()
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
        """Close the reading connection."""
        self._reader.close()


def _delivery(row: tuple[Any, ...]) -> Delivery:
    delivery_id, attempt, url, status, tries, created_ms, due_at, finished_at, error = row
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
