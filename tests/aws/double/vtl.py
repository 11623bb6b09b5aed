"""Renders the mapping templates of API Gateway (REST), with the surprises of the real service.

syntax.py reads a template; this file has `$input`, the overrides and the evaluation, java.py the values that a
template works on, and methods.py what it may call on them. Each computes what Apache Velocity 1.7 does, which
velocity/ holds them against. Where it could not be established what the real service does, there is a RenderError,
never a guess: a template that needs it is to be written another way.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.aws.double.java import Entry, RenderError, from_json, operate, to_json, to_string, truth
from tests.aws.double.methods import METHODS, Util
from tests.aws.double.syntax import (
    Block,
    Entries,
    Foreach,
    If,
    Index,
    Interpolated,
    Items,
    Literal,
    Method,
    Not,
    Operand,
    Operation,
    Property,
    Reference,
    Set,
    read,
)

__all__ = ["Overrides", "Params", "RenderError", "RequestOverrides", "render_request", "render_response"]


@dataclass(frozen=True)
class Params:
    """The parameters of the method request, by name; path values are still percent-encoded."""

    path: dict[str, str] = field(default_factory=dict)
    querystring: dict[str, str] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)


@dataclass
class Overrides:
    """`$context.responseOverride` as a response template left it: a status of None is not overridden."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class RequestOverrides:
    """`$context.requestOverride` as a request template left it."""

    headers: dict[str, str] = field(default_factory=dict)
    querystring: dict[str, str] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)


def render_request(
    template: str, *, body: str, params: Params, context: Mapping[str, Any], stage_variables: Mapping[str, str]
) -> tuple[str, RequestOverrides]:
    """Render a request template.

    Args:
        template: The template's text.
        body: The request's body; an empty one reads as `{}`, as seen on the real service.
        params: The parameters of the method request.
        context: `$context` as nested dicts; what is not in it is undefined.
        stage_variables: `$stageVariables`.

    Returns:
        The body for the integration, and what the template overrides of the integration's request.

    Raises:
        RenderError: The real service would fail, or what it would do is not known.
    """
    made = {name: _Once(_is_text) for name in ("header", "querystring", "path")}
    text = _render(template, _Input(body or "{}", params), {**context, "requestOverride": made}, stage_variables)
    return text, RequestOverrides(dict(made["header"]), dict(made["querystring"]), dict(made["path"]))


def render_response(
    template: str,
    *,
    body: str,
    params: Params,
    context: Mapping[str, Any],
    stage_variables: Mapping[str, str],
    request_overrides: RequestOverrides | None,
) -> tuple[str, Overrides]:
    """Render a response template.

    Args:
        template: The template's text.
        body: The body of the integration's response; that of the request is out of a response template's sight.
        params: The parameters of the method request.
        context: `$context` as nested dicts; what is not in it is undefined.
        stage_variables: `$stageVariables`.
        request_overrides: What the request template set, for a MOCK integration; None for others, that do not see it.

    Returns:
        The body for the client, and what the template overrides of the response.

    Raises:
        RenderError: The real service would fail, or what it would do is not known.
    """
    headers = _Once(_is_text)
    made = _Once(lambda name, value: name == "status" and type(value) is int and 100 <= value <= 599)
    made.update(header=headers)
    seen = {**context, "responseOverride": made}
    if request_overrides:
        o = request_overrides
        seen["requestOverride"] = {"header": dict(o.headers), "querystring": dict(o.querystring), "path": dict(o.path)}
    text = _render(template, _Input(body, params), seen, stage_variables)
    return text, Overrides(made.get("status"), dict(headers))


def _render(template: str, given: "_Input", context: dict[str, Any], stage_variables: Mapping[str, str]) -> str:
    if template.endswith("$"):
        raise RenderError("a template that ends with $ is a 500")
    roots = {"input": given, "util": Util(), "context": context, "stageVariables": dict(stage_variables)}
    try:
        return _Evaluation(roots).block(read(template))
    except RecursionError as e:
        raise RenderError("values too deep") from e


# --- What a template may set ---


