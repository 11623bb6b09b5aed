"""The double of CloudFormation: what it resolves, and that it refuses what the service refuses or it does not know."""

import textwrap
from typing import Any

import pytest

from tests.aws.double.cloudformation import Stack, TemplateError, deploy

QUEUE = "AWS::SQS::Queue"


def made(text: str, **parameters: str) -> Stack:
    return deploy(textwrap.dedent(text), parameters)


def resolved(expression: str, rest: str = "", **parameters: str) -> Any:
    """What a property is that says `expression`, in a template that also has `rest`."""
    template = f"Resources:\n  Probe:\n    Type: {QUEUE}\n    Properties:\n      Value: {expression}\n"
    return deploy(template + textwrap.dedent(rest), parameters).named("Probe").properties.get("Value", "left out")


def refused(text: str, **parameters: str) -> str:
    with pytest.raises(TemplateError) as refusal:
        made(text, **parameters)
    return str(refusal.value)


def refused_value(expression: str, rest: str = "", **parameters: str) -> str:
    with pytest.raises(TemplateError) as refusal:
        resolved(expression, rest, **parameters)
    return str(refusal.value)


def parameter(declaration: str, **given: str) -> Any:
    return resolved("!Ref P", f"Parameters: {{P: {declaration}}}", **given)


SWITCH = """
Parameters:
  On: {Type: String, Default: "no", AllowedValues: ["yes", "no"]}
Conditions:
  IsOn: !Equals [!Ref On, "yes"]
"""


