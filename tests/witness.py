"""Has a job file itself take down how every job ends, so that a test need not trust the server's own word.

A trigger writes a row in the very transaction that makes a job final: whatever the server is told or says, and whoever
is killed when, a job that ended twice has two rows.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.serving import Server

TRIGGER = """
CREATE TABLE witness (job_id TEXT, attempt INTEGER, status TEXT);
CREATE TRIGGER ended AFTER UPDATE OF status ON job WHEN new.finished_at IS NOT NULL
BEGIN INSERT INTO witness VALUES (new.job_id, new.attempt, new.status); END;
"""


def observe(server: Server) -> None:
    """Have all ends taken down from now on; the server is stopped for it and started again."""
    server.stop()
    with closing(sqlite3.connect(server.database)) as connection:
        connection.executescript(TRIGGER)
    server.start()


def ends(database: Path) -> Counter[str]:
    """How often each job that was accepted has ended; a retried one may do so once an attempt."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT job_id FROM job UNION ALL SELECT job_id FROM witness").fetchall()
        doubled = connection.execute(
            "SELECT job_id, attempt FROM witness GROUP BY job_id, attempt HAVING count(*) > 1"
        ).fetchall()
    assert not doubled, f"recorded more than once: {doubled}"
    counted = Counter(job_id for (job_id,) in rows)
    return Counter({job_id: count - 1 for job_id, count in counted.items()})


def is_sound(database: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    with closing(sqlite3.connect(database)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
