"""The store in one SQLite file: the writes, named after their transitions.

Those of attempts are in attempts.py, the reads in reads.py.

Writes go to the writer and return a future. Reads have their own connections, which in WAL mode wait for no
write. Each transaction ends by claiming as many waiting jobs as there are slots. So if a worker is free, the commit
that saves a job claims it too.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from asyncjob.contract import Submission
from asyncjob.job import Status, now_ms, timestamp, utc_now
from asyncjob.registry import JobFunction
from asyncjob.sqlite.attempts import Attempts, Key, succeeded
from asyncjob.sqlite.database import Database
from asyncjob.sqlite.deliveries import SqliteDeliveries
from asyncjob.sqlite.gates import Gates
from asyncjob.sqlite.inserting import Inserting, InsertingSpecial, special
from asyncjob.sqlite.logs import SqliteLogs
from asyncjob.sqlite.places import Places
from asyncjob.sqlite.plain import prepare
from asyncjob.sqlite.reads import NEVER
from asyncjob.sqlite.rows import NewJob
from asyncjob.sqlite.schedules import SqliteSchedules
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.taking_over import current_key, take_over
from asyncjob.sqlite.transaction import Insisted, Item, Results, Taken, Transaction
from asyncjob.sqlite.unique import find_same, find_unfinished
from asyncjob.sqlite.writer import Writer
from asyncjob.sqlite.writing import State, write
from asyncjob.store import FIRST, Change, Claims, Duplicate, Observer, Suspect, Told, Unreadable, Unusable


class SqliteStore(Attempts):
    """The jobs in one database file, which no other server can open in the meantime. Implements `store.Store`.

    Args:
        path: the file.
        create: whether to make it if it does not exist, or is empty.

    Raises:
        InUse: another server has the file.
        Unusable: it is not ours, or it cannot be opened or read.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._database = Database(path, create=create)
        try:
            super().__init__(self._database)
            self.scheduled, waiting = self._lookup.one("count_waiting")
            self.pending: int = waiting - self.scheduled
            self._places = Places()
            self._gates = Gates(self._places)
            connection = self._database.connect()
            prepare(connection)
            self._writer = Writer(
                connection, self._transact, self._short, self._committed, self._lookup.renew, self._tell_claims
            )
            self.deliveries = SqliteDeliveries(self._database, self._writer)
            self.logs = SqliteLogs(self._lookup, self._writer)
            self.schedules = SqliteSchedules(self._lookup, self._writer, self._gates, self._count_waiting)
        except (sqlite3.Error, Unreadable) as error:  # only the first page was read before
            self._database.close()
            raise Unusable(f"cannot read {self._database.path}: {error}") from error
        self._observer = Observer()
        self._slots = 0
        self._slots_lock = threading.Lock()
        self._taken = Taken(Claims([]), next_run=0)  # so that the first transaction looks whose time has come

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

    def cap(self, name: str, count: int) -> None:
        """Let no more than that many jobs of one function run."""
        self._gates.caps[name] = count

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
        self._writer.do(lambda connection: None, Insisted("wake")).add_done_callback(succeeded)  # nobody waits for it

    def admit(self, suspects: Sequence[Suspect]) -> "asyncio.Future[list[bool]]":
        """Let suspects be claimed, next of all."""

        def admitted(connection: sqlite3.Connection, suspect: Suspect) -> bool:
            if (state := self._find(connection, suspect.job_id)) is None:
                return False
            key = {"job_id": suspect.job_id, "attempt": suspect.attempt}
            place = self._places.ready(state.type, state.priority, FIRST)
            return connection.execute(SQL["admit"], key | place._asdict()).rowcount == 1

        return self._writer.do(
            lambda connection: [admitted(connection, one) for one in suspects],
            Insisted("admit", [one.job_id for one in suspects]),
        )

    def _transact(
        self, connection: sqlite3.Connection, batch: Sequence[Item], singly: frozenset[str]
    ) -> tuple[Results, Taken]:
        return self._transaction(connection, singly).run(batch)

    def _short(self, connection: sqlite3.Connection, batch: Sequence[Item]) -> tuple[Results, Taken] | None:
        self._lookup.renew()  # SQLite begins its log anew only while nobody reads, and here nobody else would end that
        return self._transaction(connection).run_short(batch)

    def _transaction(self, connection: sqlite3.Connection, singly: frozenset[str] = frozenset()) -> Transaction:
        self._gates.begin()
        return Transaction(
            connection,
            SQL,
            slots=self._slots,
            places=self._places,
            gates=self._gates,
            before=self._taken,
            singly=singly,
        )

    def _committed(self, taken: Taken) -> None:
        self._taken = taken
        self._gates.committed()
        self.offer(-len(taken.claims.jobs))

    def _tell_claims(self, taken: Taken) -> None:
        late = sum(one.was_scheduled for one in taken.claims.expired)  # before its time had come
        self.scheduled -= taken.promoted + late
        self.pending += taken.promoted + late - len(taken.claims.jobs) - len(taken.claims.expired)
        if taken.go_on:
            self.wake()
        self._observer.claimed(taken.claims)

    # -- writes --------------------------------------------------------------------------------------------------

    def submit(
        self, job_id: str, submission: Submission, traceparent: str | None = None
    ) -> "asyncio.Future[Submission | Duplicate | None]":
        """Save a new job as Pending."""
        answer: asyncio.Future[Submission | Duplicate | None] = asyncio.get_running_loop().create_future()
        self.insert(answer, job_id, submission, traceparent)
        return answer

    def insert(self, told: Told, job_id: str, submission: Submission, traceparent: str | None = None) -> None:
        """The same, without a future."""
        now = now_ms()
        if self._places.is_plain(submission):
            notify = submission.options.notify
            row = NewJob(job_id, submission.type, now, timestamp(now), traceparent, notify, submission.parameters)
            Inserting(self, row, self._writer, told).insert()
        else:
            job = special(self._places, job_id, submission, traceparent, now)
            InsertingSpecial(self, job, self._writer, self._gates, told).insert()

    def find_same(self, submission: Submission) -> Duplicate | None:
        """The job that is the same as this one would be."""
        return find_same(self._lookup, self._places, submission.type, submission.parameters, now_ms())

    def cancel(self, job_id: str) -> "asyncio.Future[Change]":
        """Pending or Running → Canceled."""
        now = utc_now()

        def cancel(connection: sqlite3.Connection, key: Key, state: State) -> bool:
            written = write(connection, "cancel", key | {"now": now})
            return written and self._linger((job_id, state.attempt), state)

        return self._change(job_id, cancel)

    def retry(self, job_id: str) -> "asyncio.Future[Change]":
        """Final → Pending."""
        now = now_ms()

        def retry(connection: sqlite3.Connection, key: Key, state: State) -> bool | str:
            function = self._places.function(state.type)
            same = find_unfinished(connection, function, job_id, state) if state.status.is_final else None
            if same is not None:
                return same
            self._gates.touch(state.type, current_key(connection, function, job_id, state.limit_key))
            place = self._places.ready(state.type, state.priority, now)
            return write(connection, "retry", key | place._asdict())

        return self._change(job_id, retry, waits_after=True)

    def delete(self, job_id: str) -> "asyncio.Future[Change]":
        """Delete a final job."""
        return self._change(job_id, lambda connection, key, _: connection.execute(SQL["delete"], key).rowcount == 1)

    def run_now(self, job_id: str) -> "asyncio.Future[Change]":
        """Have a job that waits for its time be ready."""
        now = now_ms()

        def run(connection: sqlite3.Connection, key: Key, state: State) -> bool:
            values = key | self._places.ready(state.type, state.priority, now)._asdict()
            if (row := connection.execute(SQL["run_now"], values).fetchone()) and row[0] is not None:
                self._gates.suspects.append(Suspect(job_id, state.attempt, *row))
            return row is not None

        return self._change(job_id, run, waits_after=True)

    def _change(
        self, job_id: str, call: Callable[[sqlite3.Connection, Key, State], bool | str], *, waits_after: bool = False
    ) -> "asyncio.Future[Change]":
        """Write one change of a job, whatever its attempt.

        Args:
            job_id: the job's.
            call: writes the change; False if its guard refused it, or the id of another job that did.
            waits_after: whether the job waits then.
        """
        found: list[State] = []

        def operation(connection: sqlite3.Connection) -> Change:
            state = self._find(connection, job_id)
            if state is None:
                return Change(None, 0, applied=False)
            found[:] = [state]
            applied = call(connection, {"job_id": job_id, "attempt": state.attempt}, state)
            if isinstance(applied, str):
                return Change(state.status, state.attempt, applied=False, duplicate=applied)
            return Change(state.status, state.attempt, applied)

        def count(changed: "asyncio.Future[Change]") -> None:
            if succeeded(changed) and changed.result().applied:
                if found[0].status is Status.PENDING:
                    self._count_waiting(-1, is_scheduled=found[0].is_scheduled)
                if waits_after:
                    self._count_waiting(1)

        future = self._writer.do(operation)
        future.add_done_callback(count)
        return future

    # -- taking over, tidying up ---------------------------------------------------------------------------------

    async def take_over(self, functions: Iterable[JobFunction]) -> dict[str, int]:
        """Set waiting jobs of other types aside, and let those of these types be claimed again."""
        known = list(functions)

        def operation(connection: sqlite3.Connection) -> dict[str, int]:
            self._places.take_over(known)
            return take_over(connection, self._places, self._gates, now_ms())

        return await self._writer.do(operation)

    async def purge(self, before: str, after: int, limit: int) -> tuple[int, int | None]:
        """Delete those of the next jobs that finished before a time."""

        def operation(connection: sqlite3.Connection) -> tuple[int, int | None]:
            rows = connection.execute(SQL["oldest"], {"after": after, "limit": limit}).fetchall()
            old = [sequence for sequence, _, _, finished in rows if finished is not None and finished < before]
            connection.executemany(SQL["purge"], [{"sequence": sequence} for sequence in old])
            # Jobs come in the order of submission: if one was created after that time, so were all further ones.
            over = len(rows) < limit or rows[-1][2] >= before
            return len(old), None if over else rows[-1][0]

        return await self._writer.do(operation)
