"""The stores that the suite tests, and what a test uses to talk to one.

To test another store, add a line to PLACES.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import UNSET, json

from asyncjob.contract import Submission
from asyncjob.job import Error, Job, Status
from asyncjob.options import NONE, Options
from asyncjob.registry import JobFunction, Jobs
from asyncjob.sqlite.store import SqliteStore
from asyncjob.sqlite.transaction import Item
from asyncjob.store import Claim, Claims, Duplicate, Observer, Store, Success, Suspect
from tests.store.memory import MemoryStore
from tests.store.memory_kept import Kept

ERROR = Error("ValueError", "no")

Open = Callable[[], Store]


def _memory(folder: Path) -> Open:
    kept = Kept()
    return lambda: MemoryStore(kept)


class Slow(SqliteStore):
    """On a disk so slow that all is written in the writer's thread, and nothing in the event loop."""

    def _short(self, connection: sqlite3.Connection, batch: Sequence[Item]) -> None:
        return None


# Each makes a place for jobs and returns a function that opens it, again and again if it was closed before.
PLACES: dict[str, Callable[[Path], Open]] = {
    "sqlite": lambda folder: lambda: SqliteStore(folder / "jobs.db"),
    "slow_sqlite": lambda folder: lambda: Slow(folder / "jobs.db"),
    "memory": _memory,
}


class Opened:
    """An open store, and everything that it has claimed.

    Args:
        open: opens the place; called again by `reopen`.
    """

    def __init__(self, open: Open) -> None:
        self._open = open
        self.store = open()
        self.claims: list[Claim] = []
        self.expired: list[str] = []
        self.suspects: list[Suspect] = []
        self._seen = 0
        self.next_due: int | None = None
        self.wanting: Mapping[str, int] = {}
        self._told = asyncio.Event()

    async def start(self) -> None:
        await self.store.start(Observer(self._claim))

    async def reopen(self) -> None:
        """Close and open the store, as the end of a server and the start of the next do."""
        await self.store.close()
        self.store = self._open()
        await self.start()

    def _claim(self, claims: Claims) -> None:
        self.claims += claims.jobs
        self.expired += [job.job_id for job in claims.expired]
        self.suspects += claims.suspects
        self.next_due = claims.next_due
        self.wanting = self.wanting if claims.wanting is None else claims.wanting
        self._told.set()

    @property
    def claimed(self) -> list[tuple[str, int]]:
        return [(job.job_id, job.attempt) for job in self.claims]

    def newly_claimed(self) -> list[str]:
        """The jobs that have been claimed since this was last asked."""
        before, self._seen = self._seen, len(self.claims)
        return [claim.job_id for claim in self.claims[before:]]

    async def submit(
        self,
        job_id: str,
        parameters: bytes = b"{}",
        type: str = "echo",
        notify: str | None = None,
        **options: Any,
    ) -> Submission | Duplicate | None:
        given = Options(notify=notify, **options) if notify or options else NONE
        return await self.store.submit(job_id, Submission(UNSET, type, parameters, given))

    async def take_over(self, *functions: str | JobFunction) -> dict[str, int]:
        """Begin as a server with these functions; a name stands for one that has no limits."""
        return await self.store.take_over([function_of(one) if isinstance(one, str) else one for one in functions])

    async def claim(self, slots: int = 1) -> None:
        """Offer slots, and wait for the next transaction."""
        self._told.clear()
        self.store.offer(slots)
        self.store.wake()
        await self._told.wait()

    async def claim_all(self, count: int) -> None:
        """Offer slots until that many jobs have been claimed in all, and wait for it."""
        self.store.offer(count - len(self.claims))
        self.store.wake()
        while len(self.claims) < count:
            self._told.clear()
            await self._told.wait()

    async def run(self, job_id: str, type: str = "echo", notify: str | None = None) -> None:
        """Submit a job and have it claimed. No other job may be due."""
        await self.submit(job_id, type=type, notify=notify)
        await self.claim_all(len(self.claims) + 1)
        assert self.status(job_id)[0] is Status.RUNNING

    def job(self, job_id: str) -> Job:
        job = self.store.find(job_id)
        assert job is not None
        assert self.store.show(job_id) == (json.encode(job), job.status.is_final, job.created_at)
        return job

    def status(self, job_id: str) -> tuple[Status, int]:
        job = self.job(job_id)
        return job.status, job.attempt


async def apply(opened: Opened, name: str, job_id: str, attempt: int) -> bool:
    """Try one transition of an attempt. True if the store wrote it."""
    store = opened.store
    if name == "claim":
        before = len(opened.claims)
        await opened.claim()
        store.offer(-1 if len(opened.claims) == before else 0)
        return len(opened.claims) > before
    if name == "succeed":
        return (await store.succeed([Success(job_id, attempt, b"1")]))[0]
    if name == "fail":
        return await store.fail(job_id, attempt, ERROR)
    if name == "repeat":
        return await store.repeat(job_id, attempt, 0, ERROR)
    if name == "postpone":
        return await store.postpone(job_id, attempt, 0, ERROR) is not None
    if name == "release":
        return await store.release(job_id, attempt, ERROR)
    change = await (store.cancel(job_id) if name == "cancel" else store.retry(job_id))
    return change.applied


def function_of(name: str, **policies: Any) -> JobFunction:
    """A job function with this name and these policies; its parameters are `key` and `value`."""

    def function(key: str = "", value: int = 0) -> None: ...

    jobs = Jobs()
    jobs.job(name=name, **policies)(function)
    return jobs[name]


# How a new job gets to each status.
ROADS: dict[Status, list[str]] = {
    Status.PENDING: [],
    Status.RUNNING: ["claim"],
    Status.SUCCESS: ["claim", "succeed"],
    Status.FAILURE: ["claim", "fail"],
    Status.CANCELED: ["cancel"],
}


async def submit_keyed(opened: Opened, *job_ids: str, **options: Any) -> None:
    """Jobs whose key is what comes before the dash in their id."""
    for job_id in job_ids:
        assert await opened.submit(job_id, b'{"key":"%b"}' % job_id.partition("-")[0].encode(), **options) is None


async def claimed_now(opened: Opened, slots: int = 0) -> list[str]:
    """What has been claimed since this was last asked, with so many more slots."""
    await opened.claim(slots)
    for _ in range(3):  # the next transaction may go on
        await opened.claim(0)
    return opened.newly_claimed()
