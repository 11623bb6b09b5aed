"""The store in one SQLite file: the writes, named after their transitions. The reads are in reads.py.

Writes go to the writer's thread and return a future. Reads have their own connections, which in WAL mode wait for no
write. Each transaction ends by claiming as many waiting jobs as there are slots. So if a worker is free, the commit
that saves a job claims it too.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from asyncjob.contract import Submission
from asyncjob.job import TRANSITIONS, Error, Progress, Status, now_ms, timestamp, utc_now
from asyncjob.sqlite.database import Database
from asyncjob.sqlite.deliveries import SqliteDeliveries
from asyncjob.sqlite.notifying import tell
from asyncjob.sqlite.reads import NEVER, Reads
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.transaction import EndedJob, Insisted, Item, NewJob, Results, Taken, Transaction
from asyncjob.sqlite.writer import Writer
from asyncjob.store import FIRST, Change, Lost, Observer, Success, Suspect, Told, Unreadable, Unusable


class SqliteStore(Reads):
    """The jobs in one database file, which no other server can open in the meantime. Implements `store.Store`.

    Args:
        path: the file; it is created if it does not exist.

    Raises:
        Unusable: another server has the file, it is not ours, or it cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        try:
            super().__init__(self._database)
            self.pending: int = self._lookup.one("count_pending")[0]
            self._writer = Writer(self._database.connect(), self._transact, self._committed, self._tell_claims)
            self.deliveries = SqliteDeliveries(self._database, self._writer)
        except (sqlite3.Error, Unreadable) as error:  # only the first page was read before
            self._database.close()
            raise Unusable(f"cannot read {self._database.path}: {error}") from error
        self._observer = Observer()
        self._slots = 0
        self._slots_lock = threading.Lock()
        self._due = 0
        self._none_waits = False

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self._database.path)

    async def start(self, observer: Observer) -> None:
        """Start to write."""
        self._observer = observer
        self._writer.start(observer)

    def fault(self) -> str | None:
        """What has happened to the file, if somebody has moved it, deleted it or written over it."""
        return self._database.fault()

    async def close(self) -> None:
        """Commit all writes so far and close the file.

        Raises:
            Unusable: another database has taken the file's name; to close ours would delete a part of that.
        """
        self.close_reads()
        self.deliveries.close()
        await self._writer.close()
        self._database.gather()
        if not self._database.leaves_neighbours_alone:
            raise Unusable(f"another database's files lie where those of {self._database.path} were")
        self._database.close()

    # -- capacity ------------------------------------------------------------------------------------------------

    def offer(self, slots: int) -> None:
        """Let that many more jobs be claimed, or fewer if negative, from the next transaction on."""
        with self._slots_lock:
            self._slots += slots

    @property
    def slots(self) -> int:
        """How many more jobs may be claimed."""
        return self._slots

    async def stop_claiming(self) -> None:
        """Claim nothing more, whatever is offered."""
        self.offer(-NEVER)
        await self._writer.do(lambda connection: None)

    def wake(self) -> None:
        """Run a transaction, if only to claim."""
        self._writer.do(lambda connection: None, Insisted("wake")).add_done_callback(_succeeded)  # nobody waits for it

    def admit(self, suspects: Sequence[Suspect]) -> "asyncio.Future[list[bool]]":
        """Let suspects be claimed, next of all."""
        rows = [{"job_id": one.job_id, "attempt": one.attempt, "due_at": FIRST} for one in suspects]
        return self._writer.do(
            lambda connection: [connection.execute(SQL["admit"], row).rowcount == 1 for row in rows],
            Insisted("admit", [one.job_id for one in suspects]),
        )

    def _transact(
        self, connection: sqlite3.Connection, batch: Sequence[Item], singly: frozenset[str]
    ) -> tuple[Results, Taken]:
        self._due = max(self._due, now_ms())  # a clock that is set back must not hide waiting jobs
        transaction = Transaction(
            connection, SQL, slots=self._slots, due=self._due, none_waits=self._none_waits, singly=singly
        )
        return transaction.run(batch)

    def _committed(self, taken: Taken) -> None:
        self._none_waits = taken.none_left
        self.offer(-len(taken.claims.jobs))

    def _tell_claims(self, taken: Taken) -> None:
        self.pending -= len(taken.claims.jobs)
        if taken.go_on:
            self.wake()
        self._observer.claimed(taken.claims)

    # -- writes --------------------------------------------------------------------------------------------------

    def submit(
        self, job_id: str, submission: Submission, traceparent: str | None = None
    ) -> "asyncio.Future[Submission | None]":
        """Save a new job as Pending."""
        answer: asyncio.Future[Submission | None] = asyncio.get_running_loop().create_future()
        self.insert(answer, job_id, submission, traceparent)
        return answer

    def insert(self, told: Told, job_id: str, submission: Submission, traceparent: str | None = None) -> None:
        """The same, without a future."""
        now = now_ms()
        notify = submission.options.notify
        row = NewJob(job_id, submission.type, now, timestamp(now), traceparent, notify, submission.parameters)
        Inserting(self, row, self._writer, told).insert()

    def cancel(self, job_id: str) -> "asyncio.Future[Change]":
        """Pending or Running → Canceled."""
        return self._change("cancel", job_id, now=utc_now())

    def retry(self, job_id: str) -> "asyncio.Future[Change]":
        """Final → Pending."""
        return self._change("retry", job_id, due_at=now_ms())

    def progress(self, job_id: str, attempt: int, progress: Progress) -> "asyncio.Future[bool]":
        """Save how far a running attempt is."""
        values = {"job_id": job_id, "attempt": attempt, "progress": msgspec.json.encode(progress).decode()}
        return self._writer.do(lambda connection: connection.execute(SQL["progress"], values).rowcount == 1)

    def succeed(self, successes: Sequence[Success]) -> "asyncio.Future[list[bool]]":
        """Running → Success."""
        now = utc_now()
        rows = [EndedJob(one.job_id, one.attempt, now, one.results) for one in successes]
        return self._writer.write("succeed", rows, Insisted("succeed", [one.job_id for one in successes]))

    def fail(self, job_id: str, attempt: int, error: Error) -> "asyncio.Future[bool]":
        """Running → Failure."""
        return self._end_attempt("fail", job_id, attempt, {"error": _json(error), "now": utc_now()})

    def repeat(
        self, job_id: str, attempt: int, due_at: int | None, error: Error, group_limit: int | None = None
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with one loss more."""
        values = {"due_at": due_at, "group_limit": group_limit}
        return self._end_attempt("repeat", job_id, attempt, values, error)

    def release(
        self,
        job_id: str,
        attempt: int,
        error: Error,
        *,
        due_at: int | None = FIRST,
        group_limit: int | None = None,
        interrupted: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with no further loss."""
        values = {"due_at": due_at, "group_limit": group_limit, "interrupted": interrupted}
        return self._end_attempt("release", job_id, attempt, values, error)

    def hand_back(self, job_id: str, attempt: int, group_limit: int | None = None) -> "asyncio.Future[bool]":
        """Running → Pending, because the server stops; tried once."""
        values = {"due_at": FIRST, "group_limit": group_limit, "interrupted": False}
        return self._end_attempt("release", job_id, attempt, values, insists=False)

    def _end_attempt(
        self,
        name: str,
        job_id: str,
        attempt: int,
        values: dict[str, Any],
        how: Error | None = None,
        *,
        insists: bool = True,
    ) -> "asyncio.Future[bool]":
        """Write one transition of a running attempt, and `how` it ended if another one follows."""
        key = {"job_id": job_id, "attempt": attempt}

        def operation(connection: sqlite3.Connection) -> bool:
            written = _write(connection, name, values | key)
            if written and how is not None:
                connection.execute(SQL["explain"], key | {"error": _json(how)})
            return written

        def count(written: "asyncio.Future[bool]") -> None:
            if _succeeded(written) and written.result():
                self._count_pending(name, Status.RUNNING)

        future = self._writer.do(operation, Insisted(name, [job_id]) if insists else None)
        future.add_done_callback(count)
        return future

    def _change(self, name: str, job_id: str, **values: Any) -> "asyncio.Future[Change]":
        """Write one transition of a job, whatever its attempt."""

        def operation(connection: sqlite3.Connection) -> Change:
            row = connection.execute(SQL["find_status"], {"job_id": job_id}).fetchone()
            if row is None:
                return Change(None, 0, applied=False)
            status, attempt = row
            guarded = values | {"job_id": job_id, "attempt": attempt}
            return Change(Status(status), attempt, _write(connection, name, guarded))

        def count(changed: "asyncio.Future[Change]") -> None:
            if _succeeded(changed) and changed.result().applied:
                self._count_pending(name, changed.result().before)

        future = self._writer.do(operation)
        future.add_done_callback(count)
        return future

    def _count_pending(self, name: str, before: Status | None) -> None:
        """Count one job more or less as waiting, after a transition was written."""
        self.pending += (TRANSITIONS[name].target is Status.PENDING) - (before is Status.PENDING)

    # -- taking over, tidying up ---------------------------------------------------------------------------------

    def lost(self) -> list[Lost]:
        """All jobs that are Running, since no other server has the file."""
        return [Lost(*row) for row in self._lookup.all("running")]

    def suspects(self, types: Iterable[str]) -> list[Suspect]:
        """The suspects of these types that wait."""
        return [Suspect(*row) for row in self._lookup.all("suspects", types=json.dumps(list(types)))]

    async def park(self, types: Iterable[str], latest_due: int) -> dict[str, int]:
        """Set waiting jobs of other types aside, and let those of these types be claimed again."""
        values = {"types": json.dumps(list(types)), "due_at": now_ms(), "latest": latest_due}

        def operation(connection: sqlite3.Connection) -> dict[str, int]:
            connection.execute(SQL["park"], values)
            connection.execute(SQL["unpark"], values)
            connection.execute(SQL["hold_suspects"])
            return dict(connection.execute(SQL["count_parked"], values).fetchall())

        return await self._writer.do(operation)

    async def purge(self, before: str, after: int, limit: int) -> tuple[int, int | None]:
        """Delete those of the next jobs that finished before a time."""

        def operation(connection: sqlite3.Connection) -> tuple[int, int | None]:
            rows = connection.execute(SQL["oldest"], {"after": after, "limit": limit}).fetchall()
            old = [sequence for sequence, _, _, finished in rows if finished is not None and finished < before]
            connection.executemany(SQL["delete"], [{"sequence": sequence} for sequence in old])
            # Jobs come in the order of submission: if one was created after that time, so were all further ones.
            over = len(rows) < limit or rows[-1][2] >= before
            return len(old), None if over else rows[-1][0]

        return await self._writer.do(operation)


class Inserting:
    """A new job on its way into the file: makes the answer of `submit` of what the writer says.

    It does so in the same turn of the event loop, because claims are told in the next.

    Args:
        store: whose `pending` counts the job from `insert` on, so that a burst cannot pass the limit.
        row: the job.
        writer: the file's.
        told: who waits for the answer.
    """

    __slots__ = ("_row", "_store", "_told", "_writer")

    def __init__(self, store: SqliteStore, row: NewJob, writer: Writer[Any], told: Told) -> None:
        self._store = store
        self._row = row
        self._writer = writer
        self._told = told

    def insert(self) -> None:
        """Have the row written in the next transaction."""
        self._store.pending += 1
        self._writer.tell(self, "submit", [self._row])

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it belongs to."""
        return self._told.get_loop()

    def done(self) -> bool:
        """Whether nobody needs the writer's result: never, since it is counted even if whoever waited was canceled."""
        return False

    def set_result(self, written: list[bool]) -> None:
        """The transaction is on the disk."""
        earlier = None
        if not written[0]:
            self._store.pending -= 1
            try:
                earlier = self._store.find_submission(self._row.job_id)
            except Unreadable as error:
                if not self._told.done():
                    self._told.set_exception(error)
                return
            if earlier is None:  # purged since
                self.insert()
                return
        if not self._told.done():  # whoever waited may have been canceled
            self._told.set_result(earlier)

    def set_exception(self, error: BaseException) -> None:
        """Nothing was saved."""
        self._store.pending -= 1
        if not self._told.done():
            self._told.set_exception(error)


def _write(connection: sqlite3.Connection, name: str, values: dict[str, Any]) -> bool:
    """Write one transition of one job, and its notification if that ends it; False if the guard refused it."""
    written = connection.execute(SQL[name], values)
    if not TRANSITIONS[name].target.is_final:
        return written.rowcount == 1
    told = written.fetchall()  # a row if the job was written, with its `notify`
    if told and told[0][0] is not None:
        tell(connection, [values["job_id"]])
    return bool(told)


def _json(error: Error) -> str:
    return msgspec.json.encode(error).decode()


def _succeeded(future: "asyncio.Future[Any]") -> bool:
    return not future.cancelled() and future.exception() is None
