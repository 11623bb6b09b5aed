"""Moves the jobs whose time has come into the queue, or before the gates of their functions."""

import sqlite3
from typing import NamedTuple

from asyncjob.sqlite.gates import Gates
from asyncjob.sqlite.places import NEVER, NOWHERE, Places
from asyncjob.sqlite.statements import SQL
from asyncjob.store import Suspect

MAX_PROMOTED = 500  # jobs in one transaction, so that none lasts long when a million become ready at once


class Promoted(NamedTuple):
    """What a transaction promoted.

    Attributes:
        jobs: how many.
        next_at: when the next one's time comes, in milliseconds since 1970; now, if more are ready already.
    """

    jobs: int
    next_at: int


def set_back(connection: sqlite3.Connection, now: int) -> None:
    """Have what is ready be so since now at the latest, after the clock was set back: else what comes goes before it.

    Args:
        connection: inside a transaction.
        now: in milliseconds since 1970.
    """
    for name in ("set_back", "set_turns_back"):
        connection.execute(SQL[name], {"now": now})


def promote(connection: sqlite3.Connection, places: Places, gates: Gates, now: int) -> Promoted:
    """Move on what has waited long enough.

    A pause is never longer than it was meant to be: if the clock was set back since it began, it begins again.

    Args:
        connection: inside a transaction.
        places: says where they go.
        gates: told of those that go there.
        now: in milliseconds since 1970.
    """
    next_at, latest = connection.execute(SQL["next_times"]).fetchone()
    if latest is not None and latest > now:
        connection.execute(SQL["shorten_pauses"], {"now": now, "limit": MAX_PROMOTED})
        (next_at, latest) = connection.execute(SQL["next_times"]).fetchone()
        if latest is not None and latest > now:  # there are more
            return Promoted(0, now)
    if next_at is None or next_at > now:
        return Promoted(0, NEVER if next_at is None else next_at)
    rows = connection.execute(SQL["due"], {"now": now, "limit": MAX_PROMOTED}).fetchall()
    moved = []
    for sequence, name, priority, run_at, key, job_id, attempt, group_limit, interruptions in rows:
        is_suspect = group_limit is not None
        place = NOWHERE if is_suspect else places.ready(name, priority, run_at)
        moved.append({"sequence": sequence} | place._asdict())
        gates.touch(name, key)
        if is_suspect and places.function(name) is not None:
            gates.suspects.append(Suspect(job_id, attempt, group_limit, interruptions))
    connection.executemany(SQL["place"], moved)
    (next_at, _) = connection.execute(SQL["next_times"]).fetchone()
    return Promoted(len(rows), NEVER if next_at is None else next_at)
