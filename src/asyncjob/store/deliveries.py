"""The notifications of ended jobs: what they say, and what a store does with them."""

import re
import secrets
from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Error, Job, Status, milliseconds

_RECEIVER = re.compile("[^/?#]*")  # what lies between :// and the next of these


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


class Deliveries(Protocol):
    """The notifications of ended jobs. Reads raise Unreadable.

    The write that ends a job with a `notify` saves its notification too (`notification_of`), Waiting and
    due at once: no outcome is saved without it, and none without an outcome. A job that is purged leaves those of its
    notifications that still wait.

    The verbs that write do so until it is saved, and change nothing of a notification that does not wait.
    """

    def of_job(self, job_id: str, after: int, limit: int) -> tuple[list[Delivery], int | None]:
        """Those of a job, the first one first.

        Args:
            job_id: the job's.
            after: a cursor; 0 for the first page.
            limit: how many at most.

        Returns:
            They, and the cursor of the next page if there is one.
        """

    async def due(self, passed: Collection[str], now: int) -> dict[str, list[str]]:
        """The ids of some that are due, by receiver, the longest due first; of no receiver all, if it has very many.

        Args:
            passed: receivers (`receiver`) of which none are wanted.
            now: milliseconds since 1970.
        """

    def next_due_at(self, now: int) -> int | None:
        """When the next one becomes due after now, in milliseconds since 1970; None if none does."""

    def find(self, delivery_id: str) -> Due | None:
        """One that waits and is due."""

    async def delivered(self, delivery: Due) -> None:
        """Waiting → Delivered, with `delivery.tries`."""

    async def failed(self, delivery: Due, error: str) -> None:
        """Waiting → Failed, with `delivery.tries`."""

    async def again(self, delivery: Due, error: str, due_at: int) -> None:
        """Stay Waiting, with `delivery.tries`, until a later time: milliseconds since 1970."""


class Notification(NamedTuple):
    """A new notification, as a store saves it: Waiting, never tried, due at once.

    Attributes:
        attempt: the one that ended.
        receiver: as `receiver` says it.
        body: the text that is signed and sent.
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
    """The job as `GET` shows it, without what may be large or is over: parameters, results, progress."""

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
    """What the receiver at that URL is told of a job that has just become final."""
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
    """The host and port of a URL, in lower case: notifications of one receiver take turns."""
    match = _RECEIVER.match(url.partition("://")[2])
    assert match is not None  # it matches nothing at all, too
    return match[0].lower()
