"""The double of IAM: what a role and a function's permissions allow, what they refuse, and what nobody has needed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.aws.double.cloudformation import TemplateError, deploy
from tests.aws.double.iam import AccessDenied, Policies, matches

ROLE = "arn:aws:iam::123456789012:role/reader"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/Jobs"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:worker"
METHOD = "arn:aws:execute-api:us-east-1:123456789012:abc/prod/POST/jobs"
GATEWAY = "apigateway.amazonaws.com"
TRUST = {"Effect": "Allow", "Principal": {"Service": GATEWAY}, "Action": "sts:AssumeRole"}
READ = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": TABLE}


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def policies_of(properties: dict[str, Any], type: str = "AWS::IAM::Role") -> Policies:
    # JSON is YAML, so a template may be written as data.
    return Policies(deploy(json.dumps({"Resources": {"R": {"Type": type, "Properties": properties}}})))


def role(*statements: Any, trust: Any = TRUST, **more: Any) -> Policies:
    inline = {"Policies": [{"PolicyName": "own", "PolicyDocument": document(*statements)}]} if statements else {}
    return policies_of({"RoleName": "reader", "AssumeRolePolicyDocument": document(trust), **inline, **more})


def permission(**properties: Any) -> Policies:
    allowed = {"FunctionName": "worker", "Action": "lambda:InvokeFunction", "Principal": GATEWAY, "SourceArn": METHOD}
    return policies_of(allowed | properties, "AWS::Lambda::Permission")


def allows(policies: Policies, action: str, resource: str = TABLE, **context: str) -> bool:
    keys = {key.replace("_", ":", 1): value for key, value in context.items()}
    try:
        policies.require(ROLE, action, resource, keys)
    except AccessDenied:
        return False
    return True


def may_assume(policies: Policies, service: str = GATEWAY, **context: str) -> bool:
    try:
        policies.assume(ROLE, service, {key.replace("_", ":", 1): value for key, value in context.items()})
    except AccessDenied:
        return False
    return True


def may_invoke(
    policies: Policies,
    service: str = GATEWAY,
    action: str = "lambda:InvokeFunction",
    resource: str = FUNCTION,
    source: str = METHOD,
) -> bool:
    try:
        policies.require_service(service, action, resource, source)
    except AccessDenied:
        return False
    return True


class TestWildcards:
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("*"), st.text()),
                st.tuples(st.just("?"), st.characters()),
                st.text(st.characters(exclude_characters="*?")).map(lambda text: (text, text)),
            )
        )
    )
    def test_a_pattern_matches_whatever_its_wildcards_stand_for(self, parts: list[tuple[str, str]]) -> None:
        assert matches("".join(part for part, _ in parts), "".join(text for _, text in parts))

    @given(st.text("ab:.*?+[^$", max_size=6), st.text("ab:.*?+[^$", max_size=6))
    def test_a_pattern_matches_nothing_else(self, pattern: str, text: str) -> None:
        assert matches(pattern, text) == reference(pattern, text)

    @given(st.text(st.characters(exclude_characters="*?")), st.text())
    def test_without_a_wildcard_only_the_text_itself_matches(self, pattern: str, text: str) -> None:
        assert matches(pattern, text) == (pattern == text)


def reference(pattern: str, text: str) -> bool:
    """The meaning of a pattern, character by character."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return reference(pattern[1:], text) or (text != "" and reference(pattern, text[1:]))
    return text != "" and pattern[0] in ("?", text[0]) and reference(pattern[1:], text[1:])


