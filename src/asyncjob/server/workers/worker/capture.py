"""What functions log becomes lines of the attempt that logs: every record of every logger, whatever handlers there are.

It is taken where a logger hands a record to its handlers, and not by a handler of ours: one would miss what does not
propagate, would be gone after `basicConfig(force=True)` or `dictConfig`, and beside a function's own handler for the
console each line would come twice. So what a handler prints of a record that was taken is left out.

An attempt is known by its context, which tasks inherit. A thread does not: it is marked with the attempt that starts
it, or whose call it runs, if it is of a ThreadPoolExecutor.
"""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NoReturn

from asyncjob.context import JobContext, asking, running
from asyncjob.server.workers.channel import AttemptKey
from asyncjob.server.workers.lines import (
    MAX_LINE_CHARACTERS,
    MAX_LOGGER_CHARACTERS,
    level_of,
    readable,
    readable_traceback,
)
from asyncjob.server.workers.worker.output import Output
from asyncjob.server.workers.worker.written import NOBODY, Written

HTTP = ("httpx", "httpcore")  # the loggers of what our own client sends its requests with
_JOB = "_asyncjob_job"  # the attribute of a thread that has its attempt
_TAKEN = "_asyncjob_taken"  # the one of a record that is a line already, or below the level


def attempt() -> AttemptKey:
    """The attempt whose code runs here."""
    job: JobContext | None = running.get() or getattr(threading.current_thread(), _JOB, None)
    return NOBODY if job is None else (job.job_id, job.attempt)


class Capture:
    """Takes the records of this process, from `start` on.

    Args:
        written: where they go.
        level: the lowest that is taken.
    """

    def __init__(self, written: Written, level: int) -> None:
        self._written = written
        self._level = level
        self._printing = threading.local()

    def start(self, outputs: list[Output]) -> None:
        """Take what is logged, and have the standard streams leave out what handlers make of it."""
        logging.getLogger().setLevel(self._level)
        logging.captureWarnings(True)
        for output in outputs:
            output.leaves_out = self._handles_taken
        self._take_records()
        self._mute_handlers()
        self._send_at_exit()
        _mark_threads()
        _mark_calls()

    def _handles_taken(self) -> bool:
        return getattr(self._printing, "depth", 0) > 0

    def _take_records(self) -> None:
        call_handlers = logging.Logger.callHandlers

        def take_and_call(logger: logging.Logger, record: logging.LogRecord) -> None:
            if not self._written.closed:
                with suppress(Exception):  # to log must not raise
                    self._take(record)
            if logger.hasHandlers():
                call_handlers(logger, record)
            elif self._written.closed and record.levelno >= self._level:  # a fork has no server to tell
                sys.stderr.write(f"{record.levelname} {record.name}: {_message(record)}\n{_traceback(record)}")

        logging.Logger.callHandlers = take_and_call  # type: ignore[assignment,method-assign]

    def _take(self, record: logging.LogRecord) -> None:
        setattr(record, _TAKEN, True)  # goes with its copies, as a QueueHandler makes them
        if record.levelno >= self._level and not (asking.get() and record.name.startswith(HTTP)):
            name = readable(str(record.name), MAX_LOGGER_CHARACTERS)
            message = readable(_message(record), MAX_LINE_CHARACTERS).rstrip()
            self._written.log(attempt(), level_of(record.levelno), name, message, _traceback(record))

    def _send_at_exit(self) -> None:
        """Send what a function has said before it ends its process."""
        leave = os._exit

        def send_and_leave(status: int) -> NoReturn:
            try:
                self._written.send_rest()
            finally:
                leave(status)

        os._exit = send_and_leave

    def _mute_handlers(self) -> None:
        handle, handle_error, printing = logging.Handler.handle, logging.Handler.handleError, self._printing

        def handle_muted(handler: logging.Handler, record: logging.LogRecord) -> Any:
            if _TAKEN not in record.__dict__:
                return handle(handler, record)
            printing.depth = getattr(printing, "depth", 0) + 1
            try:
                return handle(handler, record)
            finally:
                printing.depth -= 1

        def tell_of_error(handler: logging.Handler, record: logging.LogRecord) -> None:
            depth, printing.depth = getattr(printing, "depth", 0), 0
            try:
                handle_error(handler, record)
            finally:
                printing.depth = depth

        logging.Handler.handleError = tell_of_error  # type: ignore[assignment,method-assign]
        logging.Handler.handle = handle_muted  # type: ignore[assignment,method-assign]


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # where logging's own handlers would print a traceback of their own
        why = f"cannot be formatted: {type(error).__name__}"
    try:
        return f"{record.msg!r} with {record.args!r} {why}"
    except Exception:
        return f"{record.msg!r} {why}" if isinstance(record.msg, str) else f"a message {why}"


def _traceback(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append("".join(traceback.format_exception(*record.exc_info)))
    elif record.exc_text:  # it comes from another process
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return readable_traceback("\n".join(part.rstrip("\n") for part in parts)) if parts else ""


def _mark_threads() -> None:
    start = threading.Thread.start

    def mark_and_start(thread: threading.Thread) -> None:
        # A pool's thread outlives the call that it was started for.
        if getattr(getattr(thread, "_target", None), "__module__", "") != ThreadPoolExecutor.__module__:
            setattr(thread, _JOB, running.get() or getattr(threading.current_thread(), _JOB, None))
        start(thread)

    threading.Thread.start = mark_and_start  # type: ignore[assignment,method-assign]


def _mark_calls() -> None:
    submit = ThreadPoolExecutor.submit

    def mark_and_submit(pool: ThreadPoolExecutor, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        job = running.get() or getattr(threading.current_thread(), _JOB, None)
        if job is None or type(pool) is not ThreadPoolExecutor:  # others may hand the call to an interpreter of its own
            return submit(pool, call, *args, **named)
        return submit(pool, _marked, job, call, args, named)

    ThreadPoolExecutor.submit = mark_and_submit  # type: ignore[assignment,method-assign]


def _marked(job: JobContext, call: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    thread = threading.current_thread()
    setattr(thread, _JOB, job)
    try:
        return call(*args, **named)
    finally:
        setattr(thread, _JOB, None)
