"""The model by which API Gateway validates `POST /jobs`: JSON Schema draft 4, made from the job functions' signatures.

Draft 4, and what of it API Gateway knows, says less than a type hint can. What it cannot say is left out, so the model
may accept what the function's own check refuses, but never refuses what that accepts (except a Decimal that is sent as
a number with a fraction). These are left to the function's check: the bound itself of a float that must be above or
below it; bounds beyond 2^53 or written with an exponent; numbers that no float can hold; the positions of a
tuple; patterns that Python reads in another way than ECMA does; keys of a dict; numbers that equal a Literal's but are
written otherwise; and of texts that stand for something else (times, ids, decimals, bytes) all but their form.
"""

import math
import re
from typing import Any

from asyncjob.registry import Jobs
from asyncjob.schema import JOB_ID_SCHEMA, submission_schemas
from asyncjob.type_schemas import Schema

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
KEPT = (
    *("type", "enum", "anyOf", "required", "properties", "additionalProperties", "patternProperties", "items"),
    *("minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems"),
    *("minProperties", "maxProperties"),
)

FORMS = {
    "date": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "date-time": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}",
    "time": "^[0-9]{2}:[0-9]{2}:[0-9]{2}",
    "duration": "^[+-]?[Pp][0-9DdHhMmSsTt.,]+$",
    "uuid": "^[0-9A-Fa-f-]{32,36}$",
    "base64": "^[A-Za-z0-9+/]*={0,2}$",
}
"""What a text must look like to be one of these; what looks like one may still be none."""

# A pattern that Python and ECMA read alike: characters, sets of them, groups and alternatives; `$` is translated.
ALIKE = re.compile(
    r"(?:\\[^A-Za-z0-9\s]"
    r"|\[(?!\^)(?:\\[^A-Za-z0-9\s]|[^\\\[\]\U00010000-\U0010ffff])+\]"
    r"|\((?!\?)|\(\?:|(?<![*+?}])\+|\{[0-9]+(?:,[0-9]*)?\}|[^\\\[.(+{\U00010000-\U0010ffff])*"
)
END = re.compile(r"(\\.|\[(?:\\.|[^\]\\])+\])|\$")


def submission_model(jobs: Jobs) -> Schema:
    """The model of a body that submits one of these job functions."""
    bodies, definitions = _bodies(jobs)
    for body in bodies:
        body["properties"]["jobId"]["pattern"] = JOB_ID_SCHEMA["pattern"]  # matched whole, unlike a function's own
    model = bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
    return {"$schema": DRAFT_4, **model, **({"definitions": definitions} if definitions else {})}


def parameter_schemas(jobs: Jobs) -> tuple[list[dict[str, Schema]], dict[str, Schema]]:
    """The schemas of each function's parameters, by name, and the definitions that they refer to."""
    bodies, definitions = _bodies(jobs)
    fields = [body["properties"] for body in bodies]
    return [{name: each[name] for name in each if name not in ("jobId", "type")} for each in fields], definitions


def _bodies(jobs: Jobs) -> tuple[list[Schema], dict[str, Schema]]:
    schemas = submission_schemas(jobs, "#/definitions/{name}")
    definitions = {name: _draft4(schema) for name, schema in schemas.components.items()}
    return [_draft4(body) for body in schemas.bodies.values()], definitions


def _draft4(schema: Any) -> Any:
    """A schema of draft 2020-12, as msgspec writes it, in draft 4."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    known: Schema = {name: value for name, value in schema.items() if name in KEPT}
    if "const" in schema:
        known["enum"] = [schema["const"]]
    for name in ("properties", "patternProperties"):
        if name in known:
            known[name] = {key: _draft4(value) for key, value in known[name].items()}
    for name in ("items", "additionalProperties"):
        if name in known:
            known[name] = _draft4(known[name])
    if "prefixItems" in schema:
        known.pop("items", None)  # a tuple: draft 4 says its positions otherwise, and the length is kept
    if "anyOf" in known:
        known["anyOf"] = [_draft4(option) for option in known["anyOf"]]
        return _simpler(known)
    if known.get("type") == "string":
        return _text(known, schema.get("format") or schema.get("contentEncoding"))
    return _number(known, schema)


def _number(known: Schema, schema: Schema) -> Schema:
    """With its bounds; there are no exclusive ones, but an integer's can be said as the next integer."""
    whole = known.get("type") == "integer"
    if "exclusiveMinimum" in schema:
        bound = schema["exclusiveMinimum"]
        known["minimum"] = math.floor(bound) + 1 if whole else bound
    if "exclusiveMaximum" in schema:
        bound = schema["exclusiveMaximum"]
        known["maximum"] = math.ceil(bound) - 1 if whole else bound
    for name in ("minimum", "maximum", "multipleOf"):
        if not _arrives(known.get(name, 0)):
            del known[name]
    return known


def _arrives(number: float) -> bool:
    """Whether it is still a number once CloudFormation has read it: 1e+308, for one, may come out as a text."""
    return abs(number) <= 2**53 and "e" not in repr(number)


def _text(known: Schema, form: str | None) -> Schema:
    """With what can be said of its form."""
    if form == "decimal":
        # On its way to a function a number becomes a float, and loses digits: without a fraction, or as a text.
        return {"anyOf": [known, {"type": "integer"}]}
    if form in FORMS:
        return {**known, "pattern": FORMS[form]}
    if "pattern" in known:
        pattern = known.pop("pattern")
        if ALIKE.fullmatch(pattern):  # Python's $ is also before a line feed at the end
            known["pattern"] = END.sub(lambda found: found[1] or r"(?=\n?$)", pattern)
    return known


def _simpler(schema: Schema) -> Schema:
    """Without an integer's option beside the same number's: the refusal then says what is wrong with the number."""
    numbers = [option for option in schema["anyOf"] if option.get("type") == "number"]
    options = [
        option
        for option in schema["anyOf"]
        if option.get("type") != "integer" or {**option, "type": "number"} not in numbers
    ]
    return options[0] if len(options) == 1 else {**schema, "anyOf": options}
