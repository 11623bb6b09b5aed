"""Java's values as a mapping template (vtl.py) sees them: printing, arithmetic, equality and methods.

API Gateway's Velocity is Java, so strings are counted in UTF-16, division goes towards zero and a map is not JSON.
`$util` is here too: what it does to a text is what Java's libraries do. Numbers, strings, maps and lists are Python's
own, and None is null and undefined alike. What could not be established is a RenderError.
"""

import base64
import json
import math
import operator
import re
from array import array
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote_plus, unquote_plus


class RenderError(Exception):
    """What API Gateway answers with a 500 `{"message": "Internal server error"}`; the text tells a developer why."""


# --- Values and how they print ---


class _JsonList(list[Any]):
    """A list out of JSON: unlike one made in the template it prints as JSON."""


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

    try:
        return _java(json.loads(text, parse_constant=refused))
    except (ValueError, RecursionError) as e:
        raise RenderError(f"no JSON: {e}") from e


def _java(value: Any) -> Any:
    match value:
        case dict():
            return {key: _java(item) for key, item in value.items()}
        case list():
            return _JsonList(_java(item) for item in value)
        case float() if not math.isfinite(value):
            raise RenderError("a number beyond a double: how it prints was not established")
    return value


def to_json(value: Any) -> str:
    """A value as JSON without a blank, its letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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
        case int():
            return str(value)
        case _JsonList():
            return to_json(value)
        case Entry():
            return f"{value.key}={to_string(value.value, 'null')}"
        case dict():
            return "{" + ", ".join(to_string(Entry(*item)) for item in value.items()) + "}"
        case list():
            return "[" + ", ".join(to_string(item, "null") for item in value) + "]"
    raise RenderError(f"how this prints was not established: {type(value).__name__}")


def _double(value: float) -> str:
    """Double.toString: a point always, an exponent outside of 0.001 to 10,000,000."""
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # _java lets no infinity in, and arithmetic on the rest is checked
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


# --- Strings' methods, which count in UTF-16 as Java does ---


def _units(text: str) -> "array[int]":
    return array("H", text.encode("utf-16-le", "surrogatepass"))


def _substring(text: str, start: int, end: int | None = None) -> str:
    units = _units(text)
    end = len(units) if end is None else end
    if not 0 <= start <= end <= len(units):
        raise ValueError("index out of range")
    return units[start:end].tobytes().decode("utf-16-le", "surrogatepass")


def _index_of(text: str, part: str, start: int = 0) -> int:
    start = min(max(start, 0), len(_units(text)))
    at = _substring(text, start).find(part)
    return -1 if at < 0 else start + len(_units(_substring(text, start)[:at]))


def _compare(a: str, b: str) -> int:
    x, y = _units(a), _units(b)
    return next((left - right for left, right in zip(x, y, strict=False) if left != right), len(x) - len(y))


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)  # Java's classes are ASCII unless asked otherwise


def _replace(text: str, pattern: str, replacement: str, count: int = 0) -> str:
    r"""Java's replacement: `\x` is x, `$1` a group; any other `$`, and a last lone backslash, are exceptions."""
    parts = re.findall(r"\\(.)|\$(\d)|([^\\$]+)|(.)", replacement, re.DOTALL)
    if any(wrong for *_, wrong in parts):
        raise ValueError(f"illegal replacement {replacement!r}")

    def expanded(found: re.Match[str]) -> str:
        return "".join((found[int(group)] or "") if group else escaped + plain for escaped, group, plain, _ in parts)

    return _regex(pattern).sub(expanded, text, count=count)


def _split(text: str, pattern: str) -> list[str]:
    parts, start = [], 0
    for found in _regex(pattern).finditer(text):
        if found.end() > 0:  # Java makes no empty first part of a match without width
            parts.append(text[start : found.start()])
            start = found.end()
    if not parts:
        return [text]
    parts.append(text[start:])
    while parts and not parts[-1]:
        parts.pop()
    return parts


# --- $util ---