class _Once(dict[str, Any]):
    """Names that a template may set, each once: a second time is a 500."""

    def __init__(self, allowed: Callable[[str, Any], bool]) -> None:
        super().__init__()
        self._allowed = allowed

    def __setitem__(self, name: str, value: Any) -> None:
        if any(name.lower() == known.lower() for known in self):
            raise RenderError(f"an override may be set once: {name}")
        if not self._allowed(name, value):
            raise RenderError(f"this cannot be overridden, or not with such a value: {name} = {value!r}")
        super().__setitem__(name, value)


def _is_text(_name: str, value: Any) -> bool:
    return isinstance(value, str)


# --- $input ---


@dataclass
class _Input:
    body: str
    parameters: Params

    def path(self, path: str) -> Any:
        found = self._found(path)
        return found[0] if found else None

    def json(self, path: str) -> str:
        found = self._found(path)
        return to_json(found[0]) if found else ""

    def params(self, name: str | None = None) -> Any:
        p = self.parameters
        places = {"path": p.path, "querystring": p.querystring, "header": p.header}
        if name is None:
            return {place: dict(values) for place, values in places.items()}
        return next((values[name] for values in places.values() if name in values), "")

    def _found(self, path: str) -> list[Any]:
        """The value at a path, in a list; no value, or no body, is an empty list."""
        steps = re.compile(r"\.([A-Za-z_][\w-]*)|\['([^'\\]+)'\]|\[(\d+)\]", re.ASCII)
        if not re.fullmatch(rf"\$(?:{steps.pattern})*", path, re.ASCII):
            raise RenderError(f"a JSONPath outside of the subset $ .name ['name'] [0]: {path}")
        if not self.body:
            return []
        value = from_json(self.body)
        for dotted, quoted, index in steps.findall(path):
            name = dotted or quoted
            if name and isinstance(value, dict) and name in value:
                value = value[name]
            elif index and isinstance(value, list) and int(index) < len(value):
                value = value[int(index)]
            else:
                return []
        return [value]


# --- What is called, or looked up, on what ---


@dataclass(frozen=True)
class _Loop:
    """`$foreach`."""

    properties: dict[str, Any]


_GETTERS = {"bytes", "empty", "blank", "first", "last"}  # of strings and lists, in Java 17 and later

_METHODS = METHODS | {_Input: {"path": ("s", _Input.path), "json": ("s", _Input.json), "params": ("s?", _Input.params)}}


def _call(target: Any, name: str, args: list[Any]) -> Any:
    if target is None:
        return None
    kinds = "".join({str: "s", int: "i", type(None): "n"}.get(type(arg), "o") for arg in args)
    expected, function = _METHODS.get(type(target), {}).get(name, (None, None))
    if expected is None or function is None or not re.fullmatch(expected, kinds):
        raise RenderError(f"no such method, or not with such arguments: {type(target).__name__}.{name}({kinds})")
    try:
        return function(target, *args)
    except (ValueError, IndexError, re.error) as e:
        raise RenderError(f"{name}: {e}") from e


def _property(target: Any, name: str) -> Any:
    if isinstance(target, _Input) and name == "body":
        return target.body
    if isinstance(target, Entry) and name in Entry._fields:
        return getattr(target, name)
    if isinstance(target, _Loop) and name in target.properties:
        return target.properties[name]
    if isinstance(target, _Input | Util | Entry | _Loop) or name in {"class", "Class"}:
        raise RenderError(f"no such property: {name}")
    if isinstance(target, dict):
        return target.get(name)
    if isinstance(target, str | list) and name in _GETTERS:
        raise RenderError(f"a getter of Java's, which Velocity calls: {name}")
    return None


def _item(target: Any, key: Any) -> Any:
    if target is None:
        return None
    if isinstance(target, dict) and isinstance(key, str):
        return target.get(key)
    return _call(target, "get", [key])


# --- Evaluation ---

_LOOP = ("foreach", "velocityCount", "velocityHasNext")  # what a loop defines, beside the name of its items


