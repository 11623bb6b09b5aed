"""The filters of an event source mapping, against docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
("Filter rule syntax") and docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html."""

import json
from typing import Any

import pytest

from tests.aws.double.cloudformation import TemplateError
from tests.aws.double.event_patterns import matches, parsed

PENDING = {"eventName": "MODIFY", "dynamodb": {"NewImage": {"status": {"S": "Pending"}, "attempt": {"N": "2"}}}}


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["INSERT"]}, False),
        ({"eventName": ["modify"]}, False),
        ({"eventName": [{"equals-ignore-case": "modify"}]}, True),
        ({"eventName": [{"prefix": "MOD"}]}, True),
        ({"eventName": [{"suffix": "FY"}]}, True),
        ({"eventName": [{"anything-but": ["REMOVE"]}]}, True),
        ({"eventName": [{"anything-but": ["MODIFY"]}]}, False),
        ({"eventName": [{"anything-but": {"prefix": "MOD"}}]}, False),
        ({"dynamodb": {"NewImage": {"status": {"S": ["Pending"]}}}}, True),
        ({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"status": {"S": ["Pending"]}}}}, False),
        ({"dynamodb": {"NewImage": {"attempt": {"N": ["2"]}}}}, True),
        ({"dynamodb": {"NewImage": {"attempt": {"N": [2]}}}}, False),
        ({"dynamodb": {"NewImage": {"attempt": {"N": [{"numeric": [">", 1]}]}}}}, False),
        ({"dynamodb": {"NewImage": {"expiresAt": {"N": [{"exists": False}]}}}}, True),
        ({"dynamodb": {"NewImage": {"attempt": {"N": [{"exists": True}]}}}}, True),
        ({"dynamodb": {"NewImage": [{"exists": True}]}}, False),
        ({"dynamodb": {"OldImage": {"status": {"S": [{"anything-but": "Pending"}]}}}}, False),
        ({"$or": [{"eventName": ["INSERT"]}, {"dynamodb": {"NewImage": {"status": {"S": ["Pending"]}}}}]}, True),
    ],
)
def test_a_pattern_fits_as_documented(pattern: dict[str, Any], fits: bool) -> None:
    """`exists` is for leaves, a number fits no text (as DynamoDB's numbers are), `anything-but` wants a field."""
    assert matches(parsed(json.dumps(pattern), "here"), PENDING) is fits


@pytest.mark.parametrize(
    ("value", "fits"), [(5, True), (5.5, True), (10, False), (4.9, False), ("7", False), (True, False), ([1, 6], True)]
)
def test_numbers_are_compared_with_numbers(value: Any, fits: bool) -> None:
    pattern = {"size": [{"numeric": [">=", 5, "<", 10]}]}
    assert matches(parsed(json.dumps(pattern), "here"), {"size": value}) is fits


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", '{"a": "b"}', '{"a": []}', '{"a": [{}]}', '{"a": [{"cidr": "10.0.0.0/8"}]}'),
        *('{"a": [{"exists": "true"}]}', '{"a": [{"numeric": [">"]}]}', '{"a": [{"prefix": 1}]}', '{"a": [["b"]]}'),
    ],
)
def test_what_is_no_pattern_or_not_known_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match="here"):
        parsed(text, "here")