class TestRoles:
    def test_what_no_statement_allows_is_denied_in_the_words_of_aws(self) -> None:
        with pytest.raises(AccessDenied) as denied:
            role(READ).require(ROLE, "dynamodb:PutItem", TABLE)
        assert str(denied.value).startswith(
            "User: arn:aws:sts::123456789012:assumed-role/reader/session is not authorized to perform: "
            f"dynamodb:PutItem on resource: {TABLE} because no identity-based policy allows"
        )

    @pytest.mark.parametrize(
        ("action", "resource", "called", "on", "allowed"),
        [
            ("dynamodb:GetItem", TABLE, "dynamodb:GetItem", TABLE, True),
            ("dynamodb:getitem", TABLE, "DynamoDB:GetItem", TABLE, True),
            ("dynamodb:GetItem", TABLE, "dynamodb:GetItem", TABLE.lower(), False),
            ("dynamodb:GetItem", TABLE, "dynamodb:GetItem", TABLE + "/index/i", False),
            ("dynamodb:GetItem", TABLE + "*", "dynamodb:GetItem", TABLE + "/index/i", True),
            ("dynamodb:*Item", TABLE, "dynamodb:PutItem", TABLE, True),
            ("dynamodb:?etItem", TABLE, "dynamodb:GetItem", TABLE, True),
            ("dynamodb:*", "*", "dynamodb:Query", TABLE, True),
            ("*", "*", "sqs:SendMessage", TABLE, True),
            (["sqs:SendMessage", "dynamodb:Query"], ["arn:aws:sqs:a:b:c", TABLE], "dynamodb:Query", TABLE, True),
            (["sqs:SendMessage", "dynamodb:Query"], [TABLE], "dynamodb:GetItem", TABLE, False),
            ("logs:PutLogEvents", "arn:aws:logs:r:a:log-group:g:*", "logs:PutLogEvents",
             "arn:aws:logs:r:a:log-group:g:log-stream:s", True),
        ],
    )  # fmt: skip
    def test_an_action_and_a_resource_have_to_match(
        self, action: Any, resource: Any, called: str, on: str, allowed: bool
    ) -> None:
        assert allows(role({"Effect": "Allow", "Action": action, "Resource": resource}), called, on) is allowed

    def test_a_statement_need_not_be_in_a_list(self) -> None:
        policies = role(Policies=[{"PolicyName": "own", "PolicyDocument": document() | {"Statement": READ}}])
        assert allows(policies, "dynamodb:GetItem")

    def test_an_explicit_deny_wins(self) -> None:
        policies = role(READ, {"Effect": "Deny", "Action": "*", "Resource": "*"})
        with pytest.raises(AccessDenied, match="explicit deny"):
            policies.require(ROLE, "dynamodb:GetItem", TABLE)
        assert len(policies.unused()) == 2

    def test_a_deny_whose_condition_does_not_match_denies_nothing(self) -> None:
        deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": False}}}
        assert allows(role(READ, deny), "dynamodb:GetItem")
        assert allows(role(READ, deny), "dynamodb:GetItem", aws_SecureTransport="true")
        assert not allows(role(READ, deny), "dynamodb:GetItem", aws_SecureTransport="false")

    @pytest.mark.parametrize(
        ("operator", "wanted", "actual", "holds"),
        [
            ("StringEquals", "a*", "a*", True),
            ("StringEquals", "a*", "ab", False),
            ("StringEquals", "a", "A", False),
            ("StringEquals", ["a", "b"], "b", True),
            ("StringLike", "a*", "ab", True),
            ("StringLike", "a?", "a", False),
            ("ArnLike", "arn:aws:execute-api:*:*:abc/*", METHOD, True),
            ("ArnEquals", "arn:aws:execute-api:*:*:abc/*", METHOD, True),
            ("ArnLike", "arn:aws:execute-api:*:abc/*:x", METHOD, False),
            ("ArnLike", METHOD, "no-arn", False),
            ("Bool", True, "True", True),
            ("Bool", "true", "false", False),
        ],
    )
    def test_a_condition_is_evaluated(self, operator: str, wanted: Any, actual: str, holds: bool) -> None:
        policies = role(READ | {"Condition": {operator: {"aws:Key": wanted}}})
        assert allows(policies, "dynamodb:GetItem", aws_Key=actual) is holds
        assert allows(policies, "dynamodb:GetItem", AWS_key=actual) is holds
        assert not allows(policies, "dynamodb:GetItem")

    def test_every_condition_has_to_hold(self) -> None:
        condition = {"StringEquals": {"aws:A": "a", "aws:B": "b"}, "StringLike": {"aws:C": "c*"}}
        policies = role(READ | {"Condition": condition})
        assert allows(policies, "dynamodb:GetItem", aws_A="a", aws_B="b", aws_C="cc")
        assert not allows(policies, "dynamodb:GetItem", aws_A="a", aws_B="b", aws_C="d")
        assert not allows(policies, "dynamodb:GetItem", aws_A="a", aws_C="cc")

    def test_a_role_that_does_not_exist_may_nothing(self) -> None:
        with pytest.raises(AccessDenied, match="no such role"):
            role(READ).require(ROLE + "2", "dynamodb:GetItem", TABLE)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"NotAction": "a:b"}, "NotAction"),
            ({"NotResource": "*"}, "NotResource"),
            ({"Principal": "*"}, "Principal"),
            ({"Effect": "allow"}, "not Allow or Deny"),
            ({"Sid": "a-b"}, "alphanumeric"),
            ({"Action": "GetItem"}, "not an action"),
            ({"Action": []}, "empty list"),
            ({"Resource": "Jobs"}, "not an ARN or *"),
            ({"Resource": "arn:aws:*:us-east-1:1:x"}, "not an ARN or *"),
            ({"Resource": [TABLE, 5]}, "not an ARN or *"),
            ({"Resource": TABLE + "${aws:username}"}, "policy variables"),
            ({"Condition": {"NumericLessThan": {"a": "1"}}}, "NumericLessThan"),
            ({"Condition": {"StringEquals": {}}}, "names no keys"),
            ({"Condition": {"StringEquals": {"a": 1}}}, "1 is not"),
            ({"Condition": {"ArnLike": {"a": "*"}}}, "not ArnLike"),
            ({"Condition": []}, "not a mapping"),
        ],
    )
    def test_a_statement_that_is_not_evaluated_is_refused(self, change: dict[str, Any], reason: str) -> None:
        with pytest.raises(TemplateError, match=reason.replace("*", r"\*")):
            role(READ | change)

    @pytest.mark.parametrize(
        "properties",
        [
            {"ManagedPolicyArns": []},
            {"PermissionsBoundary": ROLE},
            {"Policies": [{"PolicyName": "a"}]},
            {"Policies": [{"PolicyName": "a", "PolicyDocument": {"Statement": [READ]}}]},
            {"Policies": [{"PolicyName": "a", "PolicyDocument": document(READ) | {"Version": "2008-10-17"}}]},
            {"Policies": [{"PolicyName": "a", "PolicyDocument": document(READ) | {"Id": "a"}}]},
            {"Policies": [{"PolicyName": "a", "PolicyDocument": document()}]},
            {"Policies": [{"PolicyName": "a", "PolicyDocument": document("text")}]},
        ],
    )
    def test_a_role_with_a_part_that_is_not_evaluated_is_refused(self, properties: dict[str, Any]) -> None:
        with pytest.raises(TemplateError, match=r"^R"):
            role(**properties)


