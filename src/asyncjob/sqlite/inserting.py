"""New jobs on their way into the file.

A plain job is a row of the statement `submit`, which saves many at once. One that has options, or whose function has
limits, goes through a statement of its own, so that the others pay nothing for it.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from asyncjob.contract import Submission
from asyncjob.job import timestamp
from asyncjob.sqlite.places import Place, Places
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.transaction import Told
from asyncjob.store import Duplicate, Unreadable


class Counting(Protocol):
    """A store, as far as a new job needs it."""

    pending: int
    scheduled: int

    def find_submission(self, job_id: str) -> Submission | None: ...


class Inserting:
    """A new job on its way into the file: makes the answer of `submit` of what the writer says.

    It does so in the same turn of the event loop, and not in a future's callback, because claims are told in the next.

    Attributes:
        answer: the future that `submit` returns.

    Args:
        store: which counts the job from now on, so that a burst cannot pass the limit.
        job_id: the job's.
        is_scheduled: whether it waits for a time.
        send: gives the job to the writer, which tells what became of it.
    """

    def __init__(self, store: Counting, job_id: str, is_scheduled: bool, send: Callable[[Told], None]) -> None:
        self.answer: asyncio.Future[Submission | Duplicate | None] = asyncio.get_running_loop().create_future()
        self._store = store
        self._job_id = job_id
        self._is_scheduled = is_scheduled
        self._send = send
        self._insert()

    def _insert(self) -> None:
        self._count(1)
        self._send(self)

    def _count(self, jobs: int) -> None:
        if self._is_scheduled:
            self._store.scheduled += jobs
        else:
            self._store.pending += jobs

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it belongs to."""
        return self.answer.get_loop()

    def done(self) -> bool:
        """Whether nobody needs the writer's result: never, since it is counted even if whoever waited was canceled."""
        return False

    def set_result(self, written: list[bool | Duplicate]) -> None:
        """The transaction is on the disk."""
        (saved,) = written
        if saved is True:
            self._answer(None)
            return
        self._count(-1)
        if saved is not False:
            self._answer(saved)
            return
        try:
            earlier = self._store.find_submission(self._job_id)
        except Unreadable as error:
            self._answer(error)
            return
        if earlier is None:  # purged since
            self._insert()
        else:
            self._answer(earlier)

    def set_exception(self, error: BaseException) -> None:
        """Nothing was saved."""
        self._count(-1)
        self._answer(error)

    def _answer(self, answer: "Submission | Duplicate | BaseException | None") -> None:
        if self.answer.done():  # whoever waited was canceled
            return
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


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
        "limit_key": None,
        "unique_key": None,
        "unique_in": None,
        "start_by": options.start_by_ms,
        "created_at": timestamp(now),
        "traceparent": traceparent,
        "notify": options.notify,
        "options": msgspec.json.encode(given).decode() if given.keys() - {"notify"} else None,
    }


def insert_special(connection: sqlite3.Connection, job: dict[str, Any]) -> list[bool | Duplicate]:
    """Save a new job; False if its id is taken, or the job that is the same."""
    return [connection.execute(SQL["submit_one"], job).rowcount == 1]
