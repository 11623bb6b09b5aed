"""The logs of the jobs in the file."""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from asyncjob.contract import LogQuery
from asyncjob.sqlite.reading import Lookup
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.writer import Writer
from asyncjob.store import KeptLine, LogCut

MAX_PAGE = 1 << 20  # characters of messages and tracebacks


class SqliteLogs:
    """The logs in one database file. Implements `store.Logs`.

    Args:
        lookup: for short reads.
        writer: the file's.
    """

    def __init__(self, lookup: Lookup, writer: Writer[Any]) -> None:
        self._lookup = lookup
        self._writer = writer

    def keep(self, lines: Sequence[KeptLine], cuts: Sequence[LogCut]) -> "asyncio.Future[None]":
        """Save lines, all by one statement, and delete others."""
        values = {"lines": msgspec.json.encode(lines).decode()}
        between = [
            {
                "job_id": cut.job_id,
                "after_attempt": cut.after.attempt,
                "after": cut.after.number,
                "before_attempt": cut.before.attempt,
                "before": cut.before.number,
            }
            for cut in cuts
        ]

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["keep_log"], values)
            connection.executemany(SQL["cut_log"], between)

        return self._writer.do(operation, moves=False)

    def of_job(self, job_id: str, query: LogQuery) -> tuple[list[KeptLine], bool]:
        """Lines of a job, the oldest first, and whether to ask again for more."""
        rows = self._lookup.each(
            "log",
            job_id=job_id,
            after_attempt=query.after.attempt,
            after=query.after.number,
            attempt=query.attempt,
            level=query.level.number,
            limit=query.limit,
        )
        lines: list[KeptLine] = []
        size = 0
        for row in rows:
            lines.append(KeptLine(*row))
            size += len(lines[-1].message) + len(lines[-1].traceback)
            if len(lines) == query.limit or size > MAX_PAGE:
                return lines, True
        return lines, False

    def last(self, job_id: str, attempt: int) -> int:
        """The number of the last line of an attempt."""
        number: int = self._lookup.one("last_line", job_id=job_id, attempt=attempt)[0]
        return number