class TestFunctions:
    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("!Ref AWS::Region", "us-east-1"),
            ("!Ref AWS::AccountId", "123456789012"),
            ("!Ref AWS::Partition", "aws"),
            ("!Ref AWS::URLSuffix", "amazonaws.com"),
            ("!Ref AWS::StackName", "api-gateway-async-stack"),
            ("{Ref: AWS::NoValue}", "left out"),
            ("[a, !Ref AWS::NoValue, b]", ["a", "b"]),
            ("{a: {b: !Ref AWS::NoValue, c: 1}}", {"a": {"c": 1}}),
            ("!Sub '${AWS::Region}-${!name}-$x-{y}'", "us-east-1-${name}-$x-{y}"),
            ("!Sub ['${a}${AWS::Region}', {a: !Ref AWS::Partition}]", "awsus-east-1"),
            ("{'Fn::Sub': '${N}'}", "5"),
            ("!Join ['-', [a, 1, !Ref AWS::Partition, true]]", "a-1-aws-true"),
            ("!Join ['+', !Ref L]", "x+y"),
            ("!Join ['', [a, !Ref AWS::NoValue]]", "a"),
            ("!Select [1, [a, b]]", "b"),
            ("!Select ['0', !Ref L]", "x"),
            ("!Split [',', 'a,b']", ["a", "b"]),
            ("!Select [1, !Split ['/', !Ref AWS::StackId]]", "api-gateway-async-stack"),
            ("!FindInMap [M, !Ref AWS::Region, k]", "v"),
            ("{Condition: {StringEquals: {a: b}}}", {"Condition": {"StringEquals": {"a": "b"}}}),
        ],
    )
    def test_a_function_is_resolved(self, expression: str, value: Any) -> None:
        rest = """
        Parameters: {L: {Type: CommaDelimitedList, Default: 'x,y'}, N: {Type: Number, Default: 5}}
        Mappings: {M: {us-east-1: {k: v}}}
        """
        assert resolved(expression, rest) == value

    @pytest.mark.parametrize(
        ("expression", "reason"),
        [
            ("!Ref Nobody", "called 'Nobody'"),
            ("!Ref AWS::NotificationARNs", "NotificationARNs"),
            ("{Ref: [a]}", "nothing that it could refer to"),
            ("!GetAtt Nobody.Arn", "called 'Nobody'"),
            ("!GetAtt Other.Typo", "Other, AWS::SQS::Queue, has no attribute 'Typo'"),
            ("!GetAtt Other", "Other"),
            ("{'Fn::GetAtt': [Other, !Ref AWS::Region]}", "has no attribute"),
            ("!Sub '${Nobody}'", "called 'Nobody'"),
            ("!Sub '${ AWS::Region }'", "called ' AWS::Region '"),
            ("!Sub '${Other.Typo}'", "no attribute 'Typo'"),
            ("!Sub '${AWS::NoValue}'", "not AWS::NoValue"),
            ("!Sub '${L}'", "a text is needed"),
            ("!Sub '${open'", "every"),
            ("!Sub [a]", "Fn::Sub takes"),
            ("!Sub ['${a-b}', {a-b: x}]", "variable name like 'a-b'"),
            ("!Join ['-', a]", "a list is needed"),
            ("!Join ['-', [[a]]]", "a text is needed"),
            ("!Join ['-', [a], b]", "takes a list of 2"),
            ("!Select [2, [a, b]]", "finds nothing"),
            ("!Select [-1, [a, b]]", "finds nothing"),
            ("!Select [x, [a, b]]", "finds nothing"),
            ("!Split ['', a]", "finds nothing"),
            ("!FindInMap [N, a, b]", "unknown mapping 'N'"),
            ("!FindInMap [M, a, c]", "finds nothing"),
            ("!FindInMap [M, c, b]", "finds nothing"),
            ("!FindInMap [M, a, deep]", "two levels"),
            ("!If [Nobody, a, b]", "unknown condition 'Nobody'"),
            ("!If [IsOn, a]", "takes a list of 3"),
            ("!Equals [a, b]", "its place is elsewhere"),
            ("!Condition IsOn", "its place is elsewhere"),
            ("{'Fn::Base64': a}", "Fn::Base64 is unknown"),
            ("{'Fn::Transform': {Name: a}}", "Fn::Transform is unknown"),
            ("{Ref: AWS::Region, More: a}", "Ref does not stand alone"),
        ],
    )
    @pytest.mark.parametrize("switched_off", [False, True])
    def test_a_wrong_function_is_refused_with_its_place(self, expression: str, reason: str, switched_off: bool) -> None:
        rest = SWITCH.replace("Parameters:", "Parameters:\n  L: {Type: CommaDelimitedList, Default: 'x,y'}")
        rest += "Mappings: {M: {a: {b: c, deep: {d: e}}}}\n"
        other = f"  Other: {{Type: '{QUEUE}'}}\n" + rest
        only_when_evaluated = (
            "finds nothing",
            "a text is needed",
            "a list is needed",
            "two levels",
            "not AWS::NoValue",
        )
        if not switched_off:
            found = refused_value(expression, other)
            assert reason in found
            assert found.startswith("Resources.Probe.Properties.Value: ")
        elif reason in only_when_evaluated:
            assert resolved(f"!If [IsOn, {expression}, b]", other) == "b"
        else:
            assert reason in refused_value(f"!If [IsOn, {expression}, b]", other)


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "holds"),
        [
            ("!Equals [!Ref On, 'yes']", True),
            ("!Equals [1, '1']", True),
            ("!Equals [true, 'true']", True),
            ("!Equals [a, A]", False),
            ("!Not [!Equals [a, b]]", True),
            ("!And [!Equals [a, a], !Condition B]", False),
            ("!And [!Equals [a, a], !Not [!Condition B]]", True),
            ("!Or [!Equals [a, b], !Condition B]", False),
            ("!Or [!Condition B, !Condition B, {Condition: Good}]", True),
            ("!Equals [!If [Good, x, y], x]", True),
            ("!Equals [!Join ['', [a, b]], !Sub 'ab']", True),
            ("!Condition Good", True),
        ],
    )
    def test_a_condition_chooses(self, condition: str, holds: bool) -> None:
        rest = f"""
        Parameters: {{On: {{Type: String, Default: 'yes'}}}}
        Conditions: {{C: {condition}, B: !Equals [a, b], Good: !Equals [a, a]}}
        """
        assert resolved("!If [C, 'then', 'else']", rest) == ("then" if holds else "else")

    @pytest.mark.parametrize(
        ("condition", "reason"),
        [
            ("!Condition C", "circular"),
            ("!Not [!Equals [!If [C, a, b], a]]", "circular"),
            ("!Condition Nobody", "unknown condition"),
            ("!Ref On", "its place is elsewhere"),
            ("true", "is no condition"),
            ("!Not [a]", "is no condition"),
            ("!And [!Equals [a, a]]", "a list of 2 to 10"),
            ("!Not [!Equals [a, a], !Equals [a, a]]", "a list of 1"),
            ("!Equals [a]", "a list of 2"),
            ("!Equals [!Ref Probe, a]", "called 'Probe'"),
            ("!Equals [!GetAtt Probe.Arn, a]", "called 'Probe'"),
            ("!Equals [[a], a]", "a text is needed"),
        ],
    )
    def test_a_wrong_condition_is_refused_even_if_nothing_uses_it(self, condition: str, reason: str) -> None:
        found = refused_value("a", f"Conditions: {{C: {condition}}}")
        assert reason in found
        assert found.startswith("Conditions.C")

    def test_a_resource_and_an_output_whose_condition_does_not_hold_are_left_out(self) -> None:
        template = f"""
        {textwrap.indent(SWITCH, " " * 8).strip()}
        Resources:
          Always: {{Type: '{QUEUE}', DependsOn: [Sometimes]}}
          Sometimes: {{Type: '{QUEUE}', Condition: IsOn}}
        Outputs:
          A: {{Value: a}}
          S: {{Value: !Ref Sometimes, Condition: IsOn}}
        """
        off, on = made(template), made(template, On="yes")
        assert set(off.resources) == {"Always"}
        assert off.named("Always").depends_on == ()
        assert off.outputs == {"A": "a"}
        assert list(on.resources) == ["Sometimes", "Always"]
        assert on.named("Always").depends_on == ("Sometimes",)
        assert set(on.outputs) == {"A", "S"}

    @pytest.mark.parametrize("reference", ["!Ref Sometimes", "!GetAtt Sometimes.Arn", "!Sub '${Sometimes.Arn}'"])
    def test_a_reference_to_what_is_left_out_is_refused_only_where_it_is_evaluated(self, reference: str) -> None:
        rest = f"  Sometimes: {{Type: '{QUEUE}', Condition: IsOn}}\n{SWITCH}"
        assert "the condition of Sometimes does not hold" in refused_value(reference, rest)
        assert resolved(reference, rest, On="yes")
        assert resolved(f"!If [IsOn, {reference}, none]", rest) == "none"

    def test_what_is_switched_off_is_still_checked(self) -> None:
        rest = f"  Sometimes: {{Type: '{QUEUE}', Condition: IsOn, Properties: {{A: !Ref Nobody}}}}\n{SWITCH}"
        assert "Resources.Sometimes.Properties.A" in refused_value("a", rest)
        assert "Outputs.O" in refused_value("a", f"Outputs: {{O: {{Condition: IsOn, Value: !Ref Nobody}}}}{SWITCH}")