class Util:
    """The type of `$util`, which has methods and nothing else."""


_ESCAPES = {
    "\b": r"\b",
    "\n": r"\n",
    "\t": r"\t",
    "\f": r"\f",
    "\r": r"\r",
    "'": r"\'",
    '"': r"\"",
    "\\": r"\\",
    "/": r"\/",
}


def _escape_javascript(_: Util, text: str) -> str:
    def escaped(unit: int) -> str:
        char = chr(unit)
        return _ESCAPES.get(char) or (char if 32 <= unit <= 127 else f"\\u{unit:04X}")

    return "".join(map(escaped, _units(text)))


def _url_decode(_: Util, text: str) -> str:
    if found := re.search("%(?![0-9A-Fa-f]{2}).{0,2}", text):
        raise ValueError(f"illegal escape {found.group()}")
    return unquote_plus(text, errors="replace")


def _url_encode(_: Util, text: str) -> str:
    return quote_plus(text, safe="*", errors="replace").replace("~", "%7E")  # URLEncoder knows no tilde


def _base64_decode(_: Util, text: str) -> str:
    return base64.b64decode(text, validate=True).decode(errors="replace")


# --- What may be called on what: per name the kinds of its arguments as a regex (s text, i integer, n null, o other),
#     and the function. Java answers a method that it does not know with null; here it is an error: it is a slip. ---

_Methods = dict[str, tuple[str, Callable[..., Any]]]
_ANY: _Methods = {"toString": ("", to_string), "equals": ("[^n]", lambda x, y: type(x) is type(y) and x == y)}
_LIST: _Methods = {
    **_ANY,
    "size": ("", len),
    "get": ("i", lambda x, i: x[i] if i >= 0 else [][i]),
    "contains": ("[^n]", lambda x, y: any(type(y) is type(item) and y == item for item in x)),
    "isEmpty": ("", lambda x: not x),
}
METHODS: dict[type, _Methods] = {
    str: {
        **_ANY,
        "length": ("", lambda x: len(_units(x))),
        "isEmpty": ("", lambda x: not x),
        "equalsIgnoreCase": ("s", lambda x, y: x.upper().lower() == y.upper().lower()),
        "contains": ("s", lambda x, y: y in x),
        "startsWith": ("s", str.startswith),
        "endsWith": ("s", str.endswith),
        "indexOf": ("si?", _index_of),
        "substring": ("ii?", _substring),
        "replace": ("ss", str.replace),
        "replaceAll": ("ss", _replace),
        "replaceFirst": ("ss", lambda x, y, z: _replace(x, y, z, 1)),
        "matches": ("s", lambda x, y: bool(_regex(y).fullmatch(x))),
        "split": ("s", _split),
        "toLowerCase": ("", str.lower),
        "toUpperCase": ("", str.upper),
        "trim": ("", lambda x: x.strip("".join(map(chr, range(33))))),
        "compareTo": ("s", _compare),
        "concat": ("s", lambda x, y: x + y),
    },
    bool: _ANY,
    int: _ANY,
    float: _ANY,
    list: _LIST,
    _JsonList: _LIST,
    dict: {
        **_ANY,
        "get": ("s", dict.get),
        "containsKey": ("s", lambda x, y: y in x),
        "keySet": ("", list),
        "entrySet": ("", lambda x: [Entry(*item) for item in x.items()]),
        "size": ("", len),
        "isEmpty": ("", lambda x: not x),
        "put": ("s.", lambda x, y, z: (x.get(y), x.update({y: z}))[0]),
    },
    Entry: {"getKey": ("", lambda x: x.key), "getValue": ("", lambda x: x.value)},
    Util: {
        "escapeJavaScript": ("s", _escape_javascript),
        "parseJson": ("s", lambda _, x: from_json(x)),
        "urlEncode": ("s", _url_encode),
        "urlDecode": ("s", _url_decode),
        "base64Encode": ("s", lambda _, x: base64.b64encode(x.encode()).decode()),
        "base64Decode": ("s", _base64_decode),
    },
}
