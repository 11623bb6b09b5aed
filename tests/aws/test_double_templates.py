"""The double of CloudFormation reads a template as the service does, and checks its parameters."""

from typing import Any

import pytest

from tests.aws.double.cloudformation import TemplateError, deploy, load
from tests.aws.test_double_cloudformation import QUEUE, made, parameter, refused_value


class TestReading:
    def test_short_tags_and_long_forms_are_the_same(self) -> None:
        short = load("{a: !Ref X, b: !GetAtt X.Arn.b, c: !Sub '${X}', d: !If [C, 1, 2], e: !Condition C}")
        assert short == {
            "a": {"Ref": "X"},
            "b": {"Fn::GetAtt": ["X", "Arn.b"]},
            "c": {"Fn::Sub": "${X}"},
            "d": {"Fn::If": ["C", 1, 2]},
            "e": {"Condition": "C"},
        }

    def test_a_version_is_text_and_a_numeric_key_too(self) -> None:
        assert load("{Version: 2012-10-17, 200: true}") == {"Version": "2012-10-17", "200": True}

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a: 1\na: 2", "line 2: duplicate key 'a'"),
            ("a: {b: 1, b: 2}", "duplicate key 'b'"),
            ("a: &x [1]\nb: *x", "aliases"),
            ("a: {<<: {b: 1}}", "a key is plain text"),
            ("? [a, b]\n: 1", "a key is plain text"),
            ("a: !Base64 x", "unknown tag !Base64"),
            ("a:", "null"),
            ("a: yes", "'yes' is a bool"),
            ("a: 010", "no number in its plainest"),
            ("a: 1_000", "no number in its plainest"),
            ("a: .inf", "no number in its plainest"),
            ("a: [", "not YAML"),
            ("- a", "not a mapping"),
            ("", "not a mapping"),
            ("a: 1\n---\nb: 2", "not YAML"),
        ],
    )
    def test_what_two_readers_may_read_differently_is_refused(self, text: str, reason: str) -> None:
        with pytest.raises(TemplateError, match=reason):
            load(text)

    def test_a_template_over_the_limit_without_a_bucket_is_refused(self) -> None:
        template = f"Resources: {{Q: {{Type: '{QUEUE}'}}}}\n#"
        deploy(template + "x" * (51_200 - len(template)))
        with pytest.raises(TemplateError, match="51200"):
            deploy(template + "é" * ((51_200 - len(template)) // 2 + 1))


class TestParameters:
    @pytest.mark.parametrize(
        ("declaration", "given", "value"),
        [
            ("{Type: String, Default: 5}", None, "5"),
            ("{Type: String, Default: true}", None, "true"),
            ("{Type: String, Default: a}", "b", "b"),
            ("{Type: String, AllowedPattern: '[a-z]+', MinLength: 2, MaxLength: '3'}", "abc", "abc"),
            ("{Type: Number, Default: 5}", None, 5),
            ("{Type: Number, MinValue: 0.5, MaxValue: 2}", "0.5", 0.5),
            ("{Type: Number, AllowedValues: [1, 7]}", "7", 7),
            ("{Type: CommaDelimitedList}", "a, b", ["a", "b"]),
            ("{Type: CommaDelimitedList, AllowedValues: [a, b], AllowedPattern: '.'}", "b,a,a", ["b", "a", "a"]),
        ],
    )
    def test_a_parameter_is_given_or_takes_its_default(self, declaration: str, given: str | None, value: Any) -> None:
        found = parameter(declaration, **({} if given is None else {"P": given}))
        assert found == value
        assert type(found) is type(value)

    @pytest.mark.parametrize(
        ("declaration", "given", "reason"),
        [
            ("{Type: String}", None, "no value"),
            ("{Type: String, AllowedValues: [a]}", "b", "not one of a"),
            ("{Type: CommaDelimitedList, AllowedValues: [a]}", "a,b", "not one of a"),
            ("{Type: String, AllowedPattern: '[a-z]+'}", "abc1", "does not match"),
            ("{Type: CommaDelimitedList, AllowedPattern: '[a-z]+'}", "abc,1", "does not match"),
            ("{Type: String, AllowedPattern: '['}", "a", "no regular expression"),
            ("{Type: String, MinLength: 2}", "a", "within MinLength 2"),
            ("{Type: String, MaxLength: 2}", "abc", "MaxLength 2"),
            ("{Type: Number, MinValue: 2}", "1", "within MinValue 2"),
            ("{Type: Number, MaxValue: 2}", "3", "MaxValue 2"),
            ("{Type: Number}", "many", "no number"),
            ("{Type: Number}", "nan", "no number"),
            ("{Type: Number, MinLength: 1}", "1", "a Number has no MinLength"),
            ("{Type: String, MinValue: 1}", "1", "a String has no MinValue"),
            ("{Type: String, Typo: 1}", "1", "a String has no Typo"),
            ("{Type: 'List<Number>'}", "1", "the Type is"),
            ("{Default: 1}", "1", "the Type is None"),
            ("{Type: String, Default: a, AllowedValues: [b]}", "b", "not one of b"),
        ],
    )
    def test_a_constraint_is_kept(self, declaration: str, given: str | None, reason: str) -> None:
        with pytest.raises(TemplateError, match=rf"Parameters\.P.*{reason}"):
            parameter(declaration, **({} if given is None else {"P": given}))

    def test_a_parameter_that_the_template_has_not_is_refused(self) -> None:
        assert "Typo" in refused_value("a", Typo="1")

    def test_the_stack_shows_its_parameters(self) -> None:
        stack = made(f"Parameters: {{P: {{Type: Number, Default: 5}}}}\nResources: {{Q: {{Type: '{QUEUE}'}}}}", P="6")
        assert stack.parameters == {"P": 6}
