"""How the durable edition validates `POST /jobs` so that a refusal names the parameter and says what it must be.

API Gateway's validator says what is wrong, but not where. So the mapping template checks each parameter's JSON text by
a regular expression, its form, and the model is left what no form says: bounds of fractions, patterns, and classes that
contain themselves.

A form is of a text in which the template has put `?` in the place of each escape, and `<` and `>` in that of brackets.
So a string is all between two quotes, and no form has a backslash, which engines of templates read differently.
Repetitions are possessive: Java then needs no stack, however long the text is. Nothing is lost by that, since each part
of a form matches a whole value or none.

What may be any value, such as the fields that a class does not know, is followed for LEVELS levels; a list or an object
that is deeper passes, and its function refuses it.
"""

import json
import re
from typing import Any

from asyncjob.aws.build.model import DRAFT_4, FORMS, parameter_schemas
from asyncjob.registry import Jobs
from asyncjob.type_schemas import Schema

LEVELS = 6
DEEPEST = 6  # classes within each other
MAX_FORM = 8_000  # characters; beyond that, the template looks at a parameter's type alone
PLAIN = re.compile(r"[A-Za-z0-9_ -]*")
ANY, INSIDE = "\0", "\1"  # in a form that is being made: any value, and what may be between brackets
END = "(?![0-9.eE])"  # of a number
TYPES = {
    "null": "null",
    "boolean": "(?:true|false)",
    "integer": f"-?[0-9]++{END}",
    "number": "-?[0-9][-+.0-9eE]*+",
    "string": '"[^"]*+"',
    "array": f"<{INSIDE}>",
    "object": f"[{{]{INSIDE}[}}]",
}
NOT_NEGATIVE = f"(?:-0(?:[.]0*+)?{END}|[0-9][-+.0-9eE]*+)"
TEXTS = {pattern for kind, pattern in FORMS.items() if kind != "base64"}  # which has a sign that may be escaped

Split = tuple[str, Schema]
"""A form, and what it does not say of the same schema."""


def durable_model(jobs: Jobs) -> Schema:
    """What is left to the model: a body of any type that there is, or of none, which the template refuses."""
    parameters, definitions = parameter_schemas(jobs)
    inside = [{name: _split(schema, definitions)[1] for name, schema in fields.items()} for fields in parameters]
    alike = {name: rest for fields in inside for name, rest in fields.items()}
    model: Schema = {"$schema": DRAFT_4, "type": "object"}
    if all(fields.items() <= alike.items() for fields in inside):  # its refusal can say what is wrong, unlike anyOf's
        model["properties"] = {name: rest for name, rest in alike.items() if rest}
    else:
        bodies: list[Schema] = [
            {
                "properties": {"type": {"enum": [name]}, **{each: rest for each, rest in fields.items() if rest}},
                "required": ["type"],
            }
            for name, fields in zip(jobs.names, inside, strict=True)
        ]
        known = {"properties": {"type": {"enum": [*jobs.names]}}, "required": ["type"]}
        model["anyOf"] = [*bodies, {"not": known}]
    return {**model, **({"definitions": definitions} if '"$ref"' in json.dumps(model) else {})}


def forms(jobs: Jobs) -> list[dict[str, str]]:
    """For each function, the form of each parameter that is not just any value."""
    parameters, definitions = parameter_schemas(jobs)
    return [
        {name: _written(form) for name, schema in fields.items() if (form := _split(schema, definitions)[0]) != ANY}
        for fields in parameters
    ]


def _written(form: str) -> str:
    """A form as a template has it."""
    inside = '(?:[^"<>{}]++|"[^"]*+")*+'
    for _ in range(LEVELS):
        inside = f'(?:[^"<>{{}}]++|"[^"]*+"|[<{{]{inside}[>}}])*+'
    if ANY in form or INSIDE in form:
        form = f"(?:{form}|(?!{INSIDE}(?!.))[<{{].*+)"
    form = form.replace(ANY, f'(?:"[^"]*+"|[^",:<>{{}}]++|[<{{]{INSIDE}[>}}])')
    return f"(?s){form.replace(INSIDE, inside)}"


def _split(schema: Schema, definitions: dict[str, Schema]) -> Split:
    """The form of a parameter, and what it does not say."""
    form, rest = _Splitting(definitions).split(schema, ())
    if len(_written(form)) > MAX_FORM:
        form, rest = TYPES.get(schema.get("type", ""), ANY), schema
    for bracket in ("<", "[{]"):
        if form.startswith(f"{bracket}{INSIDE}"):
            form = f"{bracket}.*+"  # nothing comes after it
    return form, rest


