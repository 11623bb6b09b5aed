"""What is written as JSON beyond what msgspec writes by itself."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.encoding import encode

PLAIN: st.SearchStrategy[Any] = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(),
    st.floats(),
    st.binary(),
    st.decimals(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.dates(),
    st.timedeltas(),
)
CONSTRUCTED: dict[type, Any] = {
    datetime: lambda kind, at: kind(*at.timetuple()[:6], at.microsecond, at.tzinfo),
    date: lambda kind, day: kind(day.year, day.month, day.day),
    timedelta: lambda kind, length: kind(length.days, length.seconds, length.microseconds),
}


@given(PLAIN)
def test_a_value_of_a_derived_class_is_written_like_one_of_its_base(value: Any) -> None:
    base = type(value)
    derived = type("Derived", (base,), {"__str__": lambda self: "another", "__repr__": lambda self: "another"})
    make: Any = CONSTRUCTED.get(base, lambda kind, plain: kind(plain))
    assert encode([make(derived, value), {"in": make(derived, value)}]) == msgspec.json.encode([value, {"in": value}])


class Array:
    """As numpy's arrays and numbers, which are not installed here."""

    def tolist(self) -> list[int]:
        return [1]

    def __iter__(self) -> Any:
        raise AssertionError("it is not to be read")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "object is no JSON type: give a dict, a list, a dataclass or a str instead"),
        (range(3), "range is no JSON type: make a list of it"),
        ((each for each in (1,)), "generator is no JSON type: make a list of it"),
        (1j, "complex is no JSON type: give a dict"),
        (json.JSONDecoder(), "json.decoder.JSONDecoder is no JSON type: give a dict"),
        (Array(), f"{__name__}.Array is no JSON type: call its tolist()"),
        ({(1, 2): 3}, "a tuple cannot be a key of a JSON object: make it a str"),
    ],
)
def test_what_json_has_no_form_for_is_refused_with_what_to_do(value: Any, said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        encode([value])


class Price(Decimal):
    """As a library may have it."""


def test_what_is_plain_is_written_as_before() -> None:
    assert encode({"a": [1, "x", None, float("nan"), Decimal("1.10")]}) == b'{"a":[1,"x",null,null,"1.10"]}'
    assert encode(Price("1.10")) == b'"1.10"'
