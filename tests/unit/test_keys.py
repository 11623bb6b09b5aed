"""Values that a function cannot tell apart count as one, for its limits and for jobs that are the same."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from asyncjob import Jobs, Limit, RegistrationError, Unique
from asyncjob.keys import limit_key, unique_key

jobs = Jobs()


@jobs.job(unique=Unique("value"), concurrency=Limit(1, per="value"))
def of_anything(value: Any) -> None: ...


@jobs.job(unique=Unique("value"), concurrency=Limit(1, per="value"))
def of_a_decimal(value: Decimal) -> None: ...


@jobs.job(unique=Unique("value"), concurrency=Limit(1, per="value"))
def of_a_time(value: datetime) -> None: ...


@jobs.job(unique=Unique("value"), concurrency=Limit(1, per="value"))
def of_times(value: dict[str, list[datetime]]) -> None: ...


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("of_anything", '{"a":1,"b":2}', '{"b":2,"a":1}'),
        ("of_anything", "-0.0", "0.0"),
        ("of_a_decimal", "1.10", "1.1"),
        ("of_a_decimal", "1E2", "100"),
        ("of_a_decimal", "-0", "0"),
        ("of_a_time", '"2026-01-01T00:00:00Z"', '"2026-01-01T01:00:00+01:00"'),
        ("of_times", '{"a":["2026-01-01T00:00:00Z"]}', '{"a":["2025-12-31T23:00:00-01:00"]}'),
    ],
)
def test_equal_values_have_one_key(name: str, one: str, other: str) -> None:
    keys = {
        (limit_key(jobs[name], parameters), unique_key(jobs[name], parameters))
        for parameters in (f'{{"value":{text}}}'.encode() for text in (one, other))
    }
    assert len(keys) == 1


def test_other_values_have_others() -> None:
    texts = (b"1", b'"1"', b"true", b"null", b"[1]", b'{"a":1}', b"1.5")
    assert len({limit_key(jobs["of_anything"], b'{"value":%b}' % text) for text in texts}) == len(texts)


def test_a_long_value_does_not_make_a_long_key() -> None:
    key = limit_key(jobs["of_anything"], msgspec.json.encode({"value": "x" * 100_000}))
    assert key is not None and len(key) < 100


def test_a_limit_for_a_parameter_without_a_name_is_refused() -> None:
    with pytest.raises(RegistrationError, match="it has no parameter ''"):
        Jobs().job(name="f", concurrency=Limit(1, per=""))(lambda: None)
