"""Reads a mapping template as Apache Velocity 1.7 reads it, or refuses it.

API Gateway's Velocity is undocumented; what is known of it fits Velocity 1.x. So this follows the grammar of 1.7,
whitespace included, for the part of the language that mapping templates need. Whatever is a slip, reads differently
elsewhere, or was not established is a RenderError: a template that needs it is to be written another way.
tests/aws/test_velocity.py holds it against Velocity itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from tests.aws.double.java import RenderError

# --- What a template consists of ---


@dataclass(frozen=True)
class Literal:
    """A number, a boolean, or a string in single quotes."""

    value: bool | int | float | str


@dataclass(frozen=True)
class Interpolated:
    """A string in double quotes: text and references."""

    block: "Block"


@dataclass(frozen=True)
class Items:
    """`[a, b]`; a range is the items that it stands for."""

    items: "tuple[Operand, ...]"


@dataclass(frozen=True)
class Entries:
    """`{"a": b}`."""

    entries: "tuple[tuple[Operand, Operand], ...]"


@dataclass(frozen=True)
class Property:
    """`.name`."""

    name: str


@dataclass(frozen=True)
class Method:
    """`.name(arguments)`."""

    name: str
    arguments: "tuple[Operand, ...]"


@dataclass(frozen=True)
class Index:
    """`[key]`."""

    key: "Operand"


@dataclass(frozen=True)
class Reference:
    """`$name` and what follows it."""

    name: str
    steps: tuple[Property | Method | Index, ...]


@dataclass(frozen=True)
class Not:
    """`!operand`."""

    operand: "Operand"


@dataclass(frozen=True)
class Operation:
    """Two operands and the operator between them, in its spelling with signs."""

    operator: str
    left: "Operand"
    right: "Operand"


@dataclass(frozen=True)
class Set:
    """`#set(target = value)`."""

    target: Reference
    value: "Operand"


@dataclass(frozen=True)
class If:
    """`#if`: its conditions with their blocks, and the block of `#else`."""

    branches: "tuple[tuple[Operand, Block], ...]"
    otherwise: "Block"


@dataclass(frozen=True)
class Foreach:
    """`#foreach($name in items)`."""

    name: str
    items: "Operand"
    block: "Block"


Operand: TypeAlias = Literal | Interpolated | Items | Entries | Reference | Not | Operation
Block: TypeAlias = tuple[str | Reference | Set | If | Foreach, ...]

# --- The words of the language. A set takes the blanks before it where they begin a word, so not those after text;
#     directives and comments to the end of a line take the line's end. ---

_LINE_END = r"(?:[ \t]*(?:\r\n|\r|\n))?"
_SET = re.compile(r"[ \t]*#(?:set|\{set\}) *\(")
# Velocity may not find the end of a comment with a sign in it.
_COMMENT = re.compile(r"##(?:[^\r\n]*(?:\r\n|\r|\n)|[^\r\n$#]*\Z)|#\*(?!\*)[^#$]*?\*#")
_DIRECTIVE = re.compile(r"#(?:\{(if|elseif|else|foreach|end)\}|(if|elseif|else|foreach|end)(?![A-Za-z0-9_@]))")
_REFERENCE = re.compile(r"\$(!?)(\{?)(?=[A-Za-z_])")
_TEXT = re.compile(r"[^$#\\]+|\\+(?![$#\\])")
# What Velocity's reader takes for more of a reference without braces, or loses its way over.
_READ_ON = re.compile(r"[\[{]|\.[A-Za-z]|##|#\*|(?:true|false)(?![A-Za-z0-9_-])")
# A $ or # that is only that. At the end of a template it is an error; before a #set Velocity loses it.
_SIGN = re.compile(r"\$[.\[]|[$#](?![ \t]*#)(?=[^A-Za-z0-9_@{}!*#$\\.\[\]-])")
_LAST = re.compile(r"[$#]\Z")
_BLANK = re.compile(r"[ \t\r\n]*")
_OPEN = re.compile(r"[ \t\r\n]*\(")
_CLOSE = re.compile(rf"[ \t\r\n]*\){_LINE_END}")
_AFTER = re.compile(_LINE_END)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LOOP = re.compile(r"[ \t\r\n]*\([ \t\r\n]*\$([A-Za-z_][A-Za-z0-9_-]*)[ \t\r\n]+in(?=[ \t\r\n])")
_RANGE = re.compile(r"\[[ \t\r\n]*(-?\d+)[ \t\r\n]*\.\.[ \t\r\n]*(-?\d+)[ \t\r\n]*\]", re.ASCII)
_FLOAT = re.compile(r"-?(?:\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)", re.ASCII)
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_BOOLEAN = re.compile(r"(?:true|false)(?![A-Za-z0-9_@])")
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"((?:[^"]|"")*)"')
_NOT = re.compile(r"!(?!=)|not(?![A-Za-z0-9_@])")
_SIGNS = re.compile(r"&&|\|\||[<>=!]=|[<>+*/%]|-(?!\.?\d)|(?:and|or|lt|le|gt|ge|eq|ne)(?![A-Za-z0-9_@])", re.ASCII)
_SPELLED = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "and": "&&", "or": "||"}
# Of operators, those that bind loosest first.
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))


@lru_cache(maxsize=256)
def read(template: str) -> Block:
    """The statements of a template.

    Raises:
        RenderError: It is no Velocity, or a part of it that API Gateway lacks or that was not established.
    """
    reader = _Reader(template)
    try:
        block, end = reader.block()
    except RecursionError as e:
        raise RenderError("too deep") from e
    if end:
        raise RenderError(f"#{end} without its beginning")
    return block


class _Reader:
    def __init__(self, text: str, quoted: bool = False) -> None:
        self._text = text
        self._at = 0
        self._quoted = quoted  # within double quotes, where there are no directives

    # --- Statements ---

    def block(self) -> tuple[Block, str]:
        """The statements up to the directive that ends them, and that directive: empty at the end of the text."""
        statements: list[Any] = []
        in_reference = False  # Velocity's reader still is, after one without braces
        while self._at < len(self._text):
            if in_reference and self._sees(_READ_ON):
                raise self._refusal("Velocity may read this as a part of the reference: write ${name}")
            if in_reference and (found := self._takes(r"\}")):  # a word of its own there
                statements.append(found[0])
            elif in_reference and (found := self._takes(_NAME)):
                statements.append(found[0])
                continue
            elif self._sees(_SET) and not self._quoted:
                self._takes(_SET)
                statements.append(self._set())
                continue
            elif not self._sees(_SET) and (found := self._takes(_TEXT)):
                statements.append(found[0])
            elif found := self._takes(_REFERENCE):
                statements.append(self._reference(closed=bool(found[2])))
                in_reference = not found[2]
                continue
            elif found := self._takes(_SIGN) or (self._takes(_LAST) if self._quoted else None):
                statements.append(found[0])
            elif self._quoted:
                raise self._refusal("no text or reference, in a string")
            elif found := self._takes(_DIRECTIVE):
                name = found[1] or found[2]
                if name in ("elseif", "else", "end"):
                    return tuple(statements), name
                statements.append(self._if() if name == "if" else self._foreach())
            elif not self._takes(_COMMENT):
                raise self._refusal("does not exist, or what it does was not established")
            in_reference = False
        return tuple(statements), ""

    def _set(self) -> Set:
        self._takes(_BLANK)
        if not (found := self._takes(_REFERENCE)) or found[1] or found[2]:
            raise self._refusal("#set takes a plain reference")
        target = self._reference(closed=False)
        self._takes(_BLANK)
        self._needs("=(?!=)", "=")
        value = self._expression()
        self._needs(_CLOSE, ")")
        return Set(target, value)

    def _if(self) -> If:
        branches, end = [], "elseif"
        otherwise: Block = ()
        while end == "elseif":
            self._needs(_OPEN, "(")
            condition = self._expression()
            self._needs(_CLOSE, ")")
            block, end = self.block()
            branches.append((condition, block))
        if end == "else":
            self._takes(_AFTER)
            otherwise, end = self.block()
        self._ends(end)
        return If(tuple(branches), otherwise)

    def _foreach(self) -> Foreach:
        name = self._needs(_LOOP, "($name in")[1]
        self._takes(_BLANK)
        items = self._operand()
        self._needs(_CLOSE, ")")
        block, end = self.block()
        self._ends(end)
        return Foreach(self._checked(name), items, block)

    def _ends(self, end: str) -> None:
        if end != "end":
            raise self._refusal(f"#end is needed, not {f'#{end}' if end else 'the end'}")
        self._takes(_AFTER)

    # --- References ---

    def _reference(self, closed: bool) -> Reference:
        name = self._checked(self._needs(_NAME, "a name")[0])
        steps: list[Property | Method | Index] = []
        while True:
            if self._takes(r"\["):
                steps.append(Index(self._parameter()))
                self._needs(r"\]", "]")
            elif self._takes(r"\.(?=[A-Za-z])"):
                step = self._checked(self._needs(_NAME, "a name")[0])
                called = self._takes(r"\(")
                steps.append(Method(step, self._parameters(r"\)")) if called else Property(step))
            else:
                break
        if closed:
            self._needs(r"\}", "}")
        else:
            last = next((step for step in reversed(steps) if not isinstance(step, Index)), None)
            ends = {Method: r"(?!)", Property: r"\(|##|#\*|\$!?\{"}
            if self._sees(ends.get(type(last), r"\(")):
                raise self._refusal("Velocity may read this as a part of the reference: write ${name}")
        return Reference(name, tuple(steps))

    def _checked(self, name: str) -> str:
        if re.search("-(?![A-Za-z])", name):
            raise RenderError(f"Velocity takes the hyphen into the name: write ${{name}}-, not ${name}")
        if name in ("true", "false"):
            raise RenderError(f"no name: {name}")
        return name

    def _parameters(self, end: str) -> tuple[Operand, ...]:
        if self._takes(end):
            return ()
        found = [self._parameter()]
        while not self._takes(end):
            self._needs(",", ",")
            found.append(self._parameter())
        return tuple(found)

    def _parameter(self) -> Operand:
        self._takes(_BLANK)
        operand = self._operand()
        self._takes(_BLANK)
        return operand

    # --- Expressions ---

    def _expression(self, level: int = 0) -> Operand:
        if level == len(_LEVELS):
            return self._unary()
        left = self._expression(level + 1)
        while (operator := self._operator()) in _LEVELS[level]:
            self._takes(_SIGNS)
            left = Operation(operator, left, self._expression(level + 1))
        return left

    def _operator(self) -> str:
        found = self._sees(_SIGNS)
        return _SPELLED.get(found[0], found[0]) if found else ""

    def _unary(self) -> Operand:
        self._takes(_BLANK)
        if self._takes(_NOT):
            return Not(self._unary())
        if self._takes(_OPEN):
            operand = self._expression()
            self._needs(r"\)", ")")
        else:
            operand = self._operand()
        self._takes(_BLANK)
        return operand

    def _operand(self) -> Operand:
        readers: dict[re.Pattern[str], Callable[[re.Match[str]], Operand]] = {
            _REFERENCE: lambda found: self._reference(closed=bool(found[2])),
            _SINGLE: lambda found: Literal(found[1].replace("''", "'")),
            _DOUBLE: self._string,
            _RANGE: self._range,
            _FLOAT: lambda found: Literal(float(found[0])),
            _INTEGER: lambda found: Literal(int(found[0])),
            _BOOLEAN: lambda found: Literal(found[0] == "true"),
            re.compile(r"\["): lambda _: Items(self._parameters(r"\]")),
            re.compile(r"\{"): lambda _: self._entries(),
        }
        for pattern, reader in readers.items():
            if found := self._takes(pattern):
                return reader(found)
        raise self._refusal("a value is needed")

    def _range(self, found: re.Match[str]) -> Items:
        first, last = int(found[1]), int(found[2])
        if abs(first - last) >= 1_000:
            raise self._refusal("API Gateway's #foreach goes round 1,000 times at most")
        step = 1 if first <= last else -1
        return Items(tuple(map(Literal, range(first, last + step, step))))

    def _entries(self) -> Entries:
        self._takes(_BLANK)
        entries: list[tuple[Operand, Operand]] = []
        while not self._takes(r"\}"):
            if entries:
                self._needs(",", ",")
            key = self._parameter()
            self._needs(":", ":")
            entries.append((key, self._parameter()))
        return Entries(tuple(entries))

    def _string(self, found: re.Match[str]) -> Interpolated:
        text = found[1].replace('""', '"')
        if text.endswith("\\") or '\\"' in text:
            raise RenderError(f"a backslash before a double quote, in a string, is a 500: {found[0]}")

        def character(escape: re.Match[str]) -> str:
            try:
                char = chr(int(escape[1], 16))
            except ValueError:
                char = "\\"
            if len(escape[1]) < 4 or char in '$#\\"':
                raise RenderError(f"what this escape gives was not established: {found[0]}")
            return char

        block, _ = _Reader(re.sub(r"\\u(.{0,4})", character, text, flags=re.DOTALL), quoted=True).block()
        return Interpolated(block)

    # --- Words ---

    def _sees(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        return re.compile(pattern).match(self._text, self._at)

    def _takes(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        if found := self._sees(pattern):
            self._at = found.end()
        return found

    def _needs(self, pattern: str | re.Pattern[str], what: str) -> re.Match[str]:
        if not (found := self._takes(pattern)):
            raise self._refusal(f"{what} is needed")
        return found

    def _refusal(self, reason: str) -> RenderError:
        line = self._text.count("\n", 0, self._at) + 1
        return RenderError(f"line {line}, {self._text[self._at : self._at + 40]!r}: {reason}")
