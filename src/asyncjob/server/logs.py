"""One line an event: for people on a terminal, or as JSON for programs.

Events carry a job's id and attempt where they have them, never its parameters or results.
"""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from asyncjob.job import utc_now
from asyncjob.server.settings import LogFormat, LogLevel

logger = logging.getLogger("asyncjob")


def log(level: int, message: str, **fields: Any) -> None:
    """Log one event.

    Args:
        level: of the logging module.
        message: what happened, the same words each time.
        fields: what it happened to, such as `job_id` and `attempt`.
    """
    log_each(level, message, [fields])


def log_each(level: int, message: str, happened: list[dict[str, Any]]) -> None:
    """Log the same event of several jobs, a line each, in one write: a record each would cost more than the jobs.

    Args:
        level: of the logging module.
        message: what happened, the same words each time.
        happened: what it happened to, for each line.
    """
    if logger.isEnabledFor(level):
        now, name = utc_now(), logging.getLevelName(level)
        with suppress(OSError, ValueError):  # nobody reads it any more: that must not stop the jobs
            sys.stderr.write("".join(f"{_line(now, name, message, fields)}\n" for fields in happened))


class Formatter(logging.Formatter):
    """Gives what others log, uvicorn above all, the same look."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return _line(utc_now(), record.levelname, record.getMessage(), fields)


def _text_line(now: str, level: str, message: str, fields: dict[str, Any]) -> str:
    words = "".join(f" {name}={_text(value)}" for name, value in fields.items() if name != "exception")
    exception = f"\n{fields['exception']}" if fields.get("exception") else ""
    return f"{now} {level:<7} {message}{words}{exception}"


def _text(value: Any) -> str:
    text = str(value)
    return text if text.isprintable() and text and " " not in text else json.dumps(text)


def _json_line(now: str, level: str, message: str, fields: dict[str, Any]) -> str:
    return json.dumps({"time": now, "level": level.lower(), "event": message} | _present(fields), default=str)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != ""}


_line: Callable[[str, str, str, dict[str, Any]], str] = _text_line


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Set how events look and which are shown; uvicorn's warnings are shown in the same way."""
    global _line  # noqa: PLW0603
    _line = _json_line if log_format is LogFormat.JSON else _text_line
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    for name, least in (("asyncjob", level.upper()), ("uvicorn", "WARNING")):
        named = logging.getLogger(name)
        named.handlers = [handler]
        named.setLevel(least)
        named.propagate = False
