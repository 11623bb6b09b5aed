"""Java's values as a mapping template (vtl.py) sees them: JSON, printing, arithmetic, equality and truth.

API Gateway's Velocity is Java and its JSON is json-smart's, so division goes towards zero, a map does not print as JSON
and 1e22 is written 1.0E22. Numbers, strings, maps and lists are Python's own, a Decimal is a BigDecimal, and None is
null and undefined alike. What could not be established is a RenderError.
"""

import json
import math
import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple


class RenderError(Exception):
    """What API Gateway answers with a 500 `{"message": "Internal server error"}`; the text tells a developer why."""


# --- Values and how they print ---


class JsonList(list[Any]):
    """A list out of JSON: unlike one made in the template it prints as JSON."""


class JavaSet(list[Any]):
    """A map's keys or entries: nothing in it has a place."""


class JavaArray(list[Any]):
    """What a text was split into: it has no text of its own."""


class Entry(NamedTuple):
    """One of a map's entrySet()."""

    key: str
    value: Any


def from_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        RenderError: It is no JSON, or has a number beyond a double.
    """

    def refused(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    if "\x7f" in text:  # json-smart loses it from strings that have an escape
        text = re.sub(r'"(?:[^"\\]|\\.)*"', lambda s: s[0].replace("\x7f", "") if "\\" in s[0] else s[0], text)
    try:
        return _java(json.loads(text, parse_constant=refused, parse_float=_fraction))
    except (ValueError, ArithmeticError, RecursionError) as e:
        raise RenderError(f"no JSON, or too deep: {e}") from e


def _fraction(text: str) -> float | Decimal:
    return Decimal(text) if len(text) > 18 else float(text)  # json-smart's bound


def _java(value: Any, depth: int = 0) -> Any:
    if depth >= 400 and isinstance(value, dict | list):
        raise RenderError("too deep: json-smart reads 400 levels")
    match value:
        case dict():
            return {key: _java(item, depth + 1) for key, item in value.items()}
        case list():
            return JsonList(_java(item, depth + 1) for item in value)
        case float() if not math.isfinite(value):
            raise RenderError("a number beyond a double: how it prints was not established")
    return value


_SHORT = {"\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\", "/": r"\/"}


def to_json(value: Any, escaped: str = "") -> str:
    """A value as json-smart writes JSON: no blanks, letters as they are, control characters and some signs escaped.

    Args:
        value: What from_json gave.
        escaped: A character to escape beside those that must be.
    """
    match value:
        case None:
            return "null"
        case str():
            special = rf'["\\\x00-\x1f\x7f-\x9f\u2000-\u20ff{escaped}]'
            return '"' + re.sub(special, lambda c: _SHORT.get(c[0]) or f"\\u{ord(c[0]):04X}", value) + '"'
        case dict():
            items = (f"{to_json(key, escaped)}:{to_json(item, escaped)}" for key, item in value.items())
            return "{" + ",".join(items) + "}"
        case list():
            return "[" + ",".join(to_json(item, escaped) for item in value) + "]"
    return to_string(value)


def to_string(value: Any, null: str = "") -> str:
    """A value's toString(); a null is nothing in text, and the word null inside of a map or a list."""
    match value:
        case None:
            return null
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return _double(value)
        case int() | Decimal():
            return str(value)
        case JsonList():
            return to_json(value, escaped="/")
        case Entry():
            return f"{value.key}={to_string(value.value, 'null')}"
        case dict():
            return "{" + ", ".join(to_string(Entry(*item)) for item in value.items()) + "}"
        case list() if not isinstance(value, JavaArray):
            return "[" + ", ".join(to_string(item, "null") for item in value) + "]"
    raise RenderError(f"how this prints was not established: {type(value).__name__}")


def _double(value: float) -> str:
    """Double.toString: a point always, an exponent outside of 0.001 to 10,000,000."""
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # no infinity gets in, and arithmetic on the rest is checked
    size = len(digits) + exponent - 1
    if value == 0 or -3 <= size < 7:
        plain = f"{Decimal(repr(value)):f}"
        return plain if "." in plain else f"{plain}.0"
    first, *rest = map(str, digits)
    return f"{'-' * sign}{first}.{''.join(rest) or '0'}E{size}"


# --- Numbers, truth and equality ---

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def truth(value: Any) -> bool:
    """Whether `#if` takes a value as true.

    Raises:
        RenderError: It is empty, or zero: true in one version of Velocity and false in another.
    """
    # Seen: an undefined reference and a null out of JSON are true.
    if value is None or isinstance(value, bool):
        return value is not False
    if value in ("", 0) or value in ([], {}):
        raise RenderError(f'whether {value!r} is true was not established: compare, as in "$!x" == ""')
    return True


def _equal(a: Any, b: Any) -> bool:
    if (_is_number(a) and _is_number(b)) or (type(a) is type(b) and a is not None):
        return bool(a == b)
    # Two kinds of value: by some accounts their texts are compared, by others they differ. Unlike texts differ by all.
    if to_string(a) == to_string(b):
        raise RenderError(f'whether {a!r} equals {b!r} was not established: write "$!x" == ""')
    return False


def operate(op: str, a: Any, b: Any) -> Any:
    """What an operator makes of two values; `&&` and `||`, which need not look at both, are not among them.

    Raises:
        RenderError: It is not for these values, or what it does with them was not established.
    """
    if op in ("==", "!="):
        return _equal(a, b) is (op == "==")
    if not (_is_number(a) and _is_number(b)):
        raise RenderError(f"{op} takes numbers: {a!r} {op} {b!r}")
    if op in ("/", "%") and b == 0:
        raise RenderError("division by zero")
    if op in ("/", "%") and isinstance(a, int) and isinstance(b, int):
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)  # Java's division goes towards zero
        return quotient if op == "/" else a - b * quotient
    try:
        return _java(_OPERATORS[op](a, b))
    except OverflowError as e:
        raise RenderError(f"{a!r} {op} {b!r}: {e}") from e
