"""New jobs on their way into the file.

A plain job is a row of the statement `submit`, which saves many at once. One that has options, or whose function has
limits, goes through a statement of its own, so that the others pay nothing for it.
"""

import asyncio
import sqlite3
from typing import Any, Protocol

import msgspec

from asyncjob.contract import Submission
from asyncjob.job import timestamp
from asyncjob.keys import limit_key
from asyncjob.sqlite import unique
from asyncjob.sqlite.gates import Gates
from asyncjob.sqlite.places import Place, Places
from asyncjob.sqlite.rows import NewJob
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.writer import Writer
from asyncjob.sqlite.writing import expire
from asyncjob.store import Duplicate, Told, Unreadable


class Counting(Protocol):
    """A store, as far as a new job needs it."""

    pending: int
    scheduled: int

    def find_submission(self, job_id: str) -> Submission | None: ...


class Inserting:
    """A new job on its way into the file: makes the answer of `submit` of what the writer says.

    It does so in the same turn of the event loop, because claims are told in the next.

    Args:
        store: which counts the job from `insert` on, so that a burst cannot pass the limit.
        row: the job.
        writer: the file's.
        told: who waits for the answer.
    """

    __slots__ = ("_row", "_store", "_told", "_writer")

    def __init__(self, store: Counting, row: NewJob, writer: Writer[Any], told: Told) -> None:
        self._store = store
        self._row = row
        self._writer = writer
        self._told = told

    def insert(self) -> None:
        """Have the row written in the next transaction."""
        self._store.pending += 1
        self._writer.tell(self, "submit", [self._row])

    def _not_inserted(self) -> None:
        self._store.pending -= 1

    @property
    def _job_id(self) -> str:
        return self._row.job_id

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it belongs to."""
        return self._told.get_loop()

    def done(self) -> bool:
        """Whether nobody needs the writer's result: never, since it is counted even if whoever waited was canceled."""
        return False

    def set_result(self, written: list[bool | Duplicate]) -> None:
        """The transaction is on the disk."""
        saved = written[0]
        if saved is True:
            if not self._told.done():
                self._told.set_result(None)
            return
        self._not_inserted()
        if saved is not False:
            self._tell(saved)
            return
        try:
            earlier = self._store.find_submission(self._job_id)
        except Unreadable as error:
            if not self._told.done():
                self._told.set_exception(error)
            return
        if earlier is None:  # purged since
            self.insert()
        else:
            self._tell(earlier)

    def set_exception(self, error: BaseException) -> None:
        """Nothing was saved."""
        self._not_inserted()
        if not self._told.done():
            self._told.set_exception(error)

    def _tell(self, earlier: Submission | Duplicate | None) -> None:
        if not self._told.done():  # whoever waited may have been canceled
            self._told.set_result(earlier)


class InsertingSpecial(Inserting):
    """The same for one that is not plain.

    Args:
        store: as above.
        job: as `special` makes it.
        writer: as above.
        gates: of functions with limits.
        told: as above.
    """

    __slots__ = ("_gates", "_job")

    def __init__(self, store: Counting, job: dict[str, Any], writer: Writer[Any], gates: Gates, told: Told) -> None:
        self._store = store
        self._job = job
        self._gates = gates
        self._writer = writer
        self._told = told

    def insert(self) -> None:
        """Have the job written in the next transaction."""
        self._count(1)
        self._writer.ask(self, lambda connection: insert_special(connection, self._gates, self._job))

    def _not_inserted(self) -> None:
        self._count(-1)

    def _count(self, jobs: int) -> None:
        if self._job["run_at"] is None:
            self._store.pending += jobs
        else:
            self._store.scheduled += jobs

    @property
    def _job_id(self) -> str:
        return str(self._job["job_id"])


def special(places: Places, job_id: str, submission: Submission, traceparent: str | None, now: int) -> dict[str, Any]:
    """The values of `submit_one` for a new job.

    Args:
        places: says where it waits.
        job_id: the job's.
        submission: what to run, and when.
        traceparent: of the trace that it belongs to.
        now: in milliseconds since 1970.
    """
    options, function = submission.options, places.function(submission.type)
    priority = options.priority
    if priority is None:
        priority = 0 if function is None else function.priority
    if options.run_at_ms is not None and options.run_at_ms > now:
        place = Place(run_at=options.run_at_ms)
    else:
        place = places.after(options.pause_ms, submission.type, priority, now)
    given = options.as_json()
    return place._asdict() | {
        "job_id": job_id,
        "type": submission.type,
        "parameters": submission.parameters,
        "priority": priority,
        "limit_key": None if function is None else limit_key(function, submission.parameters),
        **unique.columns(function, submission.parameters, now),
        "start_by": options.start_by_ms,
        "created_at": timestamp(now),
        "now": now,
        "traceparent": traceparent,
        "notify": options.notify,
        "options": msgspec.json.encode(given).decode() if given.keys() - {"notify"} else None,
    }


def insert_special(connection: sqlite3.Connection, gates: Gates, job: dict[str, Any]) -> list[bool | Duplicate]:
    """Save a new job; False if its id is taken, or the job that is the same."""
    if job["unique_in"] is not None:
        if connection.execute(SQL["find_status"], job).fetchone() is not None:
            return [False]
        find = SQL[f"same_{job['unique_in']}"]
        same = connection.execute(find, job).fetchone()
        if same is not None and same[1] is not None and same[1] < job["now"]:  # nobody waits behind what will not run
            expire(connection, gates, same[0], same[1], timestamp(job["now"]))
            same = connection.execute(find, job).fetchone()
        if same is not None:
            return [Duplicate(same[0])]
    gates.touch(job["type"], job["limit_key"])
    return [connection.execute(SQL["submit_one"], job).rowcount == 1]
