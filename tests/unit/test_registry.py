"""Registering job functions, and what their signatures mean."""

import asyncio
import decimal
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from asyncjob import JobContext, Jobs, RegistrationError
from asyncjob.policies import OwnProcess
from asyncjob.registry import InvalidParameters


def test_a_function_is_registered_under_its_name_and_stays_itself() -> None:
    jobs = Jobs()

    @jobs.job
    def double(value: int) -> int:
        return value * 2

    assert double(2) == 4
    assert jobs.names == ["double"]
    assert jobs["double"].parse({"value": 3}) == {"value": 3}
    assert (jobs["double"].timeout, jobs["double"].retries, jobs["double"].retry_on) == (None, 2, ())


def test_the_name_and_the_limits_may_be_chosen() -> None:
    jobs = Jobs()

    @jobs.job(name="fetch-all", timeout=60, retries=5, retry_on=(ConnectionError,))
    async def fetch(context: JobContext, urls: list[str]) -> None: ...

    function = jobs["fetch-all"]
    assert (function.timeout, function.retries, function.retry_on) == (60, 5, (ConnectionError,))
    assert function.is_async
    assert function.takes_context
    assert function.parse({"urls": []}) == {"urls": []}


def test_a_default_is_made_anew_for_each_job() -> None:
    jobs = Jobs()

    @jobs.job
    def collect(names: list[list[str]] = [["first"]]) -> None: ...  # noqa: B006

    one = jobs["collect"].parse({})
    one["names"][0].append("second")
    assert jobs["collect"].parse({}) == {"names": [["first"]]}


@dataclass
class Choice:
    names: list[str] = field(default_factory=list)


class Changeable(msgspec.Struct):
    names: list[str] = []


class Fixed(msgspec.Struct, frozen=True):
    names: list[str] = []


@pytest.mark.parametrize(
    "hint",
    [JobContext, "JobContext", JobContext | None, Annotated[JobContext, "it"], Annotated[JobContext | None, "it"]],
)
def test_a_context_may_be_annotated_and_optional(hint: Any) -> None:
    def convert(context=None, pages=1) -> None: ...  # type: ignore[no-untyped-def]

    convert.__annotations__.update(context=hint, pages=int)
    jobs = Jobs()
    jobs.job(convert)
    assert jobs["convert"].takes_context
    assert jobs["convert"].parse({}) == {"pages": 1}


@pytest.mark.parametrize("kind", [Choice, Changeable, Fixed])
def test_an_object_that_is_a_default_is_made_anew_too_and_shown(kind: type[Any]) -> None:
    def collect(one=kind(), pair=([], 1), text=bytearray(b"x")) -> None: ...  # type: ignore[no-untyped-def] # noqa: B008

    collect.__annotations__.update(one=kind, pair=tuple[list[str], int], text=bytearray)
    jobs = Jobs()
    jobs.job(collect)
    first = jobs["collect"].parse({})
    first["one"].names.append("late")
    first["pair"][0].append("late")
    first["text"].append(0)
    second = jobs["collect"].parse({})
    assert (second["one"].names, second["pair"], second["text"]) == ([], ([], 1), b"x")
    shown = msgspec.json.schema(jobs["collect"].parameters)["$defs"]["collect"]["properties"]
    assert [shown[name]["default"] for name in ("one", "pair", "text")] == [{"names": []}, [[], 1], "eA=="]


def test_a_parameter_without_a_hint_takes_anything() -> None:
    jobs = Jobs()

    @jobs.job
    def anything(value): ...  # type: ignore[no-untyped-def]

    for value in (None, 1, "x", [1], {"a": 1}):
        assert jobs["anything"].parse({"value": value}) == {"value": value}


