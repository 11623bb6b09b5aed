"""Server-sent events: what happens to jobs, told to whoever listens.

Two kinds. A listener to one job gets the job itself, whole, each time it has changed: a change that it misses is
contained in the next, so there is nothing to buffer. A listener to all jobs gets each change, numbered. The last few
thousand are kept once, encoded, in a ring that all listeners read at their own pace: whoever falls behind the ring is
dropped, and whoever comes back says what was last (`Last-Event-ID`) and gets what followed, or is told of the gap.

While nobody listens nothing is kept, so that jobs cost the same with this file as without it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2s

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Job, Progress, Status, now_ms

RING = 4_096  # changes that are kept
CHUNK = 512  # changes that are sent at once, at most
KEPT_SECONDS = 60.0  # changes are kept for so long after the last listener left, for when it comes back
SILENCE_SECONDS = 15.0  # after which a comment is sent: what lies between ends connections on which nothing moves
RECONNECT_MS = 1_000  # what a browser is told to wait before it connects again

_ID = re.compile(r"([0-9a-f]{1,16})-([0-9]{1,18})")
_COMMENT = b":\n\n"


class JobEvent(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a job, as `GET /events` tells it: its status or, while it is Running, its progress."""

    job_id: str
    type: str
    status: Status
    attempt: int
    progress: Progress | UnsetType = UNSET


class Events:
    """The changes of all jobs, for listeners.

    Attributes:
        wanted: whether there is anybody to tell; who has changes to tell may look here first.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._epoch = f"{now_ms():x}"  # numbers begin anew with each server
        self._ring = [b""] * RING
        self._oldest = self._next = 1
        self._is_kept = False
        self._forgetting: asyncio.TimerHandle | None = None
        self._listeners: set[asyncio.Event] = set()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._stopped = False

    def tell(self, change: JobEvent) -> None:
        """Tell all who listen of a change that was saved."""
        if not self.wanted:
            return
        for changed in self._watchers.get(change.job_id, ()):
            changed.set()
        if self._is_kept:
            self._ring[self._next % RING] = b"id: %b\ndata: %b\n\n" % (
                self._id(self._next),
                msgspec.json.encode(change),
            )
            self._next += 1
            self._oldest = max(self._oldest, self._next - RING)
            for news in self._listeners:
                news.set()

    def stop(self) -> None:
        """End all streams, once they have told what was told before."""
        self._stopped = True
        for news in self._listeners.union(*self._watchers.values()):
            news.set()

    async def follow(self, last_id: str | None) -> AsyncGenerator[bytes, None]:
        """All changes from now on, as text of the stream.

        Args:
            last_id: the last event that the listener has; it gets those since, or an event `gap` where they are not
                kept any more. None: it asks for the first time.
        """
        news = asyncio.Event()
        with self._listen(news):
            position, greeting = self._resume(last_id)
            yield greeting
            while position >= self._oldest:
                news.clear()
                end = min(position + CHUNK, self._next)
                if position < end:
                    yield b"".join([self._ring[number % RING] for number in range(position, end)])
                    position = end
                elif self._stopped:
                    return
                elif not await _happens(news):
                    yield _COMMENT

    async def watch(
        self, job_id: str, last_id: str | None, find: Callable[[str], Job | None]
    ) -> AsyncGenerator[bytes, None]:
        """One job each time it has changed, until it is final, as text of the stream.

        Args:
            job_id: the job's.
            last_id: the last event that the listener has; it is not sent again.
            find: gives the job as it is; None once it was deleted, which ends the stream.
        """
        changed = asyncio.Event()
        with self._watching(job_id, changed):
            while True:
                changed.clear()
                job = find(job_id)
                if job is None:
                    return
                version = job_version(job)
                if version != last_id:
                    last_id = version
                    yield b"id: %b\ndata: %b\n\n" % (version.encode(), msgspec.json.encode(job))
                if job.status.is_final or self._stopped:
                    return
                while not await _happens(changed):
                    yield _COMMENT

    @contextmanager
    def _listen(self, news: asyncio.Event) -> Iterator[None]:
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        self._listeners.add(news)
        self._is_kept = self.wanted = True
        try:
            yield
        finally:
            self._listeners.discard(news)
            if not self._listeners:
                self._forgetting = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget)

    def _forget(self) -> None:
        self._forgetting = None
        self._is_kept = False
        self._next += 1  # so that an id from before is told of a gap: what happens from now on has no number
        self._oldest = self._next
        self._ring = [b""] * RING
        self.wanted = bool(self._watchers)

    @contextmanager
    def _watching(self, job_id: str, changed: asyncio.Event) -> Iterator[None]:
        self._watchers.setdefault(job_id, set()).add(changed)
        self.wanted = True
        try:
            yield
        finally:
            self._watchers[job_id].discard(changed)
            if not self._watchers[job_id]:
                del self._watchers[job_id]
            self.wanted = self._is_kept or bool(self._watchers)

    def _id(self, number: int) -> bytes:
        return f"{self._epoch}-{number}".encode()

    def _resume(self, last_id: str | None) -> tuple[int, bytes]:
        """Where a listener begins, and what it is told first: how to come back, and whether it has missed something."""
        retry = b"retry: %d\n" % RECONNECT_MS
        match = None if last_id is None else _ID.fullmatch(last_id)
        if match is not None and match[1] == self._epoch and self._oldest <= int(match[2]) + 1 <= self._next:
            return int(match[2]) + 1, retry + b"\n"
        gap = b"" if last_id is None else b"event: gap\ndata: {}\n"
        return self._next, retry + b"id: %b\n" % self._id(self._next - 1) + gap + b"\n"


def job_version(job: Job) -> str:
    """The id of the event that tells of the job as it is."""
    return blake2s(msgspec.json.encode(job), digest_size=8).hexdigest()


async def _happens(event: asyncio.Event) -> bool:
    """Wait for it; False when there was silence for too long."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            return await event.wait()
    except TimeoutError:
        return False