class _Splitting:
    """Divides a schema between a form and the model."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def split(self, schema: Schema, above: tuple[str, ...]) -> Split:
        """The form of a value, and the rest of its schema.

        Args:
            schema: of draft 4.
            above: the definitions that it is within.
        """
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/definitions/")
            hidden = name in above or len(above) == DEEPEST
            return (ANY, schema) if hidden else self.split(self._definitions[name], (*above, name))
        if "anyOf" in schema:
            options = [self.split(option, above) for option in schema["anyOf"]]
            forms, rest = [form for form, _ in options], [rest for _, rest in options]
            return ANY if ANY in forms else f"(?:{'|'.join(forms)})", schema if any(rest) else {}
        if schema.get("type") == "array":
            return self._array(schema, above)
        return self._object(schema, above) if schema.get("type") == "object" else _scalar(schema)

    def _array(self, schema: Schema, above: tuple[str, ...]) -> Split:
        form, inner = self.split(schema.get("items", {}), above)
        rest = _without(schema, "type", "items", "minItems", "maxItems") | ({"items": inner} if inner else {})
        return f"<{_several(form, schema.get('minItems', 0), schema.get('maxItems'))}>", rest

    def _object(self, schema: Schema, above: tuple[str, ...]) -> Split:
        named, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        if not all(map(PLAIN.fullmatch, named)) or "patternProperties" in schema or (named and other):
            return TYPES["object"], _without(schema, "type")
        if not named and other == {} and not schema.keys() & {"minProperties", "maxProperties"}:
            return TYPES["object"], {}
        parts = {name: self.split(each, above) for name, each in named.items()}
        members = [f'"{name}":{form}' for name, (form, _) in parts.items()]
        rest = _without(
            schema, "type", "required", "minProperties", "maxProperties", "properties", "additionalProperties"
        )
        if other is not False:
            form, left = self.split(other, above)
            members.append(f'"{_none_of(named)}[^"]*+":{form}')
            rest |= {"additionalProperties": left} if left else {}
        if inner := {name: left for name, (_, left) in parts.items() if left}:
            rest["properties"] = inner
        needed = "".join(f'(?=(?:"{_none_of([name])}[^"]*+":{ANY},)*+"{name}":)' for name in schema.get("required", ()))
        inside = _several(f"(?:{'|'.join(members)})", schema.get("minProperties", 0), schema.get("maxProperties"))
        return f"[{{]{needed}{inside if members else ''}[}}]", rest


def _without(schema: Schema, *names: str) -> Schema:
    return {name: value for name, value in schema.items() if name not in names}


def _none_of(names: Any) -> str:
    return f'(?!(?:{"|".join(names)})")' if names else ""


def _several(form: str, least: int, most: int | None) -> str:
    """So many values, each with the comma after it."""
    if form == ANY and not least and most is None:
        return INSIDE
    return f"(?:{form},?+){_count(least, most)}"


def _count(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}+" if least or most is not None else "*+"


def _scalar(schema: Schema) -> Split:
    kind = schema.get("type")
    if "enum" in schema:
        return _enum(schema)
    if kind == "number" and schema.get("minimum") == 0:
        return NOT_NEGATIVE, _without(schema, "type", "minimum")
    if kind in ("integer", "string"):
        return (_integer if kind == "integer" else _string)(schema)
    return TYPES.get(kind or "", ANY), _without(schema, "type")


def _enum(schema: Schema) -> Split:
    values = schema["enum"]
    if not all(PLAIN.fullmatch(value) if isinstance(value, str) else isinstance(value, int | None) for value in values):
        return ANY, schema
    texts = (f"{json.dumps(value)}{'' if isinstance(value, str) else END}" for value in values)
    return f"(?:{'|'.join(texts)})", {}


def _string(schema: Schema) -> Split:
    if (pattern := schema.get("pattern")) in TEXTS:
        form = pattern.removeprefix("^").removesuffix("$") + ("" if pattern.endswith("$") else '[^"]*+')
        return f'"{form}"', _without(schema, "type", "pattern")
    count = _count(schema.get("minLength", 0), schema.get("maxLength"))
    return f'"[^"]{count}"', _without(schema, "type", "minLength", "maxLength")


# -- bounds of whole numbers ------------------------------------------------------------------------------------------


def _integer(schema: Schema) -> Split:
    bounds = {name: bound for name in ("minimum", "maximum") if isinstance(bound := schema.get(name), int)}
    form = TYPES["integer"]
    if "maximum" in bounds:
        most = bounds["maximum"]
        form = f"(?:-[0-9]++|{_at_most(most)}){END}" if most >= 0 else f"-{_at_least(-most)}{END}"
    if "minimum" in bounds:
        least = bounds["minimum"]
        lower = _at_least(least) if least > 0 else f"(?:[0-9]++|-{_at_most(-least)})"
        form = f"(?={lower}{END}){form}"
    return form, _without(schema, "type", *bounds)


def _at_least(bound: int) -> str:
    """The digits of what is not less than this, which is not negative."""
    digits = str(bound)
    larger = [
        f"{digits[:place]}[{int(digit) + 1}-9]{_digits(len(digits) - place - 1)}"
        for place, digit in enumerate(digits)
        if digit != "9"
    ]
    return f"(?:{'|'.join([digits, *larger, f'[1-9][0-9]{{{len(digits)},}}'])})"


def _at_most(bound: int) -> str:
    """The digits of what is not more than this, which is not negative."""
    digits = str(bound)
    smaller = [
        f"{digits[:place]}[{0 if place else 1}-{int(digit) - 1}]{_digits(len(digits) - place - 1)}"
        for place, digit in enumerate(digits)
        if int(digit) > (0 if place else 1)
    ]
    shorter = ["[0-9]" + (f"{{1,{len(digits) - 1}}}" if len(digits) > 2 else "")] if len(digits) > 1 else ["0"]
    return f"(?:{'|'.join([digits, *smaller, *shorter])})"


def _digits(count: int) -> str:
    return f"[0-9]{{{count}}}" if count else ""