def job_id_reserved(jobId: str) -> None: ...
def type_reserved(type: str) -> None: ...
def positional(value: int, /) -> None: ...
def many(*values: int) -> None: ...
def named(**values: int) -> None: ...
def late_context(value: int, context: JobContext) -> None: ...
def context_by_name(*, context: JobContext) -> None: ...
def no_json(value: complex) -> None: ...
def odd_class(value: list[decimal.Context]) -> None: ...
def no_such_hint(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


def odd_default(value: int = object()) -> None: ...  # type: ignore[assignment]
def bad_bounds(value: Annotated[str, Meta(ge=1)]) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (job_id_reserved, "may not be called 'jobId'"),
        (type_reserved, "may not be called 'type'"),
        (positional, "must accept its value by name"),
        (many, "must accept its value by name"),
        (named, "must accept its value by name"),
        (late_context, "JobContext must be the first"),
        (context_by_name, "JobContext must be the first parameter, with no"),
        (no_json, "JSON cannot be checked against the hint of 'value'"),
        (odd_class, "against the hint of 'value': JSON cannot show <class 'decimal.Context'>: it can show a dataclass"),
        (no_such_hint, "signature cannot be read: name 'Nowhere' is not defined: what hints name must be"),
        (bad_bounds, "JSON cannot be checked against the hint of 'value'"),
        (lambda: None, "'<lambda>' cannot name a job function"),
        (generator, "is not a function that returns a value"),
        (async_generator, "is not a function that returns a value"),
        (odd_default, "the default of 'value' cannot be written as JSON"),
        (dict, "is not a function that returns a value"),
        ("name", "is not a function that returns a value: write @jobs.job or"),
    ],
)
def test_a_function_that_cannot_be_a_job_is_refused_with_the_reason(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(RegistrationError, match=reason.replace("(", r"\(")):
        Jobs().job(function)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"retries": 101}, "retries"),
        ({"retries": 1.5}, "retries"),
        ({"timeout": "1"}, "timeout"),
        ({"retry_on": "ConnectionError"}, "retry_on"),
        ({"retry_on": ("ConnectionError",)}, "retry_on"),
        ({"name": ""}, "cannot name"),
        ({"name": 5}, "cannot name"),
        ({"name": "a b"}, "cannot name"),
        ({"name": "x" * 65}, "cannot name"),
    ],
)
def test_limits_out_of_bounds_are_refused(limits: dict[str, Any], reason: str) -> None:
    with pytest.raises(RegistrationError, match=reason):
        Jobs().job(**{"name": "limited", **limits})(lambda: None)


def test_two_functions_of_one_name_are_refused() -> None:
    jobs = Jobs()
    jobs.job(name="twice")(lambda: None)
    with pytest.raises(RegistrationError, match="two job functions are called 'twice'"):
        jobs.job(name="twice")(lambda: None)


def test_parameters_are_checked_against_the_hints() -> None:
    jobs = Jobs()

    @jobs.job
    def paint(color: Literal["red", "blue"], size: Annotated[int, Meta(ge=1, le=10)] = 1) -> None: ...

    assert jobs["paint"].parse({"color": "red"}) == {"color": "red", "size": 1}
    for wrong in ({}, {"color": "green"}, {"color": "red", "size": 0}, {"color": "red", "extra": 1}, {"color": 1}):
        with pytest.raises(InvalidParameters):
            jobs["paint"].parse(wrong)


@dataclass
class Raises:
    what: str

    def __post_init__(self) -> None:
        raised: dict[str, BaseException | type[BaseException]] = {
            "text": ValueError("\ud800" + "x" * 100_000),
            "key": KeyError("what"),
            "assert": AssertionError,
            "exit": SystemExit(1),
            "cancel": asyncio.CancelledError,
            "interrupt": KeyboardInterrupt,
        }
        raise raised[self.what]


@pytest.mark.parametrize("also", [int, Decimal])  # which is read in another way
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("text", "?xxx"),
        ("key", "a parameter cannot be made of this: KeyError: 'what'"),
        ("assert", "a parameter cannot be made of this: AssertionError"),
        ("exit", "a parameter cannot be made of this: SystemExit: 1"),
        ("cancel", "a parameter cannot be made of this: CancelledError"),
        ("interrupt", "a parameter cannot be made of this: KeyboardInterrupt"),
    ],
)
def test_whatever_a_parameters_class_raises_is_one_message_that_can_be_sent(what: str, said: str, also: Any) -> None:
    jobs = Jobs()

    def takes(part: Raises, also: Any = 1) -> None: ...

    takes.__annotations__["also"] = also
    jobs.job(takes)
    with pytest.raises(InvalidParameters) as refused:
        jobs["takes"].read(msgspec.json.encode({"part": {"what": what}}))
    message = str(refused.value)
    assert message.startswith(said) and len(message.encode()) < 11_000


def test_one_exception_to_retry_on_needs_no_tuple() -> None:
    jobs = Jobs()
    jobs.job(name="one", retry_on=OSError)(lambda: None)
    assert jobs["one"].retry_on == (OSError,)


def test_what_has_a_signature_may_be_a_job() -> None:
    def scale(factor: int, value: int = 2) -> int:
        return factor * value

    class Scale:
        async def __call__(self, context: JobContext, value: int) -> None: ...

    jobs = Jobs()
    jobs.job(functools.partial(scale, 3))
    jobs.job(name="object")(Scale())
    jobs.job(name="method")(Scale().__call__)
    jobs.job(name="wrapped")(functools.wraps(fetch)(lambda *arguments: [fetch(*arguments)][0]))
    assert jobs["scale"].parse({}) == {"value": 2}
    assert [jobs[name].is_async for name in ("scale", "object", "method", "wrapped")] == [False, True, True, False]
    assert [jobs[name].takes_context for name in ("object", "method", "wrapped")] == [True, True, False]
    with pytest.raises(RegistrationError, match="is not a function that returns a value"):
        jobs.job(name="generates")(functools.partial(async_generator))


