"""Writes what functions return, and what they are given, as JSON.

msgspec writes the types that JSON has a form for, but of most not what is derived from them. Libraries hand such values
out as if they were plain: numpy's float64 is a float, the strings of an HTML parser are str, pendulum's times are
datetimes.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda value: memoryview(value).tobytes()),
    (Decimal, Decimal),
    (datetime, lambda value: datetime.combine(datetime.date(value), datetime.timetz(value))),
    (date, lambda value: date(value.year, value.month, value.day)),
    (timedelta, lambda value: timedelta(value.days, value.seconds, value.microseconds)),
)


def _plain(value: Any) -> Any:
    """The same value without its class: what a subclass has beyond its base is not in JSON."""
    kind = type(value)
    for base, convert in _PLAIN:
        if issubclass(kind, base):
            return convert(value)
    raise TypeError(_no_json(kind))


def _no_json(kind: type) -> str:
    """Why a value has no form in JSON, and what to give instead."""
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if kind in (tuple, list, dict, set, frozenset, bool):  # which are values, but no keys
        return f"a {name} cannot be a key of a JSON object: make it a str"
    for method in ("tolist", "to_dict", "model_dump"):  # of numpy and its like, of tables, of models
        if hasattr(kind, method):
            return f"{name} is no JSON type: call its {method}()"
    if hasattr(kind, "__iter__") or hasattr(kind, "__aiter__"):
        return f"{name} is no JSON type: make a list of it"
    return f"{name} is no JSON type: give a dict, a list, a dataclass or a str instead"


encode = msgspec.json.Encoder(enc_hook=_plain).encode
"""The JSON of a value, in UTF-8. Raises TypeError, ValueError, OverflowError or RecursionError if it has none."""
