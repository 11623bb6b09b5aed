"""How the durable edition validates `POST /jobs` so that a refusal names the field.

API Gateway's validator says what is wrong, but not where. So what can be told from the JSON text of a parameter alone
is left out of the model: of which type it is, that it is not negative, that it is one of a few texts, that it is there
at all. The mapping template checks that by regular expressions, one for each parameter, and knows the names. What is
inside of lists and objects, and other bounds, the model still says.
"""

import re
from typing import Any

from asyncjob.aws.build.model import DRAFT_4, parameter_schemas
from asyncjob.registry import Jobs
from asyncjob.type_schemas import Schema

TYPES = {
    "null": "null",
    "boolean": "true|false",
    "integer": "-?[0-9]+",
    "number": "-?[0-9].*",
    "string": '".*"',
    "array": '[^-0-9a-z"{].*',
    "object": "[{].*",
}
"""By type, what its JSON text looks like from outside."""
NOT_NEGATIVE = {"integer": "-0|[0-9]+", "number": "-0([.]0*)?|[0-9].*"}
PLAIN = re.compile(r"[A-Za-z0-9_ -]*")


def durable_model(jobs: Jobs) -> Schema:
    """What is left to the model: a body of any type that there is, or of none, which the template refuses."""
    parameters, definitions = parameter_schemas(jobs)
    inside = [{name: rest for name, schema in fields.items() if (rest := _rest(schema))} for fields in parameters]
    model: Schema = {"$schema": DRAFT_4, "type": "object"}
    if len(jobs) == 1:
        model["properties"] = inside[0]
    else:
        bodies: list[Schema] = [
            {"properties": {"type": {"enum": [name]}, **fields}, "required": ["type"]}
            for name, fields in zip(jobs.names, inside, strict=True)
        ]
        known = {"properties": {"type": {"enum": [*jobs.names]}}, "required": ["type"]}
        model["anyOf"] = [*bodies, {"not": known}]
    return {**model, **({"definitions": definitions} if definitions else {})}


def forms(jobs: Jobs) -> list[dict[str, str]]:
    """For each function, a regular expression for the JSON text of each parameter that one can be said of."""
    parameters, _ = parameter_schemas(jobs)
    return [
        {name: f"(?s){form}" for name, schema in fields.items() if (form := _form(schema)) is not None}
        for fields in parameters
    ]


def _form(schema: Schema) -> str | None:
    if "enum" in schema:
        texts = schema["enum"]
        plain = all(isinstance(text, str) and PLAIN.fullmatch(text) for text in texts)
        return "|".join(f'"{text}"' for text in texts) if plain else None
    if "anyOf" in schema:
        options = [_form(option) for option in schema["anyOf"]]
        return None if None in options else "|".join(f"{option}" for option in options)
    kind: Any = schema.get("type")
    if kind in NOT_NEGATIVE and schema.get("minimum") == 0:
        return NOT_NEGATIVE[kind]
    return TYPES.get(kind)


def _rest(schema: Schema) -> Schema:
    """What the form of a parameter does not say."""
    if _form(schema) is None:
        return schema
    if "enum" in schema:
        return {}
    if "anyOf" in schema:
        options = [_rest(option) for option in schema["anyOf"]]
        return schema if any(options) else {}
    rest = {name: value for name, value in schema.items() if name != "type"}
    if schema.get("minimum") == 0 and schema["type"] in NOT_NEGATIVE:
        del rest["minimum"]
    return rest
