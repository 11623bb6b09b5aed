r"""Validates a request's body against a model, as API Gateway does: JSON Schema draft 4, and its validator's messages.

jsonschema decides what is valid. What it sees differently from the real validator, which is a Java library, is
translated before it looks: patterns are ECMA's (`$` is the very end, `\d` is ASCII), and decimal numbers are exact.
The messages name no place in the body; that is how the real ones are.
"""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend

_ONE_SCHEMA = {"items", "additionalItems", "additionalProperties", "not"}
_SCHEMAS = {"anyOf", "oneOf", "allOf", "items"}
_NAMED_SCHEMAS = {"properties", "patternProperties", "definitions"}
_VALUES = {
    *("$schema", "$ref", "title", "description", "format", "type", "enum", "required", "pattern", "uniqueItems"),
    *("minimum", "maximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "minProperties", "maxProperties"),
}
_KEYWORDS = _ONE_SCHEMA | _SCHEMAS | _NAMED_SCHEMAS | _VALUES
_DRAFT_4 = {"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-04/schema"}
_LARGEST_EXPONENT = 2**31 - 1  # of Java's BigDecimal; a number beyond it cannot be read


class InvalidModel(Exception):
    """API Gateway would refuse the schema when the model is created, or this double does not know what it would do."""


def check_model(schema: dict[str, Any]) -> None:
    """Check that a schema can be a model.

    Raises:
        InvalidModel: It is no draft 4, or has a keyword outside of what is known to work, at any depth.
    """
    _validator(json.dumps(schema))


def validate(schema: dict[str, Any], body: bytes) -> str | None:
    """Validate a body against a model.

    Returns:
        None when it is valid, else what `$context.error.validationErrorString` says, such as
        `[object has missing required properties (["seconds"])]`. For what is no JSON at all the real text could not be
        established; here it is `Invalid JSON`.

    Raises:
        InvalidModel: As `check_model` does.
    """
    validator = _validator(json.dumps(schema))
    try:
        instance = json.loads(body.decode(), parse_float=_decimal, parse_constant=_refused)
    except (ValueError, RecursionError):
        return "Invalid JSON"
    errors = sorted(validator.iter_errors(instance), key=lambda error: (list(error.absolute_path), error.validator))
    messages = dict.fromkeys((tuple(error.absolute_path), _message(error)) for error in _reported(errors))
    return f"[{', '.join(message for _, message in messages)}]" if messages else None


def escaped(text: str) -> str:
    """The form in which a text goes into a gateway response's template: JSON's escapes, without the outer quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _decimal(literal: str) -> Decimal:
    try:
        number = Decimal(literal)
    except InvalidOperation as e:
        raise ValueError(f"a number beyond all exponents: {literal}") from e
    if abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError(f"a number beyond BigDecimal: {literal}")
    return number


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _reported(errors: list[ValidationError]) -> list[ValidationError]:
    """What the real validator says of it: once something failed it goes no deeper, but finishes the level it is on."""
    if not errors:
        return []
    first = list(errors[0].absolute_path)
    return [e for e in errors if not (path := list(e.absolute_path)) or first > path[:-1]]


# --- The model ---


@lru_cache(maxsize=64)
def _validator(text: str) -> Any:
    schema = json.loads(text, parse_float=Decimal)
    prepared = _prepared(schema, schema)
    try:
        Draft4Validator.check_schema(schema, format_checker=None)  # it would read patterns as Python's
    except SchemaError as e:
        raise InvalidModel(f"Invalid model schema specified: {e.message}") from e
    return _Validator(prepared)


def _prepared(schema: Any, root: dict[str, Any]) -> Any:
    """The schema with its patterns in Python's words, checked; the pattern as written is kept under `ecma`."""
    if isinstance(schema, bool):  # as additionalProperties and additionalItems may be
        return schema
    if not isinstance(schema, dict):
        raise InvalidModel(f"Invalid model schema specified: {schema!r} is no schema")
    if unknown := sorted(schema.keys() - _KEYWORDS):
        raise InvalidModel(f"Invalid model schema specified. Unsupported keyword(s): {json.dumps(unknown)}")
    if schema.get("$schema", min(_DRAFT_4)) not in _DRAFT_4:
        raise InvalidModel(f"Invalid model schema specified: not draft 4: {schema['$schema']}")
    _check_reference(schema.get("$ref", "#"), root)
    made = dict(schema)
    for key, value in schema.items():
        if key in _NAMED_SCHEMAS and isinstance(value, dict):
            rename = _python_pattern if key == "patternProperties" else str
            made[key] = {rename(name): _prepared(item, root) for name, item in value.items()}
        elif key in _SCHEMAS and isinstance(value, list):
            made[key] = [_prepared(item, root) for item in value]
        elif key in _ONE_SCHEMA:
            made[key] = _prepared(value, root)
    if isinstance(pattern := schema.get("pattern"), str):
        made |= {"pattern": _python_pattern(pattern), "ecma": pattern}
    return made


def _check_reference(reference: Any, root: dict[str, Any]) -> None:
    _, found, name = str(reference).partition("#/definitions/")
    if reference != "#" and not (found and name in root.get("definitions", {})):
        raise InvalidModel(f"only # and #/definitions/<one that is there> can be referred to: {reference}")


# What means the same to ECMA and Python: escapes, groups, classes. What only one of them has is refused.
_TOKENS = re.compile(
    r"(?P<escape>\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[1-9dDwWbBnrtfv]|[^A-Za-z0-9]))"
    r"|(?P<set>\[\^?(?:\\(?:[dDwWnrtfv]|[^A-Za-z0-9])|[^\\\]])+\])"
    r"|(?P<other>\\|\[|\(\?(?![:=!])|[*+?}]\+|\{,)"
    r"|(?P<end>\$)|(?P<dot>\.)",
)


def _python_pattern(pattern: str) -> str:
    def python(found: re.Match[str]) -> str:
        match found.lastgroup:
            case "other":
                raise InvalidModel(f"this double cannot translate the pattern {pattern!r} at {found.start()}")
            case "end":
                return r"\Z"
            case "dot":
                return r"[^\n\r\u2028\u2029]"
            case "set":
                return re.sub(r"(?<=.)\[|[&~|]", r"\\\g<0>", found.group())
        return found.group()

    translated = f"(?a:{_TOKENS.sub(python, pattern)})"
    try:
        re.compile(translated)
    except re.error as e:
        raise InvalidModel(f"no regex: {pattern!r}: {e}") from e
    return translated


# --- Evaluation: jsonschema, but for three keywords that it reports, or calculates, in another way ---


def _all_of(validator: Any, schemas: list[Any], instance: Any, _schema: Any) -> Iterator[ValidationError]:
    matched = sum(validator.evolve(schema=schema).is_valid(instance) for schema in schemas)
    if matched < len(schemas):
        yield ValidationError(
            f"instance failed to match all required schemas (matched only {matched} out of {len(schemas)})"
        )


def _one_of(validator: Any, schemas: list[Any], instance: Any, _schema: Any) -> Iterator[ValidationError]:
    matched = sum(validator.evolve(schema=schema).is_valid(instance) for schema in schemas)
    if matched != 1:
        yield ValidationError(f"instance failed to match exactly one schema (matched {matched} out of {len(schemas)})")


def _multiple_of(validator: Any, divisor: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "number"):
        return
    with localcontext(prec=10_000):
        remainder = Decimal(instance) % Decimal(divisor)
    if remainder:
        yield ValidationError(f"remainder of division is not zero ({instance} / {divisor})")


_Validator = extend(Draft4Validator, {"allOf": _all_of, "oneOf": _one_of, "multipleOf": _multiple_of})

# --- Messages ---


def _message(error: ValidationError) -> str:
    made = _MESSAGES.get(str(error.validator))
    return made(error.instance, error.validator_value, error.schema) if made else error.message


def _extra(found: dict[str, Any], _: Any, schema: dict[str, Any]) -> str:
    patterns = schema.get("patternProperties", {})
    extra = {n for n in found if n not in schema.get("properties", {}) and not any(re.search(p, n) for p in patterns)}
    return f"object instance has properties which are not allowed by the schema: {_json(sorted(extra))}"


def _type(found: Any, allowed: Any, _: Any) -> str:
    kinds: dict[type, str] = {bool: "boolean", type(None): "null", int: "integer", Decimal: "number"}
    kinds |= {str: "string", list: "array", dict: "object"}
    names = {allowed} if isinstance(allowed, str) else set(allowed)
    names |= {"integer"} if "number" in names else set()
    expected = _json(sorted(names))
    return f"instance type ({kinds[type(found)]}) does not match any allowed primitive type (allowed: {expected})"


_MESSAGES: dict[str, Callable[[Any, Any, Any], str]] = {
    "type": _type,
    "additionalProperties": _extra,
    "required": lambda found, names, _: (
        f"object has missing required properties ({_json(sorted(set(names) - set(found)))})"
    ),
    "enum": lambda found, values, _: (
        f"instance value ({_json(found)}) not found in enum (possible values: {_json(values)})"
    ),
    "minimum": lambda found, least, _: (
        f"numeric instance is lower than the required minimum (minimum: {least}, found: {found})"
    ),
    "maximum": lambda found, most, _: (
        f"numeric instance is greater than the required maximum (maximum: {most}, found: {found})"
    ),
    "minLength": lambda found, least, _: (
        f'string "{found}" is too short (length: {len(found)}, required minimum: {least})'
    ),
    "maxLength": lambda found, most, _: f'string "{found}" is too long (length: {len(found)}, maximum allowed: {most})',
    "pattern": lambda found, _, schema: f'ECMA 262 regex "{schema["ecma"]}" does not match input string "{found}"',
    "minItems": lambda found, least, _: (
        f"array is too short: must have at least {least} elements but instance has {len(found)} elements"
    ),
    "maxItems": lambda found, most, _: (
        f"array is too long: must have at most {most} elements but instance has {len(found)} elements"
    ),
    "additionalItems": lambda found, _, schema: (
        f"schema only allows {len(schema['items'])} elements in array but instance has {len(found)} elements"
    ),
    "uniqueItems": lambda *_: "array must not contain duplicate elements",
    "minProperties": lambda found, least, _: (
        f"object has too few properties (found {len(found)} but schema requires at least {least})"
    ),
    "maxProperties": lambda found, most, _: (
        f"object has too many properties (found {len(found)} but schema requires at most {most})"
    ),
    "anyOf": lambda _, schemas, __: f"instance failed to match at least one required schema among {len(schemas)}",
    "not": lambda *_: "instance matched a schema which it should not have",
}


def _json(value: Any) -> str:
    match value:
        case Decimal():
            return str(value)
        case dict():
            return "{" + ",".join(f"{_json(key)}:{_json(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
