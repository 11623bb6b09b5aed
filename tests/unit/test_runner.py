"""Running one function: whatever it does, there is an outcome."""

import asyncio
import math
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from asyncjob import JobCanceled, JobContext, Jobs, RetryLater
from asyncjob.job import Error, Progress
from asyncjob.runner import Failed, Outcome, Postponed, Succeeded, Unfinished, check_json, finish, run, run_async


def _run(function: Callable[..., Any], parameters: bytes = b"{}", **limits: Any) -> Outcome:
    jobs = Jobs()
    jobs.job(name="it", **limits)(function)
    context = JobContext("12345", 1)
    if jobs["it"].is_async:
        return asyncio.run(run_async(jobs["it"], context, parameters))
    outcome = run(jobs["it"], context, parameters)
    return asyncio.run(finish(jobs["it"], outcome)) if isinstance(outcome, Unfinished) else outcome


def test_a_value_becomes_json_text() -> None:
    assert _run(lambda: {"a": [1, None]}) == Succeeded(b'{"a":[1,null]}')
    assert _run(lambda: type("Text", (str,), {})("x")) == Succeeded(b'"x"')


@pytest.mark.parametrize("text", [b"1", b' {"a": "\xc3\xa9"}', b"[]\n"])
def test_what_is_json_in_utf_8_passes_as_it_is(text: bytes) -> None:
    check_json(text)
    assert _run(lambda: msgspec.Raw(text)) == Succeeded(text)


@pytest.mark.parametrize("text", [b"", b"{", b'"\xff"', b'{"\xed\xa0\x80": 1}', b'["\xc3("]', b"1 2"])
def test_what_is_not_json_in_utf_8_does_not(text: bytes) -> None:
    with pytest.raises((UnicodeDecodeError, msgspec.DecodeError)):
        check_json(text)
    outcome = _run(lambda: msgspec.Raw(text))
    assert isinstance(outcome, Failed) and outcome.error.type == "InvalidResults"


def test_an_async_function_is_awaited() -> None:
    async def later(value: int) -> int:
        await asyncio.sleep(0)
        return value

    assert _run(later, b'{"value": 3}') == Succeeded(b"3")


def test_a_function_that_returns_an_awaitable_is_awaited() -> None:
    async def later() -> int:
        return 3

    assert _run(lambda: asyncio.wait_for(later(), 9)) == Succeeded(b"3")


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


def _raiser(error: BaseException) -> Callable[[], None]:
    def raises() -> None:
        raise error

    return raises


