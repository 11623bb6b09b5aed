"""Server-sent events: what happens to jobs, told to whoever listens.

Two kinds. A listener to one job gets the job itself, whole, each time it has changed: a change that it misses is
contained in the next, so there is nothing to buffer. A listener to all jobs gets each change, numbered. The last few
thousand are kept once, encoded, in a ring that all listeners read at their own pace: whoever falls behind the ring is
dropped, and whoever comes back says what was last (`Last-Event-ID`) and gets what followed, or is told of the gap.

Each change is encoded once. Listeners are woken together, and the more there are the less often: what a waking costs is
then shared by all that has happened meanwhile. One alone is told at once. What one is sent is what the others are sent,
the same bytes; what is left of the cost is to hand these to the system once for each. Where there are many listeners, a
job that has changed several times from one waking to the next is told of once, as it is then.

While nobody listens nothing is kept, so that jobs cost the same with this file as without it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2s

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.contract import RETRY_AFTER_SECONDS, ApiError
from asyncjob.job import Job, Progress, Status, now_ms

RING = 16_384  # changes that are kept
CHUNK = 4_096  # changes that are sent at once, at most
CHUNK_BYTES = 262_144  # and about so much: what a slow listener has not read yet is kept for it alone
TEXTS = 16  # that are kept until the next waking
MANY = 32  # listeners, above which a job is told of once a waking
MAX_LISTENERS = 1_000  # to all jobs
MAX_WATCHERS = 10_000  # of single jobs
PAUSE_SECONDS = 500e-6  # for each listener, from one waking of all to the next
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


class Streams:
    """How many streams there are of a kind, and may be.

    Args:
        what: they are, in the plural.
        most: may be open at once.
    """

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._open = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """One more, for as long as this lasts.

        Raises:
            ApiError: 503, there are too many.
        """
        if self._open >= self._most:
            message = f"{self._most:,} {self._what} are served already; try again later"
            raise ApiError(503, message, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class _Watch:
    """One job that is watched: who waits for its next change, and what all of them are told of it."""

    def __init__(self) -> None:
        self.watchers: set[asyncio.Event] = set()
        self.told: tuple[str, bytes, bool] | None = None  # the version, the text, whether it is final


class Events:
    """The changes of all jobs, for listeners.

    Attributes:
        wanted: whether there is anybody to tell; who has changes to tell may look here first.
        listeners: the streams of all jobs.
        watchers: the streams of single jobs.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.listeners = Streams("listeners to all jobs", MAX_LISTENERS)
        self.watchers = Streams("listeners to single jobs", MAX_WATCHERS)
        self._epoch = f"{now_ms():x}"  # numbers begin anew with each server
        self._ring = [b""] * RING
        self._oldest = self._next = 1
        self._shown = 1  # what lies before it may be sent; the rest waits for the next waking
        self._is_kept = False
        self._forgetting: asyncio.TimerHandle | None = None
        self._listening = 0
        self._turn = asyncio.Event()  # the next waking, which all wait for
        self._waking: asyncio.TimerHandle | None = None
        self._woken_at = 0.0
        self._untold: dict[str, int] = {}  # by job, the number of its change that waits for the next waking
        self._texts: dict[int, tuple[bytes, int]] = {}  # by where they begin: put together once for all who ask
        self._watched: dict[str, _Watch] = {}
        self._stopped = False

    def tell(self, change: JobEvent) -> None:
        """Tell all who listen of a change that was saved."""
        if not self.wanted:
            return
        watch = self._watched.get(change.job_id)
        if watch is not None:
            watch.told = None
            for changed in watch.watchers:
                changed.set()
        if self._is_kept:
            if self._listening > MANY:
                self._replace_untold(change.job_id)
            self._ring[self._next % RING] = b"id: %b\ndata: %b\n\n" % (
                self._id(self._next),
                msgspec.json.encode(change),
            )
            self._next += 1
            self._oldest = max(self._oldest, self._next - RING)
            if not self._listening:
                self._shown = self._next
            elif self._shown == self._next - 1:  # the first one since the last waking
                self._wake_in(self._woken_at + PAUSE_SECONDS * self._listening - asyncio.get_running_loop().time())

    def _replace_untold(self, job_id: str) -> None:
        earlier = self._untold.get(job_id, 0)
        if earlier >= self._oldest:
            self._ring[earlier % RING] = b""
        self._untold[job_id] = self._next

    def _wake_in(self, seconds: float) -> None:
        if self._waking is not None:
            self._waking.cancel()
        self._waking = asyncio.get_running_loop().call_later(max(0.0, seconds), self._wake)

    def _wake(self) -> None:
        """Let all listeners send what there is; where there is nothing, a comment."""
        self._woken_at = asyncio.get_running_loop().time()
        self._shown = self._next
        self._untold.clear()
        self._texts.clear()
        self._turn.set()
        self._turn = asyncio.Event()
        self._wake_in(SILENCE_SECONDS)

    def stop(self) -> None:
        """End all streams, once they have told what was told before."""
        self._stopped = True
        if self._listening:
            self._wake()
        for watch in self._watched.values():
            for changed in watch.watchers:
                changed.set()

    async def follow(self, last_id: str | None) -> AsyncGenerator[bytes, None]:
        """All changes from now on, as text of the stream.

        Args:
            last_id: the last event that the listener has; it gets those since, or an event `gap` where they are not
                kept any more. None: it asks for the first time.
        """
        with self._listen():
            position, greeting = self._resume(last_id)
            yield greeting
            while position >= self._oldest:
                if position < self._shown:
                    text, position = self._text(position)
                    yield text
                elif self._stopped:
                    return
                else:
                    await self._turn.wait()
                    if position >= self._shown and not self._stopped:
                        yield _COMMENT

    def _text(self, start: int) -> tuple[bytes, int]:
        """Changes from there on, as many as are sent at once, and where they end."""
        if start not in self._texts:
            changes: list[bytes] = []
            size, end = 0, start
            while end < min(start + CHUNK, self._shown) and size < CHUNK_BYTES:
                changes.append(self._ring[end % RING])
                size += len(changes[-1])
                end += 1
            if len(self._texts) >= TEXTS:  # listeners that came back are each somewhere else
                self._texts.clear()
            self._texts[start] = b"".join(changes), end
        return self._texts[start]

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
        with self._watching(job_id, changed) as watch:
            while True:
                changed.clear()
                if watch.told is None:  # by the first of the watchers that gets here
                    job = find(job_id)
                    if job is None:
                        return
                    watch.told = _told(job)
                version, text, is_final = watch.told
                if version != last_id:
                    last_id = version
                    yield text
                if is_final or self._stopped:
                    return
                while not await _happens(changed):
                    yield _COMMENT

    @contextmanager
    def _listen(self) -> Iterator[None]:
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        self._listening += 1
        self._is_kept = self.wanted = True
        if self._waking is None:
            self._wake_in(SILENCE_SECONDS)
        try:
            yield
        finally:
            self._listening -= 1
            if not self._listening:
                self._forgetting = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget)

    def _forget(self) -> None:
        self._forgetting = None
        self._is_kept = False
        self._next += 1  # so that an id from before is told of a gap: what happens from now on has no number
        self._oldest = self._shown = self._next
        self._ring = [b""] * RING
        self._texts.clear()
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        self.wanted = bool(self._watched)

    @contextmanager
    def _watching(self, job_id: str, changed: asyncio.Event) -> Iterator[_Watch]:
        watch = self._watched.setdefault(job_id, _Watch())
        watch.watchers.add(changed)
        self.wanted = True
        try:
            yield watch
        finally:
            watch.watchers.discard(changed)
            if not watch.watchers:
                del self._watched[job_id]
            self.wanted = self._is_kept or bool(self._watched)

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


def _told(job: Job) -> tuple[str, bytes, bool]:
    version = job_version(job)
    return version, b"id: %b\ndata: %b\n\n" % (version.encode(), msgspec.json.encode(job)), job.status.is_final


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