class TestTrust:
    def test_a_service_that_is_trusted_takes_on_the_role_and_no_other_does(self) -> None:
        assert may_assume(role())
        assert not may_assume(role(), "lambda.amazonaws.com")
        both = TRUST | {"Principal": {"Service": ["lambda.amazonaws.com", GATEWAY]}}
        assert may_assume(role(trust=both))
        assert may_assume(role(trust=both), "lambda.amazonaws.com")
        assert not may_assume(role(trust=TRUST | {"Action": "sts:TagSession"}))
        assert not may_assume(role(trust=TRUST | {"Effect": "Deny"}))

    def test_a_role_that_does_not_exist_is_not_taken_on(self) -> None:
        with pytest.raises(AccessDenied, match=f"User: {GATEWAY} is not authorized to perform: sts:AssumeRole"):
            role().assume(ROLE + "2", GATEWAY)

    def test_a_condition_on_a_key_that_the_service_does_not_send_refuses_it(self) -> None:
        policies = role(trust=TRUST | {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}})
        assert not may_assume(policies)
        assert not may_assume(policies, aws_SourceArn=METHOD)
        assert may_assume(policies, aws_SourceAccount="123456789012")

    @pytest.mark.parametrize(
        "change",
        [
            {"Principal": "*"},
            {"Principal": {"AWS": "*"}},
            {"Principal": {"Service": GATEWAY, "AWS": "*"}},
            {"Principal": {"Service": "*"}},
            {"Action": "lambda:InvokeFunction"},
            {"Resource": "*"},
            {"NotPrincipal": {"Service": GATEWAY}},
        ],
    )
    def test_a_trust_that_is_not_evaluated_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(TemplateError, match=r"R\.AssumeRolePolicyDocument"):
            role(trust=TRUST | change)

    def test_a_role_without_a_trust_policy_is_refused(self) -> None:
        with pytest.raises(TemplateError, match="AssumeRolePolicyDocument"):
            policies_of({"RoleName": "reader"})


