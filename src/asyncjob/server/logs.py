"""The log: one line for each thing that happens, for people on a terminal or as JSON for programs.

A line names the job and the attempt that it is about, and never shows parameters or results.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, TextIO

from asyncjob.job import utc_now

logger = logging.getLogger("asyncjob")

_ID = "<job_id>"  # where the id is in a line that is made once for many: an id looks the same in text and in JSON
Entry = tuple[str, int, str, Mapping[str, Any]]
"""A line to write: when, as `timestamp` writes it, its level, its message and its fields."""


class LogFormat(StrEnum):
    """What log lines look like."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def writes(level: int) -> bool:
    """Whether lines of this level are written: ask before gathering the fields of very many."""
    return logger.isEnabledFor(level) if _least is None else level >= _least


def log(level: int, message: str, **fields: Any) -> None:
    """Write one line.

    Args:
        level: one of the logging module's.
        message: what happened, in the same words each time.
        fields: what it happened to, such as `job_id` and `attempt`.
    """
    if writes(level):
        _write([(utc_now(), level, message, fields)])


def log_each(level: int, message: str, attempts: Iterable[tuple[str, int]], **fields: Any) -> None:
    """Write a line for each of several attempts to which the same has happened, in one write.

    Most jobs get no other line, so this one is made of parts: to format each would cost a tenth of the jobs.

    Args:
        level: one of the logging module's.
        message: what happened, in the same words each time.
        attempts: to which: the job's id and the number of the attempt.
        fields: what else is said of each.
    """
    if not writes(level):
        return
    now = utc_now()
    if _write is not _write_lines:
        each = ({"job_id": job_id, "attempt": attempt} | fields for job_id, attempt in attempts)
        _write([(now, level, message, one) for one in each])
        return
    parts: dict[int, list[str]] = {}  # by attempt, which is the first of nearly all jobs
    lines = []
    for job_id, attempt in attempts:
        if attempt not in parts:
            same = {"job_id": _ID, "attempt": attempt} | fields
            parts[attempt] = f"{_line(now, logging.getLevelName(level), message, same)}\n".split(_ID)
        lines.append(job_id.join(parts[attempt]))
    _print(lines)


def log_entries(entries: Iterable[Entry]) -> None:
    """Write what has happened elsewhere, as far as its level is written."""
    _write([entry for entry in entries if writes(entry[1])])


def _write_lines(entries: list[Entry]) -> None:
    _print([f"{_line(at, logging.getLevelName(level), message, fields)}\n" for at, level, message, fields in entries])


def _print(lines: list[str]) -> None:
    with suppress(Exception):  # jobs go on even if nobody can read of them any more
        (_output or sys.stderr).write("".join(lines))


_output: TextIO | None = None  # what a user's module puts in the place of standard error is its own
_write: Callable[[list[Entry]], None] = _write_lines
_least: int | None = None  # of this program's own processes: a function there may disable all loggers, and mean its own


class Formatter(logging.Formatter):
    """Formats the lines of other libraries, above all uvicorn's, like ours."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return _line(utc_now(), record.levelname, record.getMessage(), fields)


def _text_line(now: str, level: str, message: str, fields: Mapping[str, Any]) -> str:
    return f"{now} {level:<7} {_text_of(message, fields)}"


def _text_of(message: str, fields: Mapping[str, Any]) -> str:
    words = "".join([f" {name}={_text(value)}" for name, value in fields.items() if name != "exception"])
    first, *more = message.split("\n")
    if fields.get("exception"):
        more += str(fields["exception"]).split("\n")
    rest = "".join([f"\n    {line}" for line in more])  # what a function logs must not look like a line of ours
    return f"{first}{words}{rest}"


def _text(value: Any) -> str:
    text = str(value)
    return text if text.isprintable() and text and " " not in text else json.dumps(text)


def _json_line(now: str, level: str, message: str, fields: Mapping[str, Any]) -> str:
    return json.dumps({"time": now, "level": level.lower(), "event": message} | _present(fields), default=str)


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != ""}


_line: Callable[[str, str, str, Mapping[str, Any]], str] = _text_line


def hand_to_logging() -> None:
    """Make a record of each line, for this process's own handlers; its attribute `asyncjob` has what JSON would."""
    global _write  # noqa: PLW0603

    def hand(entries: list[Entry]) -> None:
        for _, level, message, fields in entries:
            with suppress(Exception):  # of a handler or a filter of the application's
                logger.log(level, "%s", _text_of(message, fields), extra={"asyncjob": {"event": message, **fields}})

    _write = hand


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Set how lines look and which are written; uvicorn's warnings, and those of all others, are written alike.

    What a user's module has configured for itself is undone: the loggers that `dictConfig` disables are ours, too.
    """
    global _line, _least, _output  # noqa: PLW0603
    _output = sys.stderr
    _least = logging.getLevelNamesMapping()[level.upper()]
    logging.disable(logging.NOTSET)
    _line = _json_line if log_format is LogFormat.JSON else _text_line
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    for name, least in (("asyncjob", level.upper()), ("uvicorn", "WARNING"), (None, "WARNING")):
        named = logging.getLogger(name)
        named.handlers = [handler]
        named.setLevel(least)
        named.propagate = False
    for name in ("asyncjob", "uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).disabled = False


def hand_over(level: int, take: Callable[[int, str, dict[str, Any]], None]) -> None:
    """Have another write the lines of this process.

    Args:
        level: the lowest that is written.
        take: called with the level, the message and the fields of each.
    """
    global _write, _least

    def hand(entries: list[Entry]) -> None:
        for _, of, message, fields in entries:
            take(of, message, dict(fields))

    _write, _least = hand, level
