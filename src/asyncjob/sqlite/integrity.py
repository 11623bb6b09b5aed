"""Checks that a database file is whole, with SQLite's own check. A server may use the file in the meantime."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from asyncjob.sqlite.database import APPLICATION_ID, check_kind
from asyncjob.sqlite.statements import SQL
from asyncjob.store import Unusable

FAULTS = 3  # how many are reported


def check(file: Path) -> int:
    """Read a whole file, and change nothing.

    Returns:
        How many jobs it holds.

    Raises:
        Unusable: the file is damaged, not ours, or cannot be read; the message names it.
    """
    path = Path(os.path.realpath(file))
    check_kind(path)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise Unusable(f"{file} is no database of this program")
            faults = [fault for (fault,) in connection.execute(f"PRAGMA integrity_check({FAULTS})")]
            if faults != ["ok"]:
                raise Unusable(f"{file} is damaged: {'; '.join(faults)}".replace("\n", " "))
            (jobs,) = connection.execute(SQL["count_jobs"]).fetchone()
    except sqlite3.Error as error:
        raise Unusable(f"{file} cannot be read: {error}") from error
    return int(jobs)