async def fetch(url: str) -> None: ...


@dataclass
class Point:
    x: Decimal
    y: int = 0


@dataclass(frozen=True)
class Line:
    begin: Point
    more: list[Point] = field(default_factory=list)
    name: str = "line"


def test_a_dataclass_has_its_defaults_when_it_is_written_as_json_again() -> None:
    jobs = Jobs()

    @jobs.job
    def draw(line: Line, by_name: dict[str, Point], other: Point | None = None) -> None: ...

    text = b'{"line":{"begin":{"x":1.10},"more":[{"x":2}]},"by_name":{"a":{"x":3}}}'
    assert msgspec.json.encode(jobs["draw"].read(text)) == (
        b'{"line":{"begin":{"x":"1.10","y":0},"more":[{"x":"2","y":0}],"name":"line"},'
        b'"by_name":{"a":{"x":"3","y":0}},"other":null}'
    )


@pytest.mark.parametrize("hint", [Decimal, Decimal | None, list[Decimal], dict[str, Decimal], Point, Line, list[Line]])
def test_a_decimal_is_found_wherever_it_is_in_a_hint(hint: Any) -> None:
    def function(value): ...  # type: ignore[no-untyped-def]

    function.__annotations__["value"] = hint
    jobs = Jobs()
    jobs.job(function)
    jobs.job(name="other")(lambda value: None)
    assert jobs["function"].takes_decimals
    assert not jobs["other"].takes_decimals


@pytest.mark.parametrize(
    ("policies", "memory", "max_jobs"),
    [
        ({}, None, 1),
        ({"memory": "512M"}, 512 << 20, 1),
        ({"memory": " 2 g", "max_jobs": 20}, 2 << 30, 20),
        ({"memory": "1GiB"}, 1 << 30, 1),
        ({"memory": 100_000_000}, 100_000_000, 1),
    ],
)
def test_a_function_may_ask_for_processes_of_its_own(
    policies: dict[str, Any], memory: int | None, max_jobs: int
) -> None:
    jobs = Jobs()
    jobs.job(name="it", isolate=True, **policies)(lambda: None)
    assert jobs["it"].own_process == OwnProcess(memory, max_jobs)


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        ({"memory": "2G"}, "memory is of a process that the function has to itself: add isolate=True"),
        ({"max_jobs": 2}, "max_jobs is of a process that the function has to itself: add isolate=True"),
        ({"isolate": "yes"}, "isolate must be True or False, not 'yes'"),
        ({"isolate": True, "memory": "much"}, 'memory must be such as "512M" or "2G"'),
        ({"isolate": True, "memory": True}, 'memory must be such as "512M" or "2G"'),
        ({"isolate": True, "memory": "1M"}, "memory must be at least 64M"),
        ({"isolate": True, "max_jobs": 0}, "max_jobs must be a whole number from 1"),
        ({"isolate": True, "max_jobs": 1.5}, "max_jobs must be a whole number from 1"),
    ],
)
def test_what_is_said_of_processes_is_checked_at_the_import(policies: dict[str, Any], reason: str) -> None:
    with pytest.raises(RegistrationError, match=re.escape(reason)):
        Jobs().job(name="it", **policies)(lambda: None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_retries": 3}, "@jobs.job has no argument 'max_retries'; did you mean retries?"),
        ({"retry": 3}, "did you mean retries or retry_on?"),
        ({"retry_backoff": 3}, "did you mean backoff?"),
        ({"time_limit": 3}, "did you mean timeout?"),
        ({"timout": 3}, "did you mean timeout?"),
        ({"rate_limit": "10/m"}, "did you mean rate?"),
        ({"zzz": 1}, "there are name, timeout, retries"),
        ({"timeout": "soon"}, "timeout must be a time above 0"),
        ({"timeout": 0}, "timeout must be a time above 0"),
    ],
)
def test_an_argument_that_there_is_not_is_refused_with_the_nearest(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RegistrationError, match=re.escape(message)):
        Jobs().job(name="f", **given)(lambda: None)


def test_a_timeout_may_be_written_as_any_length_of_time() -> None:
    jobs = Jobs()
    for name, timeout in (("a", "1m30s"), ("b", timedelta(seconds=90)), ("c", 90)):
        jobs.job(name=name, timeout=timeout)(lambda: None)
        assert jobs[name].timeout == 90