class _Evaluation:
    def __init__(self, roots: dict[str, Any]) -> None:
        self._roots = roots
        self._variables: dict[str, Any] = {}

    def block(self, block: Block) -> str:
        return "".join(map(self._statement, block))

    def _statement(self, statement: str | Reference | Set | If | Foreach) -> str:
        match statement:
            case str():
                return statement
            case Reference():
                return to_string(self._reference(statement))
            case Set():
                self._set(statement)
                return ""
            case If():
                taken = (block for condition, block in statement.branches if self._condition(condition))
                return self.block(next(taken, statement.otherwise))
            case Foreach():
                return self._foreach(statement)

    def _foreach(self, loop: Foreach) -> str:
        items = self._operand(loop.items)
        if items is None:
            return ""
        if isinstance(items, dict):
            items = list(items.values())
        if not isinstance(items, list):
            raise RenderError(f"#foreach over what is no list: {items!r}")
        if loop.name in (*self._roots, *_LOOP):
            raise RenderError(f"${loop.name} is not for items")
        hidden = {name: self._variables.get(name) for name in (loop.name, *_LOOP)}
        texts = []
        for index, item in enumerate(items):
            count, more = index + 1, index < len(items) - 1
            here = {"index": index, "count": count, "hasNext": more, "first": index == 0, "last": not more}
            self._variables |= {loop.name: item, "foreach": _Loop(here)}
            self._variables |= {"velocityCount": count, "velocityHasNext": more}
            texts.append(self.block(loop.block))
        self._variables |= hidden
        return "".join(texts)

    def _set(self, statement: Set) -> None:
        target, value = statement.target, self._operand(statement.value)
        if not target.steps:
            kept = value is None and self._variables.get(target.name) is not None
            if kept or target.name in (*self._roots, *_LOOP):
                # Velocity leaves a variable as it was where the value is null; API Gateway may not.
                raise RenderError(f"${target.name} cannot be set to {value!r}")
            self._variables[target.name] = value
            return
        *path, last = target.steps
        owner = self._reference(Reference(target.name, tuple(path)))
        match last:
            case Property(name):
                key: Any = name
            case Index(operand):
                key = self._operand(operand)
            case Method():
                key = None
        may = isinstance(owner, _Once) or (isinstance(owner, dict) and target.name not in self._roots)
        if value is None or not may or not isinstance(key, str):
            raise RenderError(f"this cannot be set, or not to {value!r}: ${target.name} ... {key}")
        owner[key] = value

    def _reference(self, reference: Reference) -> Any:
        value = self._roots.get(reference.name, self._variables.get(reference.name))
        for step in reference.steps:
            match step:
                case Property(name):
                    value = _property(value, name)
                case Index(key):
                    value = _item(value, self._operand(key))
                case Method(name, arguments):
                    value = _call(value, name, [self._operand(argument) for argument in arguments])
        return value

    def _condition(self, operand: Operand) -> bool:
        match operand:
            case Interpolated() | Items() | Entries() | Literal(int() | float() | str()) if not _is_boolean(operand):
                raise RenderError("a bare literal is false as a condition, whatever it is: compare it")
            case Operation(op) if op in "+-*/%":
                raise RenderError("a number that was computed is false as a condition: compare it")
        return truth(self._operand(operand))

    def _operand(self, operand: Operand) -> Any:
        match operand:
            case Literal(value):
                return value
            case Interpolated(block):
                return self.block(block)
            case Items(items):
                return [self._element(item) for item in items]
            case Entries(entries):
                return {self._key(key): self._element(value) for key, value in entries}
            case Reference():
                return self._reference(operand)
            case Not(inner):
                return not self._condition(inner)
            case Operation("&&" | "||" as op, left, right):
                decided = self._side(left)
                return decided if decided is (op == "||") else self._side(right)
            case Operation(op, left, right):
                return operate(op, self._operand(left), self._operand(right))

    def _side(self, operand: Operand) -> bool:
        if isinstance(operand, Reference) and self._reference(operand) is None:
            raise RenderError('what a null is beside && or || was not established: compare, as in "$!x" == ""')
        return self._condition(operand)

    def _element(self, operand: Operand) -> Any:
        if (value := self._operand(operand)) is None:
            raise RenderError("what a null is in a list or a map was not established")
        return value

    def _key(self, operand: Operand) -> str:
        if not isinstance(name := self._operand(operand), str):
            raise RenderError(f"a map's key is a string: {name!r}")
        return name


def _is_boolean(operand: Operand) -> bool:
    return isinstance(operand, Literal) and isinstance(operand.value, bool)
