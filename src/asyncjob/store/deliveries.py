"""The notifications of ended jobs: their contents, their records, and what a store does with them."""

import re
import secrets
from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Error, Job, Status, milliseconds

_RECEIVER = re.compile("[^/?#]*")  # a URL's host and port, between :// and the next of these


class DeliveryStatus(StrEnum):
    """The status of a notification: it will be sent (again), was answered with a 2xx, or was given up."""

    WAITING = "Waiting"
    DELIVERED = "Delivered"
    FAILED = "Failed"


class Delivery(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A notification as the API shows it. `error` says why the last try failed."""

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
    """A notification to send.

    Attributes:
        id: the same for each try, so that a receiver knows what it has already seen.
        body: the text to sign and send.
        created_ms: when the job ended, in milliseconds since 1970.
        tries: how often it was tried.
    """

    id: str
    job_id: str
    url: str
    body: str
    created_ms: int
    tries: int


class Deliveries(Protocol):
    """What a store does with notifications. Reads raise Unreadable.

    The write that ends a job which has a `notify` also saves its notification (`notification_of`), Waiting and due at
    once. Neither is ever saved without the other. When a job is purged, its waiting notifications stay.

    Writes go on until they are saved, as in `Store`. They change only notifications that are Waiting.
    """

    def of_job(self, job_id: str, after: int, limit: int) -> tuple[list[Delivery], int | None]:
        """A page of the notifications of a job, the first one first.

        Args:
            job_id: the job's.
            after: the cursor; 0 for the first page.
            limit: how many at most.

        Returns:
            The page, and the cursor of the next one if there is one.
        """

    async def due(self, passed: Collection[str], now: int) -> dict[str, list[str]]:
        """The ids of some notifications that are due, by receiver, the one that was due first before the others.

        If a receiver has very many, only some of them are returned, and they hide no other receiver's.

        Args:
            passed: receivers to leave out, as `receiver` names them.
            now: milliseconds since 1970.
        """

    def next_due_at(self, now: int) -> int | None:
        """When the next notification becomes due after now, in milliseconds since 1970; None if none does."""

    def find(self, delivery_id: str) -> Due | None:
        """The notification, if it is Waiting and due."""

    async def delivered(self, delivery: Due) -> None:
        """Waiting → Delivered, with `delivery.tries`."""

    async def failed(self, delivery: Due, error: str) -> None:
        """Waiting → Failed, with `delivery.tries`."""

    async def again(self, delivery: Due, error: str, due_at: int) -> None:
        """Stay Waiting, with `delivery.tries`, until a later time: milliseconds since 1970."""


class Notification(NamedTuple):
    """A new notification for a store to save: Waiting, never tried, due at once.

    Attributes:
        attempt: the attempt that ended.
        receiver: as `receiver` names it.
        body: the text to sign and send.
        created_ms: when the job ended, in milliseconds since 1970.
    """

    id: str
    job_id: str
    attempt: int
    url: str
    receiver: str
    body: str
    created_ms: int


class _Data(msgspec.Struct, rename="camel", omit_defaults=True):
    """The job as `GET` shows it, without the parameters and results, which may be large, and the progress."""

    job_id: str
    type: str
    status: Status
    error: Error | UnsetType
    attempt: int
    created_at: str
    started_at: str | UnsetType
    finished_at: str | UnsetType


class _Body(msgspec.Struct):
    type: str
    timestamp: str
    data: _Data


def notification_of(job: Job, url: str) -> Notification:
    """The notification for a job that has just become final, to the URL that it names."""
    assert job.finished_at is not UNSET
    data = _Data(**{name: getattr(job, name) for name in _Data.__struct_fields__})
    body = _Body(f"job.{job.status.lower()}", job.finished_at, data)
    return Notification(
        id=f"msg_{secrets.token_hex(16)}",
        job_id=job.job_id,
        attempt=job.attempt,
        url=url,
        receiver=receiver(url),
        body=msgspec.json.encode(body).decode(),
        created_ms=milliseconds(job.finished_at),
    )


def receiver(url: str) -> str:
    """The host and port of a URL, in lower case. Notifications to the same receiver share its limit of tries."""
    match = _RECEIVER.match(url.partition("://")[2])
    assert match is not None  # the pattern matches any text
    return match[0].lower()
