"""The notifications of the store in memory."""

from collections.abc import Collection

from msgspec import UNSET, UnsetType

from asyncjob.job import now_ms, timestamp, utc_now
from asyncjob.store import (
    Delivery,
    DeliveryStatus,
    Due,
)
from tests.store.memory_kept import Kept, Sent


class MemoryDeliveries:
    """The notifications in memory."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def of_job(self, job_id: str, after: int, limit: int) -> tuple[list[Delivery], int | None]:
        found = [one for one in self._kept.told.values() if one.new.job_id == job_id and one.sequence > after]
        return [_shown(one) for one in found[:limit]], found[limit - 1].sequence if len(found) > limit else None

    async def due(self, passed: Collection[str], now: int) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in sorted(self._waiting(), key=lambda one: one.due_at):
            if one.due_at <= now and one.new.receiver not in passed:
                found.setdefault(one.new.receiver, []).append(one.new.id)
        return found

    def next_due_at(self, now: int) -> int | None:
        return min((one.due_at for one in self._waiting() if one.due_at > now), default=None)

    def find(self, delivery_id: str) -> Due | None:
        one = self._kept.told.get(delivery_id)
        if one is None or one.status is not DeliveryStatus.WAITING or one.due_at > now_ms():
            return None
        return Due(one.new.id, one.new.job_id, one.new.url, one.new.body, one.new.created_ms, one.tries)

    async def delivered(self, delivery: Due) -> None:
        self._finish(delivery, DeliveryStatus.DELIVERED, UNSET)

    async def failed(self, delivery: Due, error: str) -> None:
        self._finish(delivery, DeliveryStatus.FAILED, error)

    async def again(self, delivery: Due, error: str, due_at: int) -> None:
        one = self._kept.told.get(delivery.id)
        if one is not None and one.status is DeliveryStatus.WAITING:
            one.tries, one.error, one.due_at = delivery.tries, error, due_at

    def _finish(self, delivery: Due, status: DeliveryStatus, error: str | UnsetType) -> None:
        one = self._kept.told.get(delivery.id)
        if one is not None and one.status is DeliveryStatus.WAITING:
            one.status, one.tries, one.error, one.finished_at = status, delivery.tries, error, utc_now()
            if delivery.job_id not in self._kept.jobs:
                del self._kept.told[delivery.id]

    def forget(self, job_id: str) -> None:
        """Delete the finished notifications of a job that is gone."""
        for one in list(self._kept.told.values()):
            if one.new.job_id == job_id and one.status is not DeliveryStatus.WAITING:
                del self._kept.told[one.new.id]

    def _waiting(self) -> list[Sent]:
        return [one for one in self._kept.told.values() if one.status is DeliveryStatus.WAITING]


def _shown(one: Sent) -> Delivery:
    return Delivery(
        id=one.new.id,
        attempt=one.new.attempt,
        url=one.new.url,
        status=one.status,
        tries=one.tries,
        created_at=timestamp(one.new.created_ms),
        next_try_at=timestamp(one.due_at) if one.status is DeliveryStatus.WAITING else UNSET,
        finished_at=one.finished_at,
        error=one.error,
    )
