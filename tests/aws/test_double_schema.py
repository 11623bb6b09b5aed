"""The double's request validation: draft 4, with the texts of the real validator, and nothing that it would refuse."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.aws.double.schema import InvalidModel, check_model, escaped, validate

SLEEP = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "required": ["seconds"],
    "additionalProperties": False,
    "properties": {
        "jobId": {"type": "string", "pattern": "^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}$"},
        "type": {"enum": ["sleep"]},
        "seconds": {"type": "number", "minimum": 0, "maximum": 5},
    },
}


def said(schema: dict[str, Any], value: Any) -> str | None:
    return validate(schema, json.dumps(value).encode())


@pytest.mark.parametrize(
    "body", [b'{"seconds": 3}', b'{"jobId": "a", "type": "sleep", "seconds": 1.5}', b' {"seconds":5e0}']
)
def test_a_body_that_fits_the_model_is_valid(body: bytes) -> None:
    assert validate(SLEEP, body) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, 'object has missing required properties (["seconds"])'),
        (
            {"second": 1, "also": 2, "seconds": 3},
            'object instance has properties which are not allowed by the schema: ["also","second"]',
        ),
        (
            {"seconds": "3"},
            'instance type (string) does not match any allowed primitive type (allowed: ["integer","number"])',
        ),
        (
            {"seconds": True},
            'instance type (boolean) does not match any allowed primitive type (allowed: ["integer","number"])',
        ),
        ({"seconds": -1}, "numeric instance is lower than the required minimum (minimum: 0, found: -1)"),
        ({"seconds": 5.5}, "numeric instance is greater than the required maximum (maximum: 5, found: 5.5)"),
        ({"seconds": 1, "type": "nap"}, 'instance value ("nap") not found in enum (possible values: ["sleep"])'),
        (
            {"seconds": 1, "jobId": ".a"},
            'ECMA 262 regex "^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}$" does not match input string ".a"',
        ),
        ([], 'instance type (array) does not match any allowed primitive type (allowed: ["object"])'),
    ],
)
def test_a_body_that_does_not_fit_gets_the_real_validators_message(value: Any, message: str) -> None:
    assert said(SLEEP, value) == f"[{message}]"


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"maxLength": 2}, "abc", 'string "abc" is too long (length: 3, maximum allowed: 2)'),
        ({"minLength": 2}, "a", 'string "a" is too short (length: 1, required minimum: 2)'),
        ({"minItems": 1}, [], "array is too short: must have at least 1 elements but instance has 0 elements"),
        ({"maxItems": 1}, [1, 2], "array is too long: must have at most 1 elements but instance has 2 elements"),
        ({"uniqueItems": True}, [1, 1], "array must not contain duplicate elements"),
        (
            {"items": [{}], "additionalItems": False},
            [1, 2],
            "schema only allows 1 elements in array but instance has 2 elements",
        ),
        ({"minProperties": 1}, {}, "object has too few properties (found 0 but schema requires at least 1)"),
        ({"maxProperties": 0}, {"a": 1}, "object has too many properties (found 1 but schema requires at most 0)"),
        ({"multipleOf": 0.1}, 0.25, "remainder of division is not zero (0.25 / 0.1)"),
        (
            {"anyOf": [{"type": "null"}, {"type": "string"}]},
            1,
            "instance failed to match at least one required schema among 2",
        ),
        (
            {"oneOf": [{"type": "null"}, {"type": "string"}]},
            1,
            "instance failed to match exactly one schema (matched 0 out of 2)",
        ),
        ({"oneOf": [{}, {"type": "integer"}]}, 1, "instance failed to match exactly one schema (matched 2 out of 2)"),
        (
            {"allOf": [{}, {"type": "string"}]},
            1,
            "instance failed to match all required schemas (matched only 1 out of 2)",
        ),
        ({"not": {"type": "string"}}, "a", "instance matched a schema which it should not have"),
        (
            {"enum": [{"a": 1.50}, None]},
            [1e999],
            'instance value ([Infinity]) not found in enum (possible values: [{"a":1.5},null])',
        ),
    ],
)
def test_every_keyword_has_its_message(schema: dict[str, Any], value: Any, message: str) -> None:
    if value == [float("inf")]:
        assert validate(schema, b"[1e999]") == f"[{message.replace('Infinity', '1E+999')}]"
    else:
        assert said(schema, value) == f"[{message}]"


def test_all_that_is_wrong_on_one_level_is_said_and_nothing_below_it() -> None:
    assert said(SLEEP, {"jobId": "", "x": 1}) == (
        '[object instance has properties which are not allowed by the schema: ["x"], '
        'object has missing required properties (["seconds"])]'
    )
    nested = {
        "properties": {"a": {"type": "string"}, "b": {"properties": {"c": {"type": "string"}}}, "d": {"enum": [1]}}
    }
    assert said(nested, {"d": 2, "b": {"c": 1}, "a": 1}) == (
        '[instance type (integer) does not match any allowed primitive type (allowed: ["string"]), '
        "instance value (2) not found in enum (possible values: [1])]"
    )


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"{} {}", b"\xff", b'{"seconds": NaN}', b'{"seconds": -Infinity}', b"[" * 100_000, b"9" * 4_301,
     "{}".encode("utf-16"), b"1e99999999999999999999", b"1e2147483648", b"{'a': 1}"],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_json_is_invalid(body: bytes) -> None:
    assert validate({}, body) == "Invalid JSON"


@pytest.mark.parametrize(
    ("schema", "body", "valid"),
    [
        ({"maximum": 5}, b"1e999", False),
        ({"maximum": 5}, b"5.0000000000000000000001", False),
        ({"minimum": 5}, b"4.9999999999999999999999", False),
        ({"maximum": 0.1}, b"0.1", True),
        ({"type": "integer"}, b"1.0", False),
        ({"type": "integer"}, b"true", False),
        ({"enum": [1]}, b"true", False),
        ({"multipleOf": 0.1}, b"0.3", True),
    ],
)
def test_numbers_are_exact_and_keep_draft_4s_types(schema: dict[str, Any], body: bytes, valid: bool) -> None:
    assert (validate(schema, body) is None) == valid


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        ("b", "abc", True),
        (r"^\d$", "٣", False),
        (r"^\w$", "é", False),
        (r"^[\w$.-]+$", "a.$-", True),
        ("^.$", "\u2028", False),
        ("^[[&]$", "[", True),
    ],
)
def test_patterns_are_ecmas(pattern: str, text: str, matches: bool) -> None:
    assert (said({"pattern": pattern}, text) is None) == matches
    named = {"patternProperties": {pattern: {}}, "additionalProperties": False}
    assert (said(named, {text: 1}) is None) == matches


@pytest.mark.parametrize("pattern", [r"\Aa", "(?P<n>a)", "(?i)a", "a++", "[]a]", "a{,3}", r"\s", "(", "a\\"])
def test_a_pattern_that_ecma_and_python_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidModel):
        check_model({"pattern": pattern})


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum": 0, "exclusiveMinimum": True},
        {"exclusiveMinimum": 0},
        {"exclusiveMaximum": 0},
        {"default": 1},
        {"discriminator": "type"},
        {"const": 1},
        {"examples": [1]},
        {"nullable": True},
        {"prefixItems": []},
        {"$defs": {}},
        {"if": {}, "then": {}},
        {"enum": [1, 1]},
        {"required": []},
        {"type": "float"},
        {"maxLength": "35"},
        {"$ref": "https://apigateway.amazonaws.com/restapis/x/models/Y"},
        {"$ref": "#/definitions/absent"},
    ],
)
def test_a_schema_that_cannot_be_a_model_is_refused_at_any_depth(wrong: dict[str, Any]) -> None:
    for schema in (
        wrong,
        {"properties": {"default": wrong}},
        {"items": wrong},
        {"anyOf": [wrong]},
        {"definitions": {"x": wrong}},
        {"additionalProperties": wrong},
    ):
        with pytest.raises(InvalidModel):
            check_model(schema)


def test_a_schema_of_another_draft_is_refused() -> None:
    with pytest.raises(InvalidModel, match="not draft 4"):
        check_model({"$schema": "http://json-schema.org/draft-07/schema#"})


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    check_model({"properties": {"default": {"type": "string"}, "pattern": {"type": "integer"}}})


def test_local_definitions_can_be_referred_to() -> None:
    schema = {"definitions": {"id": {"type": "string"}}, "properties": {"jobId": {"$ref": "#/definitions/id"}}}
    assert said(schema, {"jobId": "a"}) is None
    assert said(schema, {"jobId": 1}) is not None


def test_format_is_ignored() -> None:
    assert said({"format": "date-time"}, "no date") is None


@given(st.text())
def test_an_escaped_text_in_quotes_is_json(text: str) -> None:
    assert json.loads(f'"{escaped(text)}"') == text


def test_a_validation_message_fits_into_a_gateway_response() -> None:
    message = said(SLEEP, {})
    assert message is not None
    assert json.loads(f'{{"message": "{escaped(message)}"}}') == {"message": message}