class TestReferences:
    @pytest.mark.parametrize(
        ("type", "properties", "ref", "attributes"),
        [
            ("ApiGateway::Model", "Name: Body", "Body", {}),
            ("ApiGateway::Stage", "StageName: prod", "prod", {}),
            ("CloudWatch::Alarm", "AlarmName: a", "a", {"Arn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:a"}),
            ("DynamoDB::Table", "TableName: J", "J", {"Arn": "arn:aws:dynamodb:eu-west-1:111122223333:table/J"}),
            ("DynamoDB::Table", "", "s-R", {"Arn": "arn:aws:dynamodb:eu-west-1:111122223333:table/s-R"}),
            ("IAM::Role", "RoleName: r", "r", {"Arn": "arn:aws:iam::111122223333:role/r"}),
            ("IAM::Role", "RoleName: r, Path: /p/", "r", {"Arn": "arn:aws:iam::111122223333:role/p/r"}),
            ("Lambda::Function", "FunctionName: f", "f", {"Arn": "arn:aws:lambda:eu-west-1:111122223333:function:f"}),
            ("Logs::LogGroup", "LogGroupName: /l", "/l", {"Arn": "arn:aws:logs:eu-west-1:111122223333:log-group:/l:*"}),
            (
                "SQS::Queue",
                "QueueName: !Sub '${AWS::StackName}-q'",
                "http://h:1/111122223333/s-q",
                {
                    "Arn": "arn:aws:sqs:eu-west-1:111122223333:s-q",
                    "QueueName": "s-q",
                    "QueueUrl": "http://h:1/111122223333/s-q",
                },
            ),
            (
                "SNS::Topic",
                "TopicName: t",
                "arn:aws:sns:eu-west-1:111122223333:t",
                {"TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "TopicName": "t"},
            ),
        ],
    )
    def test_names_and_arns_have_their_real_shapes(
        self, type: str, properties: str, ref: str, attributes: dict[str, str]
    ) -> None:
        outputs = ", ".join(f"{name}: {{Value: !GetAtt R.{name}}}" for name in attributes)
        stack = deploy(
            f"Resources: {{R: {{Type: 'AWS::{type}', Properties: {{{properties}}}}}}}\n"
            f"Outputs: {{{', '.join(filter(None, ['Ref: {Value: !Ref R}', outputs]))}}}",
            name="s",
            region="eu-west-1",
            account="111122223333",
            endpoint="http://h:1",
        )
        assert stack.outputs == {"Ref": ref, **attributes}
        assert (stack.named("R").ref, stack.named("R").attributes) == (ref, attributes)

    @pytest.mark.parametrize(
        ("type", "attribute"),
        [
            ("ApiGateway::ApiKey", "APIKeyId"),
            ("ApiGateway::Deployment", "DeploymentId"),
            ("ApiGateway::GatewayResponse", "Id"),
            ("ApiGateway::Method", None),
            ("ApiGateway::RequestValidator", "RequestValidatorId"),
            ("ApiGateway::Resource", "ResourceId"),
            ("ApiGateway::RestApi", "RestApiId"),
            ("ApiGateway::UsagePlan", "Id"),
            ("ApiGateway::UsagePlanKey", "Id"),
            ("Lambda::EventInvokeConfig", None),
            ("Lambda::Permission", "Id"),
            ("SNS::Subscription", None),
            ("SNS::TopicPolicy", "Id"),
            ("SQS::QueuePolicy", "Id"),
        ],
    )
    def test_an_id_is_made_from_the_logical_id(self, type: str, attribute: str | None) -> None:
        template = f"Resources: {{A: {{Type: 'AWS::{type}'}}, B: {{Type: 'AWS::{type}'}}}}"
        first, again = deploy(template), deploy(template)
        reference = first.named("A").ref
        assert reference == again.named("A").ref != first.named("B").ref
        assert len(reference) == 10 and reference.isalnum() and reference.islower()
        if attribute:
            assert first.named("A").attributes[attribute] == reference

    def test_the_root_of_an_api_is_not_the_api(self) -> None:
        api = made("Resources: {Api: {Type: 'AWS::ApiGateway::RestApi'}}").named("Api")
        assert api.attributes["RootResourceId"] != api.attributes["RestApiId"]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Properties: {X: !Ref B}", "Properties: {X: !Ref A}"),
            ("Properties: {X: !GetAtt B.Arn}", "DependsOn: A"),
            ("DependsOn: [B]", "DependsOn: [A]"),
            ("Properties: {X: !Sub '${A}'}", "DependsOn: []"),
        ],
    )
    def test_a_circular_reference_is_refused(self, one: str, other: str) -> None:
        assert "circular" in refused(f"Resources: {{A: {{Type: '{QUEUE}', {one}}}, B: {{Type: '{QUEUE}', {other}}}}}")

    def test_a_resource_comes_after_those_that_it_needs(self) -> None:
        stack = made(f"""
        Resources:
          A: {{Type: '{QUEUE}', Properties: {{X: !GetAtt C.Arn}}}}
          B: {{Type: '{QUEUE}'}}
          C: {{Type: '{QUEUE}', DependsOn: D}}
          D: {{Type: '{QUEUE}'}}
        """)
        assert list(stack.resources) == ["D", "C", "A", "B"]
        assert [resource.logical_id for resource in stack.of_type(QUEUE)] == ["D", "C", "A", "B"]
        assert stack.of_type("AWS::SNS::Topic") == []


