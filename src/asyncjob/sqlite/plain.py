"""The commonest transaction, nothing but plain new jobs and results, as one statement.

Each call into SQLite gives Python's lock up about three times, and under load waits each time until the event loop has
done its turn. A statement that is not inside a transaction is one by itself: SQLite begins it, writes both kinds of
rows and has them on the disk before it asks for the lock again.

The statement inserts into a view, whose trigger has `submit` and `succeed` in it. Both belong to the connection, and
are not in the file.
"""

import sqlite3
from collections.abc import Sequence

from asyncjob.sqlite.rows import EndedJob, NewJob, RowsRefused, joined, listed
from asyncjob.sqlite.statements import SQL


def prepare(connection: sqlite3.Connection) -> None:
    """Let this connection to the file write plain transactions."""
    connection.execute(SQL["plain_view"])
    connection.execute(SQL["plain_trigger"])


def write(
    connection: sqlite3.Connection, new: Sequence[NewJob], ended: Sequence[EndedJob], claimed: int, now: str
) -> None:
    """Save new jobs and results, and commit.

    Args:
        connection: prepared, and outside of any transaction.
        new: the first `claimed` of them are also claimed.
        ended: running jobs with their results.
        claimed: as above.
        now: the time.

    Raises:
        RowsRefused: one of the two statements refused some of its rows, and nothing was saved.
        sqlite3.Error: nothing was saved.
    """
    values: dict[str, object] = {"submit_claimed": claimed, "submit_now": now}
    for name, rows in (("submit", new), ("succeed", ended)):
        values |= {f"{name}_rows": listed(rows), f"{name}_texts": joined(rows), f"{name}_count": len(rows)}
    try:
        connection.execute(SQL["plain"], values)
    except sqlite3.IntegrityError as error:
        if str(error) in ("submit", "succeed"):
            raise RowsRefused(str(error)) from None
        raise
