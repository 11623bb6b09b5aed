"""What a mapping template (vtl.py) may call: the methods of Java's strings, lists and maps, and those of `$util`.

Java counts strings in UTF-16, and its regular expressions are not Python's: a pattern that the two could read apart is
refused. What could not be established is a RenderError, or a ValueError, IndexError or re.error that becomes one.
"""

import base64
import re
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote_plus, unquote_to_bytes

from tests.aws.double.java import Entry, JavaArray, JavaSet, JsonList, from_json, to_string

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


# The parts of a pattern that Java and Python read alike: an escaped sign or class, a class in brackets, a dot, a $, and
# the rest: a group, an alternative, a plain character or a quantifier.
_SIGN = r"""\\[dDwWsSnrtf\\.|()\[\]{}*+?^$/'"-]"""
_PART = re.compile(
    rf"({_SIGN})|(\[\^?(?:[^\[\]\\]|{_SIGN})+\])|(\.)|(\$)"
    r"|(\(\?[:=!]|[()|^]|[^\\\[\](){}*+?|.^$]|(?:[*+?]|\{\d{1,9}(?:,\d{0,9})?\})[?+]?)",
    re.DOTALL,
)
_LINE = "\n\r\x85\u2028\u2029"  # what ends a line in Java


def _regex(pattern: str) -> re.Pattern[str]:
    options = re.match(r"\(\?([is]+)\)|", pattern)
    letters = (options and options[1]) or ""
    made, at = [], len(options[0]) if options else 0
    while at < len(pattern):
        found = _PART.match(pattern, at)
        if not found or re.search(r"--|&&|~~|\|\|", found[2] or ""):
            raise ValueError(f"a pattern that Java may read otherwise: {pattern}")
        dot = found[3] and ("." if "s" in letters else f"[^{_LINE}]")
        end = found[4] and rf"(?=(?:\r\n|(?<!\r)\n|[{_LINE[1:]}])?\Z)"
        made.append(dot or end or found[0])
        at = found.end()
    # Java's classes and cases are ASCII unless asked otherwise.
    return re.compile(f"(?a{letters})" + "".join(made))


def _replace(text: str, pattern: str, replacement: str, count: int | None = None) -> str:
    r"""Java's replacement: `\x` is x, `$1` a group; any other `$`, and a last lone backslash, are exceptions."""
    parts = re.findall(r"\\(.)|\$(\d)(?!\d)|([^\\$]+)|(.)", replacement, re.DOTALL)
    if any(wrong for *_, wrong in parts):
        raise ValueError(f"illegal replacement {replacement!r}")

    made, end = [], 0
    for found in islice(_finds(pattern, text), count):
        made.append(text[end : found.start()])
        made += [(found[int(group)] or "") if group else escaped + plain for escaped, group, plain, _ in parts]
        end = found.end()
    return "".join(made) + text[end:]


def _finds(pattern: str, text: str) -> Iterator[re.Match[str]]:
    """Java's matches: after an empty one it goes on one further, where Python looks for a longer one at that place."""
    regex, at = _regex(pattern), 0
    while at <= len(text) and (found := regex.search(text, at)):
        if found.end() == found.start() and len(_units(text)) > len(text):
            raise ValueError(f"an empty match, in a text with characters that are two to Java: {pattern}")
        yield found
        at = found.end() + (found.end() == found.start())


def _replace_text(text: str, old: str, new: str) -> str:
    if not old:
        raise ValueError("nothing is replaced")
    return text.replace(old, new)


def _alike(a: str, b: str) -> bool:
    """Java compares letter by letter, so ß is not SS."""

    def folded(char: str) -> str:
        upper = char.upper() if len(char.upper()) == 1 else char
        return upper.lower() if len(upper.lower()) == 1 else upper

    return len(a) == len(b) and all(x == y or folded(x) == folded(y) for x, y in zip(a, b, strict=True))


def _split(text: str, pattern: str) -> JavaArray:
    parts, start = JavaArray(), 0
    for found in _finds(pattern, text):
        if found.end() > 0:  # Java makes no empty first part of a match without width
            parts.append(text[start : found.start()])
            start = found.end()
    if not parts:
        return JavaArray([text])
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
    return _utf_8(unquote_to_bytes(text.replace("+", " ")))


def _url_encode(_: Util, text: str) -> str:
    return quote_plus(text, safe="*", errors="replace").replace("~", "%7E")  # URLEncoder knows no tilde


def _base64_decode(_: Util, text: str) -> str:
    return _utf_8(base64.b64decode(text, validate=True))


def _utf_8(content: bytes) -> str:
    """What is no UTF-8 becomes U+FFFD; to Java an encoded surrogate is one such place, to Python it is three."""
    return re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]?", b"\xff", content).decode(errors="replace")


# --- What may be called on what: per name the kinds of its arguments as a regex (s text, i integer, n null, o other),
#     and the function. Java answers a method that it does not know with null; here it is an error: it is a slip. ---

_Methods = dict[str, tuple[str, Callable[..., Any]]]
_ANY: _Methods = {"toString": ("", to_string)}
_SET: _Methods = {"size": ("", len), "isEmpty": ("", lambda x: not x)}
_ARRAY: _Methods = {**_SET, "get": ("i", lambda x, i: x[i] if i >= 0 else [][i])}
_LIST: _Methods = {**_ANY, **_ARRAY, "contains": ("s", lambda x, y: any(isinstance(z, str) and y == z for z in x))}
METHODS: dict[type, _Methods] = {
    str: {
        **_ANY,
        "equals": ("[^n]", lambda x, y: isinstance(y, str) and x == y),
        "length": ("", lambda x: len(_units(x))),
        "isEmpty": ("", lambda x: not x),
        "equalsIgnoreCase": ("s", _alike),
        "contains": ("s", lambda x, y: y in x),
        "startsWith": ("s", str.startswith),
        "endsWith": ("s", str.endswith),
        "indexOf": ("si?", _index_of),
        "substring": ("ii?", _substring),
        "replace": ("ss", _replace_text),
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
    JsonList: _LIST,
    JavaArray: _ARRAY,
    JavaSet: {**_ANY, **_SET},
    dict: {
        **_ANY,
        "get": ("s", dict.get),
        "containsKey": ("s", lambda x, y: y in x),
        "keySet": ("", JavaSet),
        "entrySet": ("", lambda x: JavaSet(Entry(*item) for item in x.items())),
        "size": ("", len),
        "isEmpty": ("", lambda x: not x),
        "put": ("s[^n]", lambda x, y, z: (x.get(y), x.update({y: z}))[0]),
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