@pytest.mark.parametrize(
    ("error", "recorded"),
    [
        (ValueError("no"), Error("ValueError", "no")),
        (KeyError("key"), Error("KeyError", "'key'")),
        (SystemExit(3), Error("SystemExit", "3")),
        (KeyboardInterrupt(), Error("KeyboardInterrupt", "")),
        (MemoryError(), Error("MemoryError", "")),
        (_Unprintable(), Error("_Unprintable", "")),
        (ValueError("\ud800"), Error("ValueError", "?")),
        (ValueError("x" * 20_000), Error("ValueError", "x" * 9_999 + "…")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_function_raises_is_a_failure(error: BaseException, recorded: Error) -> None:
    outcome = _run(_raiser(error))
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.retryable) == (recorded, False)


@pytest.mark.parametrize(("error", "retryable"), [(ConnectionResetError("x"), True), (ValueError("x"), False)])
def test_only_what_the_function_names_is_retryable(error: Exception, retryable: bool) -> None:
    outcome = _run(_raiser(error), retry_on=(ConnectionError,))
    assert isinstance(outcome, Failed)
    assert outcome.retryable == retryable


class _NotYet(RetryLater):
    """A user's own, which knows its pause."""

    def __init__(self) -> None:
        super().__init__("2m", "not yet")


class _Silent(RetryLater):
    """One that never had a pause."""

    def __init__(self) -> None:
        pass


def _several(*errors: Exception) -> BaseException:
    return ExceptionGroup("some", [errors[0], ExceptionGroup("more", list(errors))])


@pytest.mark.parametrize(
    ("error", "kind", "message", "seconds"),
    [
        (RetryLater(0), "RetryLater", "again in 0 seconds", 0),
        (RetryLater(1.5, "busy"), "RetryLater", "busy", 1.5),
        (_NotYet(), "_NotYet", "not yet", 120),
        (pickle.loads(pickle.dumps(RetryLater(7, "busy"))), "RetryLater", "busy", 7),
        (RetryLater(1, "x" * 20_000), "RetryLater", "x" * 9_999 + "…", 1),
        (_several(RetryLater(1, "a"), _NotYet()), "ExceptionGroup", None, 120),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_that_asks_for_it_is_postponed_whatever_its_retry_on(
    error: BaseException, kind: str, message: str | None, seconds: float, is_async: bool
) -> None:
    async def raises() -> None:
        raise error

    for retry_on in ((), Exception):
        outcome = _run(raises if is_async else _raiser(error), retry_on=retry_on)
        assert isinstance(outcome, Postponed)
        assert (outcome.error.type, outcome.seconds) == (kind, seconds)
        assert message in (None, outcome.error.message)
        assert f'File "{__file__}", line ' in outcome.traceback


@pytest.mark.parametrize("error", [_Silent(), _several(RetryLater(1), ValueError("no"))], ids=["silent", "group"])
def test_what_says_no_pause_and_a_fault_beside_one_are_answers(error: BaseException) -> None:
    outcome = _run(_raiser(error))
    assert isinstance(outcome, Failed) and not outcome.retryable


@pytest.mark.parametrize("seconds", [-1, float("nan"), 1e12, "soon"])
def test_a_pause_that_is_none_is_refused_where_it_is_written(seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"length of time|out of range"):
        RetryLater(seconds)


def test_the_log_learns_where_it_was_raised_but_no_values() -> None:
    outcome = _run(_raiser(ValueError("private")))
    assert isinstance(outcome, Failed)
    assert outcome.traceback.startswith(f'  File "{__file__}", line ')
    assert outcome.traceback.endswith("raise error")
    assert "private" not in outcome.traceback


def test_parameters_that_fit_no_more_are_a_failure_that_no_retry_mends() -> None:
    def changed(value: int) -> None: ...

    outcome = _run(changed, b'{"value": "old"}', retry_on=(Exception,))
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.retryable) == ("InvalidParameters", False)


@pytest.mark.parametrize("value", [pytest.param(object(), id="object"), {1j: 1}, "\ud800", [[]]], ids=ascii)
def test_results_that_are_no_json_are_a_failure(value: Any) -> None:
    if value == [[]]:
        value[0] = value
    outcome = _run(lambda: value)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "InvalidResults"


def test_progress_is_reported_until_the_job_is_canceled() -> None:
    reported: list[Progress] = []
    context = JobContext("12345", 2, reported.append)
    context.progress(0)
    context.progress(1, "done")
    assert reported == [Progress(0.0), Progress(1.0, "done")]
    assert not context.canceled
    context.cancel()
    assert context.canceled
    with pytest.raises(JobCanceled):
        context.progress(1)
    assert len(reported) == 2


def test_no_progress_can_fail_a_job() -> None:
    reported: list[Progress] = []
    context = JobContext("12345", 1, reported.append)
    for fraction, message in ((-0.1, "\ud800"), (1.000001, "x" * 2_000), (float("nan"), "")):
        context.progress(fraction, message)
    assert reported == [Progress(0.0, "?"), Progress(1.0, "x" * 1_000), Progress(0.0, "")]
    context.progress(10**400)
    context.progress(-(10**400), Rude("x" * 2_000))
    assert reported[3:] == [Progress(1.0), Progress(0.0, "x" * 1_000)]


class Rude(str):
    """A text whose methods are not to be called."""

    def __getitem__(self, index: Any) -> str:
        raise SystemExit

    def encode(self, *arguments: Any, **named: Any) -> bytes:
        raise SystemExit

    def __str__(self) -> str:
        return self


def _group(depth: int) -> BaseException:
    error: BaseException = ConnectionResetError("the leaf")
    for level in range(depth):
        error = BaseExceptionGroup(f"level {level}", [error])
    return error


@pytest.mark.parametrize("depth", [1, 2, 5_000])
def test_a_leaf_however_deep_is_named_and_retried(depth: int) -> None:
    outcome = _run(_raiser(_group(depth)), retry_on=(ConnectionError,))
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert outcome.error.message.endswith("ConnectionResetError: the leaf")
    assert not _failed(_raiser(_group(depth)), retry_on=(ValueError,)).retryable


def test_of_a_large_group_the_first_leaves_are_named() -> None:
    message = _failed(_raiser(ExceptionGroup("many", [ValueError(f"{n}") for n in range(100_000)]))).error.message
    assert "; ValueError: 19; …" in message
    assert len(message) < 1_000


def _failed(function: Callable[..., Any], **limits: Any) -> Failed:
    outcome = _run(function, **limits)
    assert isinstance(outcome, Failed)
    return outcome


def test_the_log_learns_of_causes_and_contexts_unless_they_are_suppressed() -> None:
    def fails(how: str) -> None:
        try:
            _raiser(KeyError("private"))()
        except KeyError as error:
            error.add_note("private too")
            if how == "from it":
                raise ValueError from error
            if how == "from none":
                raise ValueError from None
            raise ValueError  # noqa: B904

    shown = {how: _failed(lambda how=how: fails(how)).traceback for how in ("from it", "from none", "beside it")}
    assert "\ncaused by KeyError:\n" in shown["from it"]
    assert "\nwhile handling KeyError:\n" in shown["beside it"]
    assert "KeyError:" not in shown["from none"]
    assert "private too" not in shown["from it"].replace('add_note("private too")', "")


def test_a_loop_of_causes_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert _failed(_raiser(one)).traceback.count("caused by ValueError") == 1


def test_notes_are_shown_with_the_message() -> None:
    error = ValueError("no")
    error.add_note("but why")
    assert _failed(_raiser(error)).error.message == "no\nbut why"
    error.__notes__ = "not a list"  # type: ignore[assignment]
    assert _failed(_raiser(error)).error.message == "no"


def test_a_number_that_became_null_is_explained() -> None:
    def ratio() -> float:
        return math.nan

    outcome = _run(ratio)
    assert isinstance(outcome, Failed)
    assert outcome.error.message.endswith("Expected `float`, got `null`; None, NaN and the infinities are null in JSON")
