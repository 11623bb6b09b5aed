"""The model by which API Gateway validates `POST /jobs`: JSON Schema draft 4, made from the job functions' signatures.

Draft 4, and what of it API Gateway knows, says less than a type hint can. What it cannot say is left out, so the model
may accept what the function's own check refuses, and never the other way round (but for integers of over 308 digits,
where a float would do as well).
"""

import sys
from typing import Any

import msgspec

from asyncjob.contract import JOB_ID
from asyncjob.registry import JobFunction, Jobs

Schema = dict[str, Any]

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
KEPT = (
    *("type", "enum", "anyOf", "required", "properties", "additionalProperties", "patternProperties", "items"),
    *("minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems"),
    *("minProperties", "maxProperties"),
)


def submission_model(jobs: Jobs) -> Schema:
    """The model of a body that submits one of these job functions."""
    references, components = msgspec.json.schema_components(
        [function.parameters for function in jobs], ref_template="#/definitions/{name}"
    )
    definitions = {name: _draft4(schema) for name, schema in components.items()}
    bodies = []
    for function, reference in zip(jobs, references, strict=True):
        parameters = definitions.pop(reference["$ref"].removeprefix("#/definitions/"))
        bodies.append(_body(parameters, function, type_required=len(jobs) > 1))
    model = bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
    return {"$schema": DRAFT_4, **model, **({"definitions": definitions} if definitions else {})}


def _body(parameters: Schema, function: JobFunction, type_required: bool) -> Schema:
    common = {"jobId": {"type": "string", "pattern": f"^{JOB_ID.pattern}$"}, "type": {"enum": [function.name]}}
    required = [*(["type"] if type_required else []), *parameters.get("required", [])]
    return {
        "type": "object",
        "properties": {**common, **parameters["properties"]},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


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
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in schema:
            known[bound] = schema[exclusive]
    if known.get("type") == "number":  # a JSON number may be larger than any float
        known = {"minimum": -sys.float_info.max, "maximum": sys.float_info.max, **known}
    return known


def _simpler(schema: Schema) -> Schema:
    """Without an integer's option beside the same number's: the refusal then says what is wrong with the number."""
    numbers = [option for option in schema["anyOf"] if option.get("type") == "number"]
    options = [
        option
        for option in schema["anyOf"]
        if option.get("type") != "integer" or {"maximum": sys.float_info.max, **option, "type": "number"} not in numbers
    ]
    return options[0] if len(options) == 1 else {**schema, "anyOf": options}
