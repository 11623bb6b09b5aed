"""Database files that already hold finished jobs, as a server would have left them after a few weeks.

A million submissions would take minutes and say nothing new, so SQLite makes the rows itself, in the engine's own
schema: the same columns, indexes and checks, and ids that begin with the time, like the server's.

    python bench/filled.py jobs.db 1000000
"""

import sys
from pathlib import Path

from asyncjob.sqlite.database import Database

FILL = """
INSERT INTO job (job_id, type, status, parameters, results, created_at, started_at, finished_at)
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number LIMIT :count),
    -- Ten a second, from the first of June on.
    moment (n, at) AS (SELECT n, strftime('%Y-%m-%dT%H:%M:%fZ', 1780272000 + n / 10.0, 'unixepoch') FROM number)
SELECT printf('%08x-%04x-7%03x-8%03x-%s', n >> 16, n & 65535, n & 4095, n % 4096, lower(hex(randomblob(6)))),
    'sleep', 'Success', '{"seconds":0}', '{"message":"I slept for 0 seconds"}', at, at, at
FROM moment
"""


def fill(path: Path, count: int) -> None:
    """Make a database file with this many finished jobs."""
    database = Database(path)
    try:
        connection = database.connect()
        connection.execute(FILL, {"count": count})
        connection.close()
    finally:
        database.close()


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]))
