"""A job's log as the API shows it: its lines, their levels, and the places in it.

What a job function logs and prints becomes lines. A line's place is its attempt and its number there; a cursor is both
in one number.
"""

import logging
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from asyncjob.returnable import Returnable

MAX_LINE_NUMBER = (1 << 40) - 1


class Level(StrEnum):
    """How much a line matters. The values are what the API shows."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def number(self) -> int:
        """The logging module's."""
        return logging.getLevelNamesMapping()[self.name]


class Place(NamedTuple):
    """Of a line in its job's log, in the order of the log."""

    attempt: int
    number: int

    @property
    def cursor(self) -> int:
        """The same as one number."""
        return self.attempt * (MAX_LINE_NUMBER + 1) + self.number


BEGIN = Place(0, 0)


def place_at(cursor: int) -> Place:
    """The place that a cursor is."""
    return Place(*divmod(cursor, MAX_LINE_NUMBER + 1))


class LogLine(Returnable, msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of a job's log.

    Attributes:
        at: when it was written: UTC, ISO 8601, milliseconds, `Z`.
        attempt: which has written it.
        number: of the line in its attempt, from 1; lines that are missing were left out.
        level: at least how much it matters.
        logger: the logger's name; `stdout` or `stderr` if it was printed, `asyncjob` if it tells how the attempt ended.
        message: of several lines at most.
        traceback: of the exception that it tells of.
        left_out: how many lines right before it were left out, because there were too many.
    """

    at: str
    attempt: int
    number: int
    level: Level
    logger: str | UnsetType = UNSET
    message: str
    traceback: str | UnsetType = UNSET
    left_out: int | UnsetType = UNSET
