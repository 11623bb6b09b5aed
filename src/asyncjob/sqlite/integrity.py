"""Whether a database file is whole, by SQLite's own check; a server may use it meanwhile."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from asyncjob.sqlite.database import APPLICATION_ID, check_kind
from asyncjob.sqlite.statements import SQL
from asyncjob.store import Unusable

FAULTS = 3  # that are told of a file


def check(file: Path) -> int:
    """Read all of a file; nothing is changed.

    Returns:
        How many jobs it holds.

    Raises:
        Unusable: it is damaged, not ours, or cannot be read; the message names it.
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
