"""What a parameter must be, in the words of a refusal: a template cannot tell where in a list something is wrong.

The words are made of letters, digits and a few signs, so that they are the same text in JSON, in a mapping template and
in YAML.
"""

from asyncjob.aws.build.model import FORMS, parameter_schemas
from asyncjob.registry import Jobs
from asyncjob.type_schemas import Schema

DEEPEST = 3  # lists and objects that are described within each other
LONGEST = 500  # characters
SEE = "what openapi.json says"
KINDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}
TEXTS = {
    FORMS["date"]: "a date such as 2026-12-24",
    FORMS["date-time"]: "a time such as 2026-12-24T18:00:00Z",
    FORMS["time"]: "a time of day such as 18:00:00",
    FORMS["duration"]: "a duration such as PT1H30M",
    FORMS["uuid"]: "a UUID",
    FORMS["base64"]: "bytes in base64",
}


def rules(jobs: Jobs) -> list[dict[str, str]]:
    """For each function, what each of its parameters must be."""
    parameters, definitions = parameter_schemas(jobs)
    found = [{name: _rule(schema, definitions, 0) for name, schema in fields.items()} for fields in parameters]
    return [{name: rule if len(rule) <= LONGEST else SEE for name, rule in fields.items()} for fields in found]


def _rule(schema: Schema, definitions: dict[str, Schema], depth: int) -> str:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/definitions/")]
    if "enum" in schema:
        values = ["null" if value is None else str(value) for value in schema["enum"]]
        plain = all(value and value.replace("_", "").replace("-", "").isalnum() and value.isascii() for value in values)
        return f"one of {', '.join(values)}" if plain else "one of the values in openapi.json"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_rule(option, definitions, depth) for option in schema["anyOf"]))
    kind = schema.get("type", "")
    found = TEXTS.get(schema.get("pattern", ""), KINDS.get(kind, "any value"))
    if depth < DEEPEST and kind == "array" and schema.get("items"):
        found = f"a list in which each is {_rule(schema['items'], definitions, depth + 1)}"
    elif depth < DEEPEST and kind == "object":
        found = _object(schema, definitions, depth)
    return found + "".join(_bounds(schema))


def _object(schema: Schema, definitions: dict[str, Schema], depth: int) -> str:
    named, needed = schema.get("properties", {}), schema.get("required", ())
    if not all(name.isascii() and name.isidentifier() for name in named):
        return KINDS["object"]
    if named:
        fields = (
            f"{name} ({'' if name in needed else 'may be left out; '}{_rule(each, definitions, depth + 1)})"
            for name, each in named.items()
        )
        return f"an object of {', '.join(fields)}"
    values = schema.get("additionalProperties")
    return f"an object in which each value is {_rule(values, definitions, depth + 1)}" if values else KINDS["object"]


def _bounds(schema: Schema) -> list[str]:
    units = {"Length": " characters", "Items": " items", "Properties": " fields"}
    found = []
    for word, least, most in (("", "minimum", "maximum"), *((each, f"min{each}", f"max{each}") for each in units)):
        for name, said in ((least, "at least"), (most, "at most")):
            if name in schema:
                found.append(f", {said} {schema[name]}{units.get(word, '')}")
    if "multipleOf" in schema:
        found.append(f", a multiple of {schema['multipleOf']}")
    if "pattern" in schema and schema["pattern"] not in TEXTS:
        found.append(", of the pattern in openapi.json")
    return found
