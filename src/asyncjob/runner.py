"""Run one job function: arguments in, outcome out.

Whatever the function does, the answer is an outcome: it raises, exits, returns what JSON cannot hold, or returns too
much of it. Only losing the process itself leaves none, and that is for the engine to notice.
"""

from typing import Any

import msgspec

from asyncjob.context import JobContext
from asyncjob.job import Error
from asyncjob.registry import InvalidParameters, JobFunction

MAX_RESULTS_BYTES = 1_048_576
MAX_ERROR_CHARACTERS = 10_000


class Succeeded(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The function returned; `results` is its value as JSON text."""

    results: str


class Failed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The function raised, or what it returned cannot be saved.

    Attributes:
        error: what `GET` shows when this was the last attempt.
        retryable: True when the function was registered to run again after this exception.
    """

    error: Error
    retryable: bool


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
        return Failed(Error("InvalidResults", f"the results cannot be written as JSON: {error}"), retryable=False)
    if len(results) > MAX_RESULTS_BYTES:
        message = f"the results are {len(results):,} bytes of JSON, over the limit of {MAX_RESULTS_BYTES:,}"
        return Failed(Error("InvalidResults", message), retryable=False)
    return Succeeded(results.decode())


def _failed(function: JobFunction, error: BaseException) -> Failed:
    retryable = isinstance(error, function.retry_on) and not isinstance(error, InvalidParameters)
    return Failed(Error(type(error).__name__, _message(error)), retryable)


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # an exception's own __str__ may raise; its class still says something
        message = ""
    text = message.encode(errors="replace").decode()  # lone surrogates are no JSON
    return text if len(text) <= MAX_ERROR_CHARACTERS else text[: MAX_ERROR_CHARACTERS - 1] + "…"
