"""What this engine saves and reads: every operation on the file, under the name of its transition.

Writes go to the writer thread and return a future; reads use connections of their own, which in WAL mode wait for no
write. Capacity is offered to the store, and at the end of each transaction it claims as many waiting jobs as there
are slots: a submitted job is claimed by the very commit that saves it, when a worker is free.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from asyncjob.contract import Submission
from asyncjob.job import TRANSITIONS, Error, Progress, Status, now_ms, timestamp, utc_now
from asyncjob.server.metrics import Commits
from asyncjob.sqlite.database import Database, statements
from asyncjob.sqlite.deliveries import Deliveries
from asyncjob.sqlite.reads import NEVER, Reads
from asyncjob.sqlite.transaction import Item, Results, Transaction
from asyncjob.sqlite.writer import Writer
from asyncjob.store import Change, Claims, Lost, Success, Suspect

WAKE_AGAIN_SECONDS = 0.5
FIRST = 0  # due before everything else: a job that was interrupted has waited its turn already

_SQL = statements()
_PENDING = {name for name, transition in TRANSITIONS.items() if transition.target is Status.PENDING}


class Store(Reads):
    """The jobs in one database file.

    Args:
        database: the open file.
        claimed: called in the event loop after each commit, with what it claimed.
        commits: told of each commit.
    """

    def __init__(self, database: Database, claimed: Callable[[Claims], None], commits: Commits) -> None:
        super().__init__(database)
        self._claimed = claimed
        self._slots = 0
        self._slots_lock = threading.Lock()
        self._due = 0
        self._none_waits = False
        self.pending: int = self._reader.execute(_SQL["count_pending"]).fetchone()[0]
        self._writer = Writer(database.connect(), self._transact, self._committed, self._deliver, commits)
        self.deliveries = Deliveries(database, self._writer.do)

    # -- capacity ------------------------------------------------------------------------------------------------

    def offer(self, slots: int) -> None:
        """Let the store claim so many jobs more; fewer, if negative. It takes effect with the next transaction."""
        with self._slots_lock:
            self._slots += slots

    @property
    def slots(self) -> int:
        """How many jobs more may be claimed."""
        return self._slots

    async def stop_claiming(self) -> None:
        """Claim no more, whatever is offered; what was claimed has been delivered when this returns.

        Raises:
            sqlite3.Error: the disk is full; nothing more is claimed all the same.
        """
        self.offer(-NEVER)
        await self._writer.do(lambda connection: None)

    def wake(self) -> None:
        """Run a transaction, if only to claim; again later if the disk is full."""

        def done(future: "asyncio.Future[None]") -> None:
            if not future.cancelled() and future.exception() is not None:
                asyncio.get_running_loop().call_later(WAKE_AGAIN_SECONDS, self.wake)

        self._writer.do(lambda connection: None).add_done_callback(done)

    def _transact(
        self, connection: sqlite3.Connection, batch: Sequence[Item], singly: frozenset[str]
    ) -> tuple[Results, Claims]:
        self._due = max(self._due, now_ms())  # never back: a clock that is set back must not hide waiting jobs
        transaction = Transaction(
            connection, _SQL, slots=self._slots, due=self._due, none_waits=self._none_waits, singly=singly
        )
        return transaction.run(batch)

    def _committed(self, claims: Claims) -> None:
        self._none_waits = claims.none_left
        self.offer(-len(claims.jobs))

    def _deliver(self, claims: Claims) -> None:
        self.pending -= len(claims.jobs)
        if claims.go_on:
            self.wake()
        self._claimed(claims)

    # -- writes --------------------------------------------------------------------------------------------------

    async def submit(self, job_id: str, submission: Submission, traceparent: str | None = None) -> Submission | None:
        """Save a new job as Pending.

        Returns:
            None when it was saved; the earlier submission when there is a job of that id already.

        Raises:
            sqlite3.Error: it could not be saved.
        """
        now = now_ms()
        notify = None if submission.notify is UNSET else submission.notify
        row = (job_id, submission.type, now, timestamp(now), traceparent, notify, submission.parameters)
        self.pending += 1  # counted when it is asked for, so that a burst cannot pass the limit
        try:
            (saved,) = await self._writer.write("submit", [row])
        except sqlite3.Error:
            self.pending -= 1
            raise
        if saved:
            return None
        self.pending -= 1
        return self.find_submission(job_id) or await self.submit(job_id, submission, traceparent)  # deleted since

    def succeed(self, successes: Sequence[Success]) -> "asyncio.Future[list[bool]]":
        """Running → Success. The future tells of each whether it was so: False where the guard refused it."""
        now = utc_now()
        return self._writer.write(
            "succeed", [(one.job_id, one.attempt, now, one.results.encode()) for one in successes]
        )

    def fail(self, job_id: str, attempt: int, error: Error) -> "asyncio.Future[bool]":
        """Running → Failure. The future tells whether it was so: False where the guard refused it."""
        return self._transition("fail", job_id, attempt, error=msgspec.json.encode(error).decode(), now=utc_now())

    def repeat(
        self, job_id: str, attempt: int, due_at: int | None, error: Error, group_limit: int | None = None
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with the next attempt, which counts against `retries`.

        Args:
            due_at: not before, in milliseconds since 1970; None to wait until a server knows the function again.
            error: how the attempt was lost.
            group_limit: not None for a suspect, which waits until it is admitted.
        """
        values = {"due_at": due_at, "group_limit": group_limit}
        return self._transition("repeat", job_id, attempt, then=_lost(job_id, attempt, error), **values)

    def release(
        self,
        job_id: str,
        attempt: int,
        error: Error | None = None,
        *,
        due_at: int | None = FIRST,
        group_limit: int | None = None,
        interrupted: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with the next attempt, which does not count against `retries`.

        Args:
            error: how the attempt ended, if not by the server's own stop.
            due_at: as in `repeat`; unless it is given, the job is the next to run.
            group_limit: not None for a suspect, which waits until it is admitted.
            interrupted: whether the attempt ended because the server did.
        """
        values = {"due_at": due_at, "group_limit": group_limit, "interrupted": interrupted}
        then = None if error is None else _lost(job_id, attempt, error)
        return self._transition("release", job_id, attempt, then=then, **values)

    def admit(self, suspects: Sequence[Suspect]) -> "asyncio.Future[list[bool]]":
        """Let suspects be claimed, next of all. The future tells of each whether it still waits in that attempt."""
        rows = [{"job_id": one.job_id, "attempt": one.attempt, "due_at": FIRST} for one in suspects]
        return self._writer.do(
            lambda connection: [connection.execute(_SQL["admit"], row).rowcount == 1 for row in rows]
        )

    def cancel(self, job_id: str) -> "asyncio.Future[Change]":
        """Pending or Running → Canceled."""
        return self._change("cancel", job_id, now=utc_now())

    def retry(self, job_id: str) -> "asyncio.Future[Change]":
        """A final status → Pending, with the next attempt and all its retries."""
        return self._change("retry", job_id, due_at=now_ms())

    def progress(self, job_id: str, attempt: int, progress: Progress) -> "asyncio.Future[bool]":
        """Save how far a running attempt is. The future tells whether it was so: False when it runs no more."""
        values = {"job_id": job_id, "attempt": attempt, "progress": msgspec.json.encode(progress).decode()}
        return self._writer.do(lambda connection: connection.execute(_SQL["progress"], values).rowcount == 1)

    def _transition(
        self, name: str, job_id: str, attempt: int, then: tuple[str, dict[str, Any]] | None = None, **values: Any
    ) -> "asyncio.Future[bool]":
        values |= {"job_id": job_id, "attempt": attempt}

        def operation(connection: sqlite3.Connection) -> bool:
            written = connection.execute(_SQL[name], values).rowcount == 1
            if written and then is not None:
                connection.execute(_SQL[then[0]], then[1])
            return written

        future = self._writer.do(operation)
        if name in _PENDING:
            future.add_done_callback(self._count_pending)
        return future

    def _count_pending(self, future: "asyncio.Future[bool]") -> None:
        if not future.cancelled() and future.exception() is None:
            self.pending += future.result()

    def _change(self, name: str, job_id: str, **values: Any) -> "asyncio.Future[Change]":
        future = self._writer.do(lambda connection: _change(connection, name, job_id, values))
        future.add_done_callback(self._count_change)
        return future

    def _count_change(self, future: "asyncio.Future[Change]") -> None:
        if future.cancelled() or future.exception() is not None or not future.result().applied:
            return
        self.pending += -1 if future.result().before is Status.PENDING else 0
        self.pending += 1 if future.result().before in TRANSITIONS["retry"].sources else 0

    # -- life of the file ----------------------------------------------------------------------------------------

    def running(self) -> list[Lost]:
        """The jobs that were Running at the last commit; asked at the start, those whose attempt is lost."""
        return [Lost(*row) for row in self._reader.execute(_SQL["running"])]

    def suspects(self, types: Iterable[str]) -> list[Suspect]:
        """The suspects that wait, of these types."""
        return [Suspect(*row) for row in self._reader.execute(_SQL["suspects"], {"types": json.dumps(list(types))})]

    async def park(self, types: Iterable[str], latest_due: int) -> dict[str, int]:
        """Set waiting jobs of unregistered types aside, and take those up again whose type is registered now.

        Args:
            types: the registered ones.
            latest_due: milliseconds since 1970; what waits for a later time (the clock was wrong) waits no more.

        Returns:
            How many jobs are set aside, by type.
        """
        values = {"types": json.dumps(list(types)), "due_at": now_ms(), "latest": latest_due}

        def operation(connection: sqlite3.Connection) -> dict[str, int]:
            connection.execute(_SQL["park"], values)
            connection.execute(_SQL["unpark"], values)
            connection.execute(_SQL["hold_suspects"])
            return dict(connection.execute(_SQL["count_parked"], values).fetchall())

        return await self._writer.do(operation)

    async def purge(self, before: str, after: int, limit: int) -> tuple[int, int | None]:
        """Delete final jobs that finished before a time, among the `limit` next ones behind a sequence number.

        Returns:
            How many were deleted, and the sequence number to go on behind; None once jobs are too young.
        """

        def operation(connection: sqlite3.Connection) -> tuple[int, int | None]:
            rows = connection.execute(_SQL["oldest"], {"after": after, "limit": limit}).fetchall()
            old = [sequence for sequence, _, _, finished in rows if finished is not None and finished < before]
            connection.executemany(_SQL["delete"], [{"sequence": sequence} for sequence in old])
            # In order of submission: once jobs were created after that time, all further ones were.
            over = len(rows) < limit or rows[-1][2] >= before
            return len(old), None if over else rows[-1][0]

        return await self._writer.do(operation)

    async def close(self) -> None:
        """Commit what was asked for and close the file."""
        self.close_reads()
        self.deliveries.close()
        await self._writer.close()


def _lost(job_id: str, attempt: int, error: Error) -> tuple[str, dict[str, Any]]:
    """What is to be written beside a transition: how the attempt ended that another one follows."""
    return "lost", {"job_id": job_id, "attempt": attempt, "error": msgspec.json.encode(error).decode()}


def _change(connection: sqlite3.Connection, name: str, job_id: str, values: dict[str, Any]) -> Change:
    row = connection.execute(_SQL["find"], {"job_id": job_id}).fetchone()
    if row is None:
        return Change(None, 0, applied=False)
    attempt = row[7]
    applied = connection.execute(_SQL[name], values | {"job_id": job_id, "attempt": attempt}).rowcount == 1
    return Change(Status(row[2]), attempt, applied)