class TestLayout:
    @pytest.mark.parametrize(
        ("template", "reason"),
        [
            ("Resources: {}", "at least one"),
            ("{AWSTemplateFormatVersion: 2010-09-10, Resources: {A: {Type: 'AWS::SQS::Queue'}}}", "2010-09-10"),
            ("{Transform: x, Resources: {A: {Type: 'AWS::SQS::Queue'}}}", "unknown section Transform"),
            ("{Rules: {}, Resources: {A: {Type: 'AWS::SQS::Queue'}}}", "unknown section Rules"),
            ("{Parameters: {A: {Type: String}}, Resources: {A: {Type: 'AWS::SQS::Queue'}}}", "both called A"),
            ("Resources: {a-b: {Type: 'AWS::SQS::Queue'}}", "alphanumeric"),
            ("Resources: {A: {Type: 'AWS::S3::Bucket'}}", "Resources.A: unknown resource type 'AWS::S3::Bucket'"),
            ("Resources: {A: {Properties: {}}}", "Resources.A: unknown resource type None"),
            ("Resources: {A: text}", "Resources.A: a resource is a mapping"),
            ("Resources: {A: {Type: 'AWS::SQS::Queue', Propertys: {}}}", "Resources.A: unknown key Propertys"),
            ("Resources: {A: {Type: 'AWS::SQS::Queue', Properties: []}}", "Properties are a mapping"),
            ("Resources: {A: {Type: 'AWS::SQS::Queue', DependsOn: B}}", "DependsOn names 'B'"),
            ("Resources: {A: {Type: 'AWS::SQS::Queue', DependsOn: [!Ref A]}}", "DependsOn names"),
            ("Resources: {A: {Type: 'AWS::SQS::Queue', Condition: B}}", "Resources.A: unknown condition 'B'"),
            ("Resources: {A: {Type: 'AWS::SQS::Queue', DeletionPolicy: Keep}}", "DeletionPolicy is Delete or Retain"),
            ("{Resources: {A: {Type: 'AWS::SQS::Queue'}}, Outputs: {O: {Value: [a]}}}", "Outputs.O.Value: a text"),
            (
                "{Resources: {A: {Type: 'AWS::SQS::Queue'}}, Outputs: {O: {Value: a, Export: b}}}",
                "Outputs.O: an output",
            ),
            (
                "{Resources: {A: {Type: 'AWS::SQS::Queue'}}, Outputs: {O: {Condition: C, Value: a}}}",
                "unknown condition",
            ),
        ],
    )
    def test_what_is_not_known_is_refused(self, template: str, reason: str) -> None:
        assert reason in refused(template)

    def test_what_is_known_and_says_nothing_to_the_stack_is_taken(self) -> None:
        stack = made(f"""
        AWSTemplateFormatVersion: "2010-09-09"
        Description: A queue
        Metadata: {{Any: thing}}
        Resources:
          A:
            Type: {QUEUE}
            DeletionPolicy: Retain
            UpdateReplacePolicy: Retain
            Metadata: {{Any: thing}}
        Outputs:
          Number: {{Value: 5, Description: Five}}
        """)
        assert stack.named("A").properties == {}
        assert stack.outputs == {"Number": "5"}
        assert stack.name == "api-gateway-async-stack"
