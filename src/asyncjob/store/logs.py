"""The logs of jobs, as a store keeps them. What a line is, and its place, is in job_log.py."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from asyncjob.contract import LogQuery
from asyncjob.job_log import Place


class KeptLine(NamedTuple):
    """A line of a job's log; see `job_log.LogLine`.

    Attributes:
        at: milliseconds since 1970.
        level: the logging module's.
        left_out: how many numbers are missing right before it; only in what is read.
    """

    job_id: str
    attempt: int
    number: int
    at: int
    level: int
    logger: str
    message: str
    traceback: str = ""
    left_out: int = 0


class LogCut(NamedTuple):
    """Lines to delete: those between two places, both of them excluded."""

    job_id: str
    after: Place
    before: Place


class Logs(Protocol):
    """Keeps lines. How many of a job, its server decides."""

    def keep(self, lines: Sequence[KeptLine], cuts: Sequence[LogCut]) -> "asyncio.Future[None]":
        """Save lines, and delete others after that.

        A line of a job that is not there is left out, and so is one whose number its attempt has already.

        Raises:
            NotSaved: in the future. It is not tried again.
        """

    def of_job(self, job_id: str, query: LogQuery) -> tuple[list[KeptLine], bool]:
        """Lines of a job, the oldest first.

        What is missing before a line does not count again what the query comes after.

        Returns:
            The lines, fewer than asked for if they are long, and True if more may follow.

        Raises:
            Unreadable: the lines cannot be read.
        """

    def last(self, job_id: str, attempt: int) -> int:
        """The number of the last line of an attempt, 0 if it has none; raises what `of_job` raises."""
