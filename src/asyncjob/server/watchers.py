"""Who waits for one job to change: `GET /jobs/{jobId}?wait=`, and the streams of that job's events.

A stream sends the job itself, whole, each time it has changed. A change that it misses is contained in the next one, so
nothing is buffered. The text is made once for all streams of a job. A stream that wants the job's log too reads it from
the store, from the line on that it has sent last, so nothing is buffered for it either.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from asyncjob.job import Job
from asyncjob.job_log import BEGIN, LogLine, Place, place_at
from asyncjob.server.events import COMMENT, SILENCE_SECONDS, Streams

ReadLog = Callable[[Place], list[LogLine]]

_LAST_ID = re.compile(r"([0-9a-f]{16}|)-([0-9]{1,18})")
MAX_STREAMS = 10_000  # of single jobs


class _Told(NamedTuple):
    """A job as its streams are told of it.

    Attributes:
        text: of the event, the same for all streams without the log.
    """

    version: str
    encoded: bytes
    text: bytes
    is_final: bool


class _Watched:
    """A job that somebody waits for."""

    def __init__(self) -> None:
        self.watchers: set[asyncio.Event] = set()
        self.readers: set[asyncio.Event] = set()  # those of them that want to know of lines, too
        self.told: _Told | None = None  # None since it changed


class Watchers:
    """The jobs that somebody waits for, and who does.

    Attributes:
        streams: how many streams of single jobs are open.
    """

    def __init__(self) -> None:
        self.streams = Streams("listeners to single jobs", MAX_STREAMS)
        self._watched: dict[str, _Watched] = {}
        self._streaming = 0
        self._stopped = False

    @property
    def any(self) -> bool:
        """Whether anybody waits for any job."""
        return bool(self._watched)

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know of every change, a start too; `?wait=` waits for the end alone."""
        return self._streaming > 0

    def wake(self, job_id: str) -> None:
        """The job has changed, and the change is saved."""
        watched = self._watched.get(job_id)
        if watched is not None:
            watched.told = None
            for changed in watched.watchers:
                changed.set()

    def wake_for_logs(self, job_ids: Iterable[str]) -> None:
        """The logs of these jobs have grown, and that is saved."""
        for job_id in job_ids if self._watched else ():
            if (watched := self._watched.get(job_id)) is not None:
                for changed in watched.readers:
                    changed.set()

    def stop(self) -> None:
        """Wake everybody; streams end once they have sent the job as it is."""
        self._stopped = True
        for job_id in self._watched:
            self.wake(job_id)

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """Watch a job for as long as this lasts.

        Returns:
            An event that is set each time the job changes; who waits for it clears it.
        """
        changed = asyncio.Event()
        watched = self._watched.setdefault(job_id, _Watched())
        watched.watchers.add(changed)
        try:
            yield changed
        finally:
            watched.watchers.discard(changed)
            watched.readers.discard(changed)
            if not watched.watchers:
                del self._watched[job_id]

    async def stream(
        self, job_id: str, last_id: str | None, find: Callable[[str], Job | None], read_log: ReadLog | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The job each time it has changed, until it is final, as text of an event stream.

        Args:
            job_id: the job's.
            last_id: the id of the last event that the client has; that one is not sent again.
            find: gives the job as it is; None once it was deleted, which ends the stream.
            read_log: gives the next lines of its log after a place, if the client wants them; empty if there are none.
        """
        last_id, place = (last_id, BEGIN) if read_log is None else parse_id(last_id)
        self._streaming += 1
        try:
            with self.watching(job_id) as changed:
                self._watched[job_id].told = None  # while no stream was open, not every change was told
                if read_log is not None:
                    self._watched[job_id].readers.add(changed)
                while True:
                    changed.clear()
                    told = self._tell(job_id, find)
                    if told is None:
                        return
                    # The job was read first: what its function has said until then is there, and is sent before it.
                    while read_log is not None and (lines := read_log(place)):
                        for line in lines:
                            place = Place(line.attempt, line.number)
                            yield _event(_id(last_id, place), msgspec.json.encode(line), b"event: log\n")
                    if told.version != last_id:
                        last_id = told.version
                        yield told.text if read_log is None else _event(_id(last_id, place), told.encoded)
                    if told.is_final or self._stopped:
                        return
                    while not await _is_set_in_time(changed):
                        yield COMMENT
        finally:
            self._streaming -= 1

    def _tell(self, job_id: str, find: Callable[[str], Job | None]) -> _Told | None:
        watched = self._watched[job_id]
        if watched.told is None:  # the first stream to get here makes the text for all
            job = find(job_id)
            if job is None:
                return None
            encoded = msgspec.json.encode(job)
            version = job_version(encoded)
            watched.told = _Told(version, encoded, _event(version, encoded), job.status.is_final)
        return watched.told


def _event(id: str, data: bytes, name: bytes = b"") -> bytes:  # noqa: A002
    return b"%bid: %b\ndata: %b\n\n" % (name, id.encode(), data)


def _id(version: str | None, place: Place) -> str:
    """Of an event on a stream with the log: which version of the job the client has, and up to which line."""
    return f"{version or ''}-{place.cursor}"


def parse_id(last_id: str | None) -> tuple[str | None, Place]:
    """What such an id says; as at the beginning, if it is none."""
    match = None if last_id is None else _LAST_ID.fullmatch(last_id)
    return (None, BEGIN) if match is None else (match[1] or None, place_at(int(match[2])))


def job_version(text: bytes) -> str:
    """Which version of a job its JSON is: the id of the event that tells of it, and its ETag."""
    return blake2b(text, digest_size=8).hexdigest()


async def _is_set_in_time(changed: asyncio.Event) -> bool:
    """Wait for the change; False if nothing happens for so long that a comment is due."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            return await changed.wait()
    except TimeoutError:
        return False
