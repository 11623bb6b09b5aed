"""One line an event: for people on a terminal, or as JSON for programs.

Events carry a job's id and attempt where they have them, never its parameters or results.
"""

import json
import logging
import sys
from typing import Any, Literal

from asyncjob.job import utc_now

logger = logging.getLogger("asyncjob")


def event(level: int, message: str, **fields: Any) -> None:
    """Log one event.

    Args:
        level: of the logging module.
        message: what happened, the same words each time.
        fields: what it happened to, such as `job_id` and `attempt`.
    """
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"fields": fields})


class TextFormatter(logging.Formatter):
    """`2024-06-06T12:34:56.789Z INFO job ended job_id=12345 attempt=1`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_text(value)}" for name, value in getattr(record, "fields", {}).items())
        line = f"{utc_now()} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """The same as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": utc_now(), "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _text(value: Any) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else json.dumps(text)


def configure(log_format: Literal["text", "json"], level: str) -> None:
    """Send the events of this process, and uvicorn's warnings, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    for name, least in (("asyncjob", level.upper()), ("uvicorn", "WARNING")):
        named = logging.getLogger(name)
        named.handlers = [handler]
        named.setLevel(least)
        named.propagate = False
