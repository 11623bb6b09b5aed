"""The events of all jobs, as `GET /events` streams them; watchers.py has those of a single job.

Events are numbered. The last few thousand are kept once, encoded, in a ring that all listeners read at their own pace.
A listener that falls behind the ring is dropped. One that comes back names the last event that it has
(`Last-Event-ID`), and gets what followed, or is told that there is a gap.

All listeners are woken together and sent the same bytes, and the more of them there are the less often they are woken:
one alone is told at once. What then remains of the cost is one system call for each listener. With many listeners, a
job that has changed several times between two wakings is told of once, as it is then.

While nobody listens nothing is kept, so jobs cost no more than they would without this file.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.job import Progress, Status, now_ms
from asyncjob.server.refusals import Unavailable

RING = 16_384  # events that are kept
CHUNK = 4_096  # the most events that are sent at once
CHUNK_BYTES = (
    262_144  # about the most bytes that are sent at once: what a slow listener has not read is kept for it alone
)
TEXTS = 16  # joined texts that are kept until the next waking
MANY = 32  # with more listeners than this, a job is told of once a waking
MAX_LISTENERS = 1_000  # to all jobs
PAUSE_SECONDS = 500e-6  # between two wakings, for each listener
KEPT_SECONDS = 60.0  # events are kept for this long after the last listener left, in case it comes back
SILENCE_SECONDS = 15.0  # after which a comment is sent: proxies end connections on which nothing moves
RECONNECT_MS = 1_000  # how long a browser is told to wait before it connects again
COMMENT = b":\n\n"  # what a client of an event stream ignores

_ID = re.compile(r"([0-9a-f]{1,16})-([0-9]{1,18})")


class JobEvent(msgspec.Struct, frozen=True, rename="camel"):
    """What has happened to a job, as `GET /events` tells it: its new status or, while it is Running, its progress."""

    job_id: str
    type: str
    status: Status
    attempt: int
    progress: Progress | UnsetType = UNSET


class DeletedEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A job that a client has deleted, as the event `deleted` tells it."""

    job_id: str
    type: str


class Streams:
    """Counts the open streams of one kind, and bounds them.

    Args:
        what: what a refusal calls them, in the plural.
        most: how many may be open at once.
    """

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._open = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """One more is open for as long as this lasts.

        Raises:
            Unavailable: as many are open as may be.
        """
        if self._open >= self._most:
            raise Unavailable(f"{self._most:,} {self._what} are served already; try again later")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class Events:
    """The latest events of all jobs, and who listens to them.

    Attributes:
        wanted: whether events are kept; while they are not, nobody needs to tell of any.
        streams: how many streams of all jobs are open.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.streams = Streams("listeners to all jobs", MAX_LISTENERS)
        self._epoch = f"{now_ms():x}"  # numbers start again with each server
        self._ring = [b""] * RING
        self._oldest = self._next = 1
        self._shown = 1  # events before this one may be sent; the others wait for the next waking
        self._forgetting: asyncio.TimerHandle | None = None
        self._listening = 0
        self._turn = asyncio.Event()  # the next waking
        self._waking: asyncio.TimerHandle | None = None
        self._woken_at = 0.0
        self._untold: dict[str, int] = {}  # by job, the number of its event that waits for the next waking
        self._texts: dict[int, tuple[bytes, int]] = {}  # by their first event: joined once for all who ask
        self._stopped = False

    def tell(self, event: JobEvent) -> None:
        """Tell all listeners of a change that was saved."""
        self._tell(event)

    def tell_deleted(self, event: DeletedEvent) -> None:
        """Tell all listeners of a job that is there no more, by an event of another name: it has no status."""
        self._tell(event, b"event: deleted\n")

    def _tell(self, event: JobEvent | DeletedEvent, name: bytes = b"") -> None:
        if not self.wanted:
            return
        if self._listening > MANY:
            self._replace_untold(event.job_id)
        text = msgspec.json.encode(event)
        self._ring[self._next % RING] = b"id: %b\n%bdata: %b\n\n" % (self._id(self._next), name, text)
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
        """Let all listeners send what there is, or a comment if there is nothing."""
        self._woken_at = asyncio.get_running_loop().time()
        self._shown = self._next
        self._untold.clear()
        self._texts.clear()
        self._turn.set()
        self._turn = asyncio.Event()
        self._wake_in(SILENCE_SECONDS)

    def stop(self) -> None:
        """End all streams once they have sent what has happened until now."""
        self._stopped = True
        if self._listening:
            self._wake()

    async def stream(self, last_id: str | None) -> AsyncGenerator[bytes, None]:
        """All events from now on, as text of an event stream.

        Args:
            last_id: the id of the last event that the client has. It gets those that followed, or an event `gap` if
                they are not kept any more. None: it asks for the first time.
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
                        yield COMMENT

    def _text(self, start: int) -> tuple[bytes, int]:
        """The events from there on, as many as are sent at once, and where they end."""
        if start not in self._texts:
            events: list[bytes] = []
            size, end = 0, start
            while end < min(start + CHUNK, self._shown) and size < CHUNK_BYTES:
                events.append(self._ring[end % RING])
                size += len(events[-1])
                end += 1
            if len(self._texts) >= TEXTS:  # listeners that came back are all at different places
                self._texts.clear()
            self._texts[start] = b"".join(events), end
        return self._texts[start]

    @contextmanager
    def _listen(self) -> Iterator[None]:
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        self._listening += 1
        self.wanted = True
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
        self.wanted = False
        self._next += 1  # what happens from now on has no number, so ids from before must lead to a gap
        self._oldest = self._shown = self._next
        self._ring = [b""] * RING
        self._texts.clear()
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None

    def _id(self, number: int) -> bytes:
        return f"{self._epoch}-{number}".encode()

    def _resume(self, last_id: str | None) -> tuple[int, bytes]:
        """Where a listener starts, and what it is sent first: how to come back, and whether it has missed something."""
        retry = b"retry: %d\n" % RECONNECT_MS
        match = None if last_id is None else _ID.fullmatch(last_id)
        if match is not None and match[1] == self._epoch and self._oldest <= int(match[2]) + 1 <= self._next:
            return int(match[2]) + 1, retry + b"\n"
        gap = b"" if last_id is None else b"event: gap\ndata: {}\n"
        return self._next, retry + b"id: %b\n" % self._id(self._next - 1) + gap + b"\n"
