"""Run one job function: arguments in, outcome out.

Whatever the function does, the answer is an outcome: it raises, exits, returns what JSON cannot hold, or returns too
much of it. Only losing the process itself leaves none, and that is for the engine to notice.
"""

import traceback
from typing import Any

import msgspec

from asyncjob.context import JobContext
from asyncjob.job import Error, writable
from asyncjob.registry import InvalidParameters, JobFunction

MAX_RESULTS_BYTES = 1_048_576
MAX_ERROR_CHARACTERS = 10_000
MAX_FRAMES = 20


class Succeeded(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The function returned; `results` is its value as JSON text."""

    results: str


class Failed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The function raised, or what it returned cannot be saved.

    Attributes:
        error: what `GET` shows when this was the last attempt.
        retryable: True when the function was registered to run again after this exception.
        traceback: where it was raised, for the log: files, lines and code, but no message, since that may hold values.
    """

    error: Error
    retryable: bool = False
    traceback: str = ""


Outcome = Succeeded | Failed


def run(function: JobFunction, context: JobContext, parameters: bytes) -> Outcome:
    """Call a sync job function.

    Args:
        function: the registered function.
        context: handed to it where it asks for one.
        parameters: a JSON object, as it was submitted.
    """
    try:
        arguments = _arguments(function, parameters)
        return _succeeded(function.function(*([context] if function.takes_context else []), **arguments))
    except BaseException as error:  # SystemExit too: a function that exits has answered, its worker goes on
        return _failed(function, error)


async def run_async(function: JobFunction, context: JobContext, parameters: bytes) -> Outcome:
    """Await an async job function; otherwise as `run`."""
    try:
        arguments = _arguments(function, parameters)
        return _succeeded(await function.function(*([context] if function.takes_context else []), **arguments))
    except BaseException as error:
        return _failed(function, error)


def _arguments(function: JobFunction, parameters: bytes) -> dict[str, Any]:
    return function.parse(msgspec.json.decode(parameters))


def _succeeded(value: Any) -> Outcome:
    try:
        results = msgspec.json.encode(value)
    except Exception as error:
        return Failed(Error("InvalidResults", f"the results cannot be written as JSON: {error}"))
    if len(results) > MAX_RESULTS_BYTES:
        message = f"the results are {len(results):,} bytes of JSON, over the limit of {MAX_RESULTS_BYTES:,}"
        return Failed(Error("InvalidResults", message))
    return Succeeded(results.decode())


def _failed(function: JobFunction, error: BaseException) -> Failed:
    traceback.clear_frames(error.__traceback__)  # what the function held, which may be all the memory there is
    retryable = isinstance(error, function.retry_on) and not isinstance(error, InvalidParameters)
    frames = traceback.format_tb(error.__traceback__)[1:]  # without this file's own
    shown = "".join(frames[-MAX_FRAMES:]).rstrip()
    return Failed(Error(writable(type(error).__name__), _message(error)), retryable, writable(shown))


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # an exception's own __str__ may raise; its class still says something
        message = ""
    text = writable(message)
    return text if len(text) <= MAX_ERROR_CHARACTERS else text[: MAX_ERROR_CHARACTERS - 1] + "…"
