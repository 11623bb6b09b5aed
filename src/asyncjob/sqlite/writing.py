"""Writes one transition of one job, in the transaction that is under way, and its notification if that ends the job."""

import sqlite3
from typing import Any, NamedTuple

import msgspec

from asyncjob.job import TRANSITIONS, Error, Status, timestamp
from asyncjob.sqlite.gates import Gates
from asyncjob.sqlite.notifying import tell
from asyncjob.sqlite.statements import SQL
from asyncjob.store import Expired


class State(NamedTuple):
    """What says where a job may go from where it is."""

    status: Status
    attempt: int
    type: str
    priority: int
    is_scheduled: bool
    stage: int | None
    limit_key: str | None
    unique_key: str | None
    unique_in: str | None
    postponements: int


def find_state(connection: sqlite3.Connection, job_id: str) -> State | None:
    """The job as it is in this transaction."""
    row = connection.execute(SQL["find_state"], {"job_id": job_id}).fetchone()
    return None if row is None else State(Status(row[0]), *row[1:])


def write(connection: sqlite3.Connection, name: str, values: dict[str, Any]) -> bool:
    """Write a transition.

    Args:
        connection: inside a transaction.
        name: the transition's.
        values: of its statement; `job_id` and `attempt` are its guard.

    Returns:
        False if the guard refused it.
    """
    written = connection.execute(SQL[name], values)
    if not TRANSITIONS[name].target.is_final:
        return written.rowcount == 1
    told = written.fetchall()  # a row if the job was written, with its `notify`
    if told and told[0][0] is not None:
        tell(connection, [values["job_id"]])
    return bool(told)


def put_back(connection: sqlite3.Connection, name: str, values: dict[str, Any], error: Error | None) -> bool:
    """Write a transition that is followed by another attempt, and how the one before ended."""
    written = write(connection, name, values)
    if written and error is not None:
        connection.execute(SQL["explain"], values | {"error": as_json(error)})
    return written


def expire(connection: sqlite3.Connection, gates: Gates, job_id: str, start_by: int, now: str) -> None:
    """End a job that waits in its first attempt, because it is too late for it."""
    state = find_state(connection, job_id)
    error = Error("Expired", f"it had not begun by {timestamp(start_by)}")
    written = write(connection, "expire", {"job_id": job_id, "attempt": 1, "error": as_json(error), "now": now})
    if state is not None and written:
        gates.touch(state.type, state.limit_key)
        gates.expired.append(Expired(job_id, 1, state.type, state.is_scheduled))


def as_json(error: Error) -> str:
    """The error as it is saved."""
    return msgspec.json.encode(error).decode()
