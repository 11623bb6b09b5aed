"""Renders the mapping templates of API Gateway (REST), with the surprises of the real service.

airspeed reads a template; what it means is evaluated here, because API Gateway's Velocity is Java: undefined
references, truth, equality, printing and strings' methods all differ from airspeed's, and changing airspeed would
change it for everyone in the process. This file has the language, `$input` and the overrides; the values that a
template works on are in java.py. Where it could not be established what the real service does, there is a
RenderError, never a guess: a template that needs it is to be written another way.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from airspeed import operators as vtl

from tests.aws.double.java import METHODS, Entry, RenderError, Util, from_json, operate, to_json, to_string, truth

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
    return _Evaluation(roots).block(_parsed(template))


@lru_cache(maxsize=256)
def _parsed(template: str) -> Any:
    if found := re.search(r"\\[$#].{0,20}", template):
        raise RenderError(f"what an escaped $ or # gives was not established: {found.group()}")
    if found := re.search(r"\$!?[A-Za-z]\w*-(?![A-Za-z])", template):
        raise RenderError(f"Velocity takes the hyphen into the name: write ${{name}}-, not {found.group()}")
    try:
        return vtl.TemplateBody("template", template).block
    except Exception as e:  # airspeed lets more than its own errors through, such as KeyError for an operator
        raise RenderError(f"no Velocity: {e}") from e


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
    if isinstance(target, dict):
        return target.get(name)
    if isinstance(target, _Input | Util | Entry) or name in {"class", "bytes", "empty"}:
        raise RenderError(f"no such property: {name}")
    return None


def _item(target: Any, key: Any) -> Any:
    if target is None:
        return None
    if isinstance(target, dict) and isinstance(key, str):
        return target.get(key)
    return _call(target, "get", [key])


# --- Evaluation of what airspeed has read ---

_LEVELS = ("* / %", "+ -", "< <= > >=", "== !=", "&&", "||")  # of operators, the one that binds tightest first
_BINDING = {symbol: level for level, symbols in enumerate(_LEVELS) for symbol in symbols.split()}
_NAMED = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "and": "&&", "or": "||"}


class _Evaluation:
    def __init__(self, roots: dict[str, Any]) -> None:
        self._roots = roots
        self._variables: dict[str, Any] = {}

    def block(self, block: Any) -> str:
        return "".join(map(self._element, block.children))

    def _element(self, element: Any) -> str:
        source = element.my_text()
        match element:
            case vtl.Text() if "$$" not in source and not ("#" in source and "$" in source):
                return str(element.text)
            case vtl.FormalReference():
                return to_string(self._reference(element))
            case vtl.Comment():
                return ""
            case vtl.IfDirective() if source.startswith("#if"):
                return self._if(element)
            case vtl.SetDirective() if source.startswith("#set"):
                self._set(element.assignment)
                return ""
            case vtl.ForeachDirective() if source.startswith("#foreach"):
                return self._foreach(element)
        raise RenderError(f"does not exist, or what it does was not established: {source[:40]}")

    def _if(self, element: Any) -> str:
        for branch in (element, *element.elseifs):
            if truth(self._operand(branch.condition.expression)):
                return self.block(branch.block)
        otherwise = element.else_block
        return self.block(otherwise.block) if isinstance(otherwise, vtl.ElseBlock) else ""

    def _foreach(self, element: Any) -> str:
        items = self._operand(element.value.expression)
        if items is None:
            return ""
        if isinstance(items, dict):
            items = list(items.values())
        if not isinstance(items, list):
            raise RenderError(f"#foreach over what is no list: {items!r}")
        outer = dict(self._variables)
        name = element.loop_var_name
        texts = []
        for index, item in enumerate(items):
            last = index == len(items) - 1
            loop = {"count": index + 1, "index": index, "hasNext": not last, "first": index == 0, "last": last}
            self._variables.update(
                {name: item, "foreach": loop, "velocityCount": index + 1, "velocityHasNext": not last}
            )
            texts.append(self.block(element.block))
        for hidden in (name, "foreach", "velocityCount", "velocityHasNext"):
            self._variables[hidden] = outer.get(hidden)
        return "".join(texts)

    def _set(self, assignment: Any) -> None:
        root, value = assignment.root_term, self._expression(assignment.value)
        if not assignment.terms:
            if root in self._roots or (value is None and self._variables.get(root) is not None):
                # Velocity leaves a variable as it was where the value is null; API Gateway may not.
                raise RenderError(f"${root} cannot be set to {value!r}")
            self._variables[root] = value
            return
        *path, last = [self._term(item.term) for item in assignment.terms]
        target: Any = self._roots.get(root, self._variables.get(root))
        for key in path:
            target = _item(target, key)
        may = isinstance(target, _Once) or (isinstance(target, dict) and root not in self._roots)
        if value is None or not may or not isinstance(last, str):
            raise RenderError(f"this cannot be set, or not to {value!r}: {assignment.my_text()}")
        target[last] = value

    def _term(self, term: Any) -> Any:
        return term.value if isinstance(term, vtl.DotDictAccessTerm) else self._operand(term.value.expression)

    def _reference(self, element: Any) -> Any:
        if element.expression is None or element.alternate is not None:
            raise RenderError(f"not established: {element.my_text()}")
        part, rest = element.expression.part, element.expression.subexpression
        if part.parameters is not None:
            raise RenderError(f"a call of nothing: {element.my_text()}")
        value = self._indexed(self._roots.get(part.name, self._variables.get(part.name)), part.index)
        while rest is not None:
            step = rest.expression
            if isinstance(step, vtl.ArrayIndex):
                value, rest = self._indexed(value, step), rest.subexpression
                continue
            part, rest = step.part, step.subexpression
            if part.parameters is None:
                value = self._indexed(_property(value, part.name), part.index)
            else:
                given = getattr(part.parameters.values, "values", [])
                value = _call(value, part.name, [self._operand(one.expression) for one in given])
        return value

    def _indexed(self, value: Any, index: Any) -> Any:
        return value if index is None else _item(value, self._operand(index.index))

    def _expression(self, expression: Any) -> Any:
        return self._terms(expression.expression)

    def _terms(self, terms: list[Any]) -> Any:
        """Operands with operators between them: splits at the loosest operator, the last of equals."""
        if len(terms) == 1:
            return self._operand(terms[0].expression)
        symbols = [_NAMED.get(name, name) for name in (term.my_text().strip() for term in terms[1::2])]
        _, at = max((_BINDING[symbol], at) for at, symbol in enumerate(symbols))
        left, right, op = terms[: 2 * at + 1], terms[2 * at + 2 :], symbols[at]
        if op not in ("&&", "||"):
            return operate(op, self._terms(left), self._terms(right))
        decided = self._side(left)
        return decided if decided is (op == "||") else self._side(right)

    def _side(self, terms: list[Any]) -> bool:
        if (value := self._terms(terms)) is None:
            raise RenderError('what a null is beside && or || was not established: compare, as in "$!x" == ""')
        return truth(value)

    def _operand(self, operand: Any) -> Any:
        match operand:
            case vtl.NullLiteral():
                return None
            case vtl.FormalReference():
                return self._reference(operand)
            case vtl.InterpolatedStringLiteral():
                return self._string(operand)
            case vtl.StringLiteral() | vtl.IntegerLiteral() | vtl.FloatingPointLiteral():
                return operand.value
            case vtl.BooleanLiteral() if operand.my_text() in ("true", "false"):
                return operand.value
            case vtl.ArrayLiteral():
                return self._list(operand.values)
            case vtl.DictionaryLiteral():
                return {self._key(key): self._operand(value.expression) for key, value in operand.local_data.items()}
            case vtl.ParenthesizedExpression():
                return self._expression(operand.calculate.__self__)
            case vtl.UnaryOperatorValue():
                return not truth(self._operand(operand.value.expression))
        raise RenderError(f"not established: {operand.my_text()}")

    def _string(self, literal: Any) -> str:
        text = literal.value
        if text.endswith("\\") or '\\"' in text:
            raise RenderError(f"a backslash before a double quote, in a string, is a 500: {literal.my_text()}")
        children = literal.block.children
        if literal.block.end != len(text) or not all(isinstance(c, vtl.Text | vtl.FormalReference) for c in children):
            raise RenderError(f"directives in a string: {literal.my_text()}")
        return self.block(literal.block)

    def _list(self, values: Any) -> list[Any]:
        if not isinstance(values, vtl.Range):
            return [self._operand(value.expression) for value in getattr(values, "values", [])]
        first, last = values.value1, values.value2
        if not (isinstance(first, vtl.IntegerLiteral) and isinstance(last, vtl.IntegerLiteral)):
            raise RenderError("API Gateway takes no references in a range")
        step = 1 if first.value <= last.value else -1
        return list(range(first.value, last.value + step, step))

    def _key(self, key: Any) -> str:
        if not isinstance(name := self._operand(key.expression), str):
            raise RenderError(f"a map's key is a string: {name!r}")
        return name
