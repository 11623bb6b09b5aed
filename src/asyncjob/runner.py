"""Run one job function: arguments in, outcome out.

Whatever the function does, there is an outcome: it may raise, exit, return something that JSON cannot hold, or return
too much. Only the loss of the process leaves none, which the engine notices. A process that the function forks is not
the engine's: if it returns to this file, it ends.
"""

import inspect
import os
import sys
from collections.abc import Awaitable
from contextlib import suppress
from types import GeneratorType
from typing import Any, NoReturn, cast

import msgspec

from asyncjob import durations, failure
from asyncjob.context import JobContext, RetryLater, running
from asyncjob.encoding import encode
from asyncjob.job import Error
from asyncjob.registry import InvalidParameters, JobFunction

MAX_RESULTS_BYTES = 1_048_576

_skip = msgspec.json.Decoder(msgspec.Raw).decode  # reads all of it and keeps nothing


class Succeeded(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The function returned; `results` is its value as JSON, in UTF-8."""

    results: bytes


class Failed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The function raised, or its value cannot be saved.

    Attributes:
        error: what `GET` shows if this was the last attempt.
        retryable: whether the function was registered to run again after this exception.
        traceback: where it was raised, for the log: files, lines and code. No message, since that may hold values.
    """

    error: Error
    retryable: bool = False
    traceback: str = ""


class Postponed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The function raised RetryLater: it has no answer yet and wants to run again.

    Attributes:
        error: what `GET` shows until then.
        seconds: the pause before the next attempt, 0 to `durations.MAX_SECONDS`.
        traceback: as in `Failed`.
    """

    error: Error
    seconds: float
    traceback: str = ""


class Unfinished(msgspec.Struct, frozen=True):
    """The function returned an awaitable: hand it to `finish`, on the event loop."""

    awaitable: Awaitable[Any]
    process: int


Outcome = Succeeded | Failed | Postponed


def run(function: JobFunction, context: JobContext, parameters: bytes) -> Outcome | Unfinished:
    """Call a job function.

    Args:
        function: the registered function.
        context: handed to it where it asks for one.
        parameters: a JSON object, as it was submitted.
    """
    process = os.getpid()
    running.set(context)
    try:
        arguments = function.read(parameters)
        value = function.function(*([context] if function.takes_context else []), **arguments)
        _leave_if_forked(process, None)
        return Unfinished(value, process) if _is_awaitable(value) else _succeeded(function, value)
    except BaseException as error:  # even SystemExit: a function that exits has answered, and its worker goes on
        _leave_if_forked(process, error)
        return failed(function, error)


async def finish(function: JobFunction, unfinished: Unfinished) -> Outcome:
    """Await what the function returned."""
    try:
        value = await unfinished.awaitable
        _leave_if_forked(unfinished.process, None)
        return _succeeded(function, value)
    except BaseException as error:
        _leave_if_forked(unfinished.process, error)
        return failed(function, error)


async def run_async(function: JobFunction, context: JobContext, parameters: bytes) -> Outcome:
    """Call a job function on the event loop, and await what it returns."""
    outcome = run(function, context, parameters)
    return await finish(function, outcome) if isinstance(outcome, Unfinished) else outcome


def _is_awaitable(value: Any) -> bool:
    """Like `inspect.isawaitable`, but a microsecond faster, and without asking the value for its class."""
    kind = type(value)
    return hasattr(kind, "__await__") or (kind is GeneratorType and inspect.isawaitable(value))


def failed(function: JobFunction, error: BaseException) -> Failed | Postponed:
    """The outcome of a function that raised."""
    try:
        where = failure.where(error)  # first: it frees what the function held
        told = _told(function, error)
        seconds = _postponed_by(error)
        if seconds is not None:
            return Postponed(told, seconds, where)
        return Failed(told, _is_retryable(function, error), where)
    except MemoryError:
        raise  # not even this much can be said: the process ends, which the engine notices
    except BaseException:  # no more can be learned from an exception of this class
        return Failed(Error(failure.type_name(error), ""))


def _told(function: JobFunction, error: BaseException) -> Error:
    limit = None if function.own_process is None else function.own_process.memory
    if limit is not None and any(issubclass(type(leaf), MemoryError) for leaf in failure.leaves(error)):
        return out_of_memory(limit)
    return Error(failure.type_name(error), failure.message(error))


def out_of_memory(limit: int) -> Error:
    """What is said of a job whose process has met its limit of memory, in bytes."""
    return Error("OutOfMemory", f"it needed more memory than the {limit >> 20:,} MB that its process may have")


def _postponed_by(error: BaseException) -> float | None:
    """The seconds of a RetryLater or, if it is a group of nothing else, the most of its leaves; None for all others."""
    leaves = list(failure.leaves(error))
    if not all(issubclass(type(leaf), RetryLater) for leaf in leaves):
        return None
    with suppress(Exception):  # a class derived from it may have other seconds, or none
        return max(durations.seconds(leaf.seconds) for leaf in cast(list[RetryLater], leaves))
    return None


def _is_retryable(function: JobFunction, error: BaseException) -> bool:
    """Whether the function names this exception or, if it is a group, one of its leaves."""
    if issubclass(type(error), InvalidParameters):
        return False
    named = function.retry_on
    return issubclass(type(error), named) or any(issubclass(type(leaf), named) for leaf in failure.leaves(error))


def _succeeded(function: JobFunction, value: Any) -> Outcome:
    try:
        results = encode(value)
        if len(results) > MAX_RESULTS_BYTES:
            message = f"the results are {len(results):,} bytes of JSON, over the limit of {MAX_RESULTS_BYTES:,}"
            return Failed(Error("InvalidResults", message))
        if function.read_results is None:
            check_json(results)  # a msgspec.Raw in it was copied unread
        else:
            function.read_results(results)
        return Succeeded(results)
    except msgspec.ValidationError as error:
        message = f"the results are not what the function's return type says: {failure.message(error)}"
        if "got `null`" in message:
            message += "; None, NaN and the infinities are null in JSON"
        return Failed(Error("InvalidResults", message))
    except MemoryError:
        raise
    except Exception as error:
        return Failed(Error("InvalidResults", f"the results cannot be written as JSON: {failure.message(error)}"))


def check_json(text: bytes) -> None:
    """Check that the text is JSON in UTF-8, without decoding it.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
        msgspec.DecodeError: it is not JSON.
        RecursionError: it is nested too deeply to tell.
    """
    if not text.isascii():
        text.decode()  # msgspec does not look at the bytes of a string that it skips
    _skip(text)


def _leave_if_forked(process: int, error: BaseException | None) -> None:
    """If this process is a child that the function forked, end it as Python would have."""
    if os.getpid() != process:
        try:
            _leave(error)
        finally:
            os._exit(1)


def _leave(error: BaseException | None) -> NoReturn:
    status: Any = 0
    if isinstance(error, SystemExit):
        status = 0 if error.code is None else error.code
    elif error is not None:
        status = f"{failure.where(error)}\na process that a job function forked raised {failure.type_name(error)}"
    if not isinstance(status, int):
        sys.stderr.write(f"{status}\n")
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status & 0xFF)
