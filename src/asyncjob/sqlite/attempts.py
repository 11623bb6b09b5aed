"""The writes of what becomes of attempts, named after their transitions."""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from asyncjob.context import MAX_POSTPONEMENTS
from asyncjob.job import Error, Progress, Status, now_ms, utc_now
from asyncjob.sqlite.gates import RUNS, Gates
from asyncjob.sqlite.places import NOWHERE, Places
from asyncjob.sqlite.reads import Reads
from asyncjob.sqlite.rows import EndedJob
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.transaction import Insisted, Taken
from asyncjob.sqlite.writer import Writer
from asyncjob.sqlite.writing import State, as_json, find_state, put_back, write
from asyncjob.store import FIRST, Success

Key = dict[str, Any]  # the values of a statement


class Attempts(Reads):
    """What a `SqliteStore` writes of attempts. It also counts what waits, which each of these may change.

    Attributes:
        pending: how many jobs wait for their turn.
        scheduled: how many wait for their time.
    """

    pending: int
    scheduled: int
    _writer: Writer[Taken]
    _places: Places
    _gates: Gates

    def progress(self, job_id: str, attempt: int, progress: Progress) -> "asyncio.Future[bool]":
        """Save how far a running attempt is."""
        values = {"job_id": job_id, "attempt": attempt, "progress": msgspec.json.encode(progress).decode()}
        return self._writer.do(lambda connection: connection.execute(SQL["progress"], values).rowcount == 1)

    def succeed(self, successes: Sequence[Success]) -> "asyncio.Future[list[bool]]":
        """Running → Success."""
        now = utc_now()
        rows = [EndedJob(one.job_id, one.attempt, now, one.results) for one in successes]
        return self._writer.write("succeed", rows, Insisted("succeed", [one.job_id for one in successes]))

    def fail(self, job_id: str, attempt: int, error: Error, *, goes_on: bool = False) -> "asyncio.Future[bool]":
        """Running → Failure."""
        values = {"job_id": job_id, "attempt": attempt, "error": as_json(error), "now": utc_now()}

        def operation(connection: sqlite3.Connection) -> bool:
            state = self._find(connection, job_id)
            written = write(connection, "fail", values)
            return self._linger((job_id, attempt), state) if written and goes_on else written

        return self._writer.do(operation, Insisted("fail", [job_id]))

    def repeat(
        self,
        job_id: str,
        attempt: int,
        pause: int,
        error: Error,
        group_limit: int | None = None,
        *,
        goes_on: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with one loss more."""
        key, values = {"job_id": job_id, "attempt": attempt}, {"group_limit": group_limit, "error": as_json(error)}
        return self._put_back("repeat", key, error, pause, values, goes_on=goes_on)

    def postpone(self, job_id: str, attempt: int, pause: int, error: Error) -> "asyncio.Future[Status | None]":
        """Running → Pending, because the function asked for it."""
        values = {"job_id": job_id, "attempt": attempt, "error": as_json(error)}

        def operation(connection: sqlite3.Connection) -> Status | None:
            state = self._find(connection, job_id)
            if state is None:
                return None
            if state.postponements >= MAX_POSTPONEMENTS:
                over = Error("RetryLater", f"it was postponed {MAX_POSTPONEMENTS:,} times; last: {error.message}")
                values_then = values | {"error": as_json(over), "now": utc_now()}
                return Status.FAILURE if write(connection, "fail", values_then) else None
            place = self._places.after(pause, state.type, state.priority, now_ms())
            written = put_back(connection, "postpone", values | place._asdict(), error)
            return Status.PENDING if written else None

        def count(postponed: "asyncio.Future[Status | None]") -> None:
            if succeeded(postponed) and postponed.result() is Status.PENDING:
                self._count_waiting(1, is_scheduled=pause > 0)

        future = self._writer.do(operation, Insisted("postpone", [job_id]))
        future.add_done_callback(count)
        return future

    def release(
        self,
        job_id: str,
        attempt: int,
        error: Error,
        *,
        group_limit: int | None = None,
        interrupted: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending, with no further loss."""
        values = {"group_limit": group_limit, "interrupted": interrupted}
        return self._put_back("release", {"job_id": job_id, "attempt": attempt}, error, None, values)

    def hand_back(self, job_id: str, attempt: int, group_limit: int | None = None) -> "asyncio.Future[bool]":
        """Running → Pending, because the server stops; tried once."""
        values = {"group_limit": group_limit, "interrupted": False}
        return self._put_back("release", {"job_id": job_id, "attempt": attempt}, None, None, values, insists=False)

    def _put_back(
        self,
        name: str,
        key: Key,
        error: Error | None,
        pause: int | None,
        values: Key,
        *,
        insists: bool = True,
        goes_on: bool = False,
    ) -> "asyncio.Future[bool]":
        """Running → Pending: a suspect until it is admitted, after a pause, or first of all if that is None."""
        is_suspect = values["group_limit"] is not None

        def operation(connection: sqlite3.Connection) -> bool:
            if (state := self._find(connection, key["job_id"])) is None:
                return False
            if is_suspect and not pause:
                place = NOWHERE
            elif pause is None:
                place = self._places.ready(state.type, state.priority, FIRST)
            else:
                place = self._places.after(pause, state.type, state.priority, now_ms())
            written = put_back(connection, name, key | values | place._asdict(), error)
            return self._linger((key["job_id"], key["attempt"]), state) if written and goes_on else written

        def count(written: "asyncio.Future[bool]") -> None:
            if succeeded(written) and written.result():
                self._count_waiting(1, is_scheduled=bool(pause))

        future = self._writer.do(operation, Insisted(name, [key["job_id"]]) if insists else None)
        future.add_done_callback(count)
        return future

    def _find(self, connection: sqlite3.Connection, job_id: str) -> State | None:
        """What is about to change, which may make room for others before the same gate."""
        state = find_state(connection, job_id)
        if state is not None:
            self._gates.touch(state.type, state.limit_key)
        return state

    def _linger(self, attempt: tuple[str, int], state: State | None) -> bool:
        """An attempt was ended that may go on; returns True."""
        if state is not None and state.stage == RUNS:
            self._gates.linger(attempt, state.type, state.limit_key)
        return True

    def gone(self, job_id: str, attempt: int) -> None:
        """Nothing of this attempt runs any more."""
        ended = self._writer.do(lambda connection: self._gates.gone((job_id, attempt)), Insisted("gone", [job_id]))
        ended.add_done_callback(succeeded)  # nobody waits for it

    @property
    def lingering(self) -> int:
        """How many attempts have ended and count against a limit."""
        return self._gates.lingering

    def _count_waiting(self, jobs: int, *, is_scheduled: bool = False) -> None:
        """Count so many more jobs as waiting: for their time, or for their turn."""
        if is_scheduled:
            self.scheduled += jobs
        else:
            self.pending += jobs


def succeeded(future: "asyncio.Future[Any]") -> bool:
    """Whether it has a result."""
    return not future.cancelled() and future.exception() is None