class TestPermissions:
    def test_a_permission_lets_its_service_invoke_its_function(self) -> None:
        assert may_invoke(permission())
        assert not may_invoke(permission(), service="events.amazonaws.com")
        assert not may_invoke(permission(), action="lambda:GetFunction")
        assert not may_invoke(permission(), resource=FUNCTION + "2")
        assert not may_invoke(permission(), resource=FUNCTION + ":live")
        assert not may_invoke(permission(), source=METHOD + "/more")

    @pytest.mark.parametrize("name", ["worker", FUNCTION, "123456789012:function:worker"])
    def test_a_function_is_named_or_given_by_its_arn(self, name: str) -> None:
        assert may_invoke(permission(FunctionName=name))

    @pytest.mark.parametrize(
        ("source", "allowed"),
        [
            ("arn:aws:execute-api:us-east-1:123456789012:abc/*/POST/jobs", True),
            ("arn:aws:execute-api:us-east-1:123456789012:abc/*/*", True),
            ("arn:aws:execute-api:us-east-1:123456789012:abc/????/POST/jobs", True),
            ("arn:aws:execute-api:us-east-1:123456789012:abc/*/GET/jobs", False),
            ("arn:aws:execute-api:us-east-1:123456789012:xyz/*", False),
        ],
    )
    def test_the_source_may_have_wildcards(self, source: str, allowed: bool) -> None:
        assert may_invoke(permission(SourceArn=source)) is allowed

    def test_a_permission_without_a_source_is_for_all(self) -> None:
        stack = {"FunctionName": "worker", "Action": "lambda:*", "Principal": GATEWAY}
        assert may_invoke(policies_of(stack, "AWS::Lambda::Permission"), source="arn:aws:a:b:c:d")

    def test_the_refusal_names_service_action_and_function(self) -> None:
        expected = f"User: {GATEWAY} is not authorized to perform: lambda:InvokeFunction on resource: {FUNCTION}"
        with pytest.raises(AccessDenied, match=expected):
            role().require_service(GATEWAY, "lambda:InvokeFunction", FUNCTION, METHOD)

    @pytest.mark.parametrize(
        "properties",
        [
            {"SourceAccount": "123456789012"},
            {"Principal": "123456789012"},
            {"Principal": "*"},
            {"Action": "dynamodb:GetItem"},
            {"SourceArn": "abc"},
            {"FunctionName": 5},
        ],
    )
    def test_a_permission_that_is_not_evaluated_is_refused(self, properties: dict[str, Any]) -> None:
        with pytest.raises(TemplateError, match=r"^R"):
            permission(**properties)


class TestUnused:
    def test_each_action_and_each_resource_of_an_allowing_statement_is_listed_until_a_call_needs_it(self) -> None:
        statement = {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Resource": [TABLE, ROLE]}
        policies = role(statement, {"Effect": "Deny", "Action": "sqs:*", "Resource": "*"})
        assert policies.unused() == [
            "R.own[0]: action dynamodb:GetItem",
            "R.own[0]: action dynamodb:Query",
            f"R.own[0]: resource {TABLE}",
            f"R.own[0]: resource {ROLE}",
        ]
        assert allows(policies, "dynamodb:GetItem")
        assert not allows(policies, "dynamodb:Query", METHOD)
        assert policies.unused() == ["R.own[0]: action dynamodb:Query", f"R.own[0]: resource {ROLE}"]
        assert allows(policies, "dynamodb:Query", ROLE)
        assert policies.unused() == []

    def test_a_permission_is_listed_until_a_call_needs_it(self) -> None:
        policies = permission()
        assert not may_invoke(policies, service="sns.amazonaws.com")
        assert policies.unused() == ["R: permission"]
        assert may_invoke(policies)
        assert policies.unused() == []

    @given(
        st.lists(
            st.tuples(st.from_regex("[a-z]{1,4}:[A-Z][a-z]{1,6}", fullmatch=True), st.sampled_from(["a", "b", "c"])),
            unique=True,
            min_size=1,
            max_size=5,
        ),
        st.data(),
    )
    def test_without_a_statement_that_was_used_its_call_is_refused(
        self, calls: list[tuple[str, str]], data: st.DataObject
    ) -> None:
        named = [(action, f"arn:aws:x:y:z:{resource}") for action, resource in calls]
        statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in named]
        policies = role(*statements)
        assert all(allows(policies, action, resource) for action, resource in named)
        assert policies.unused() == []
        removed = data.draw(st.integers(0, len(named) - 1))
        rest = role(*statements[:removed], *statements[removed + 1 :])
        assert [allows(rest, *call) for call in named] == [index != removed for index in range(len(named))]
