"""Writes the notifications of jobs that end, in the transaction that ends them.

Most jobs name nobody. They cost one look a transaction at an index, which holds the jobs that name somebody and have
not ended.
"""

import json
import sqlite3
from collections.abc import Sequence

from asyncjob.sqlite.reads import job_of
from asyncjob.sqlite.statements import SQL
from asyncjob.store import notification_of


def to_tell(connection: sqlite3.Connection, rows: str) -> list[str]:
    """Of which jobs somebody is to be told once they end.

    Args:
        connection: in the transaction that is about to end them.
        rows: JSON, an array for each job, whose first element is its id.
    """
    if not connection.execute(SQL["any_to_tell"]).fetchone()[0]:
        return []
    return [job_id for (job_id,) in connection.execute(SQL["to_tell"], {"rows": rows}).fetchall()]


def tell(connection: sqlite3.Connection, job_ids: Sequence[str]) -> None:
    """Write the notifications of those of these jobs that have ended; they had not before this transaction."""
    ended = connection.execute(SQL["ended"], {"job_ids": json.dumps(job_ids)}).fetchall()
    connection.executemany(SQL["tell"], [notification_of(job_of(row), row[-1])._asdict() for row in ended])
