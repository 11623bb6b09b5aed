"""The reads of the file: single jobs directly, lists and counts in threads of their own.

Each kind has its own connection: in WAL mode a read waits for no write, and no count waits for a search.
"""

import json
import sqlite3
from collections.abc import Iterable
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from asyncjob.contract import ListQuery, Submission
from asyncjob.job import FINAL, Error, Job, Progress, Status, timestamp
from asyncjob.options import WIRE_NAMES, Options, parse_options
from asyncjob.sqlite.database import Database
from asyncjob.sqlite.reading import Lookup, Reader
from asyncjob.sqlite.statements import SQL
from asyncjob.store import Attempt, Lost, Shown, Suspect

PAGE_SECONDS = 1.0  # a search that takes longer ends its page early
SEARCHED = 50_000  # jobs that a search looks at before it looks at the clock again
MAX_PAGE_BYTES = 4 << 20  # a page of large jobs ends early, so that listings never fill the memory
COUNT_PAUSE = 50  # how many times as long as the counting took its result is used again
KNOWN = frozenset(WIRE_NAMES.values())
COUNTED_TYPES = 1_000  # whose counts are kept
NEVER = 2**62  # above every sequence number and every time


class _Counts(NamedTuple):
    of: dict[Status, int]
    until: float  # by the monotonic clock: when to count again


class Reads:
    """The reads of one database file.

    Args:
        database: the open file.
    """

    def __init__(self, database: Database) -> None:
        self._lookup = Lookup(database.connect())
        self._lists = Reader(database.connect(), "list")
        self._counter = Reader(database.connect(), "count")
        self._counts: dict[str | None, _Counts] = {}  # by type, and of all jobs

    def find(self, job_id: str) -> Job | None:
        """The job as it was last saved."""
        row = self._lookup.one("find", job_id=job_id)
        return None if row is None else job_of(row)

    def show(self, job_id: str) -> Shown | None:
        """The job as it was last saved, as JSON."""
        row = self._lookup.shared("show", {"job_id": job_id})
        return None if row is None else Shown(row[0], row[1] in FINAL, row[2])

    def find_submission(self, job_id: str) -> Submission | None:
        """What a job was submitted with."""
        row = self._lookup.one("find_request", job_id=job_id)
        if row is None:
            return None
        name, parameters, notify, options = row
        given = Options(notify=notify) if options is None else parse_options(msgspec.json.decode(options), KNOWN)
        return Submission(job_id, name, parameters, given)

    @property
    def limited(self) -> int:
        """How many jobs wait before the gates of their functions."""
        return int(self._lookup.one("count_limited")[0])

    async def page(self, query: ListQuery) -> tuple[list[Job], int | None]:
        """A page of jobs, the newest first, and the cursor of the next page if there is one."""
        return await self._lists.read(lambda connection: self._page(connection, query))

    @property
    def waiting_pages(self) -> int:
        """How many pages were asked for and are not read yet."""
        return self._lists.waiting

    def _page(self, connection: sqlite3.Connection, query: ListQuery) -> tuple[list[Job], int | None]:
        of_type = "" if query.type is None else "_of_type"
        by_status = "" if query.status is None else f"_by_status.{query.status}"
        before = NEVER if query.before is None else query.before
        until = monotonic() + PAGE_SECONDS
        jobs: list[Job] = []
        size, last = 0, None
        while True:
            values = {"before": before, "type": query.type}
            (newest,) = connection.execute(SQL[f"newest{of_type}"], values).fetchone()
            if newest is None:
                return jobs, None
            if monotonic() > until:
                return jobs, before
            least = newest - SEARCHED + 1
            for row in connection.execute(SQL[f"list{of_type}{by_status}"], values | {"least": least}):
                if len(jobs) == query.limit or size > MAX_PAGE_BYTES:
                    return jobs, last
                jobs.append(job_of(row))
                size += len(row[3]) + len(row[5] or "")
                last = row[-1]
            before = least

    def earlier_attempts(self, job_id: str, after: int, limit: int) -> tuple[list[Attempt], bool]:
        """The attempts before the current one, the first one first, and whether to ask again for more."""
        attempts: list[Attempt] = []
        size = 0
        rows = self._lookup.each("earlier_attempts", job_id=job_id, after=after, limit=limit)
        for number, status, started_at, finished_at, error in rows:
            attempts.append(Attempt(number, Status(status), _given(started_at), finished_at, _error(error)))
            size += len(error or "")
            if len(attempts) == limit or size > MAX_PAGE_BYTES:
                return attempts, True
        return attempts, False

    def lost(self) -> list[Lost]:
        """All jobs that are Running, since no other server has the file."""
        return [Lost(*row) for row in self._lookup.all("running")]

    def suspects(self, types: Iterable[str]) -> list[Suspect]:
        """The suspects of these types that wait."""
        return [Suspect(*row) for row in self._lookup.all("suspects", types=json.dumps(list(types)))]

    async def counts(self, of_type: str | None = None) -> dict[Status, int]:
        """How many jobs there are of each status, of one type or of all.

        To count a million jobs takes a fiftieth of a second. The result is used again for 50 times as long as the
        counting took, so a client that asks all the time costs a fiftieth of a core, however many jobs there are.
        """
        known = self._counts.get(of_type)
        if known is not None and monotonic() < known.until:
            return known.of
        return await self._counter.read(lambda connection: self._count(connection, of_type))

    def _count(self, connection: sqlite3.Connection, of_type: str | None) -> dict[Status, int]:
        begin = monotonic()
        known = self._counts.get(of_type)
        if known is not None and begin < known.until:  # counted while this waited for its turn
            return known.of
        name = "count" if of_type is None else "count_of_type"
        total, *counts = connection.execute(SQL[name], {"type": of_type}).fetchone()
        pending, running, failed, canceled = counts
        counted = {
            Status.PENDING: pending,
            Status.RUNNING: running,
            Status.SUCCESS: total - sum(counts),
            Status.FAILURE: failed,
            Status.CANCELED: canceled,
        }
        if len(self._counts) >= COUNTED_TYPES:  # a client asks for types that do not exist
            self._counts.clear()
        self._counts[of_type] = _Counts(counted, begin + COUNT_PAUSE * (monotonic() - begin))
        return counted

    def close_reads(self) -> None:
        """End all reads and close the connections."""
        self._lists.close()
        self._counter.close()
        self._lookup.close()


def job_of(row: tuple[Any, ...]) -> Job:
    """The job of a row that begins with the columns `{shown}` of statements.sql."""
    job_id, name, status, parameters, progress, results, error, attempt, priority, created_at, run_at, *more = row
    start_by, started_at, finished_at = more[:3]
    return Job(
        job_id=job_id,
        type=name,
        status=Status(status),
        parameters=Raw(parameters),
        progress=UNSET if progress is None else msgspec.json.decode(progress, type=Progress),
        results=UNSET if results is None else Raw(results),
        error=_error(error),
        attempt=attempt,
        priority=priority or UNSET,
        created_at=created_at,
        run_at=UNSET if run_at is None else timestamp(run_at),
        start_by=UNSET if start_by is None else timestamp(start_by),
        started_at=_given(started_at),
        finished_at=_given(finished_at),
    )


def _given(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _error(text: str | None) -> Error | UnsetType:
    return UNSET if text is None else msgspec.json.decode(text, type=Error)
