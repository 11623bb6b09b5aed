"""Writes the notification of a job in the transaction that ends it.

Most jobs have no `notify`. An index holds only the jobs that have one and have not ended; while it is empty, nobody
looks at it.
"""

import json
import sqlite3
from collections.abc import Sequence

from asyncjob.sqlite.reads import job_of
from asyncjob.sqlite.statements import SQL
from asyncjob.store import notification_of


def any_to_tell(connection: sqlite3.Connection) -> bool:
    """Whether any job that has not ended has a `notify`."""
    return bool(connection.execute(SQL["any_to_tell"]).fetchone()[0])


def to_tell(connection: sqlite3.Connection, rows: str) -> list[str]:
    """The ids of those jobs that have a `notify` and have not ended.

    Args:
        connection: inside the transaction that is about to end them.
        rows: JSON: an array for each job, whose first element is its id.
    """
    return [job_id for (job_id,) in connection.execute(SQL["to_tell"], {"rows": rows}).fetchall()]


def tell(connection: sqlite3.Connection, job_ids: Sequence[str]) -> None:
    """Write a notification for each of these jobs that has ended. None of them had before this transaction."""
    ended = connection.execute(SQL["ended"], {"job_ids": json.dumps(job_ids)}).fetchall()
    connection.executemany(SQL["tell"], [notification_of(job_of(row), row[-1])._asdict() for row in ended])
