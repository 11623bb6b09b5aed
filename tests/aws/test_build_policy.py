"""What a user's functions may do: `asyncjob build --policy`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double.cloudformation import load
from tests.aws.user import Build, refused


def _statement(**changes: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pictures/*", **changes}
    return {name: value for name, value in statement.items() if value is not None}


ALLOWED = [
    _statement(),
    _statement(
        Sid="Read", Action=["s3:GetObject", "s3:ListBucket"], Condition={"Bool": {"aws:SecureTransport": "true"}}
    ),
    _statement(Effect="Deny", Resource=[{"Fn::Sub": "arn:aws:s3:::${AWS::StackName}"}, "arn:aws:s3:::b"]),
]


@pytest.mark.parametrize(
    "document", [ALLOWED, {"Version": "2012-10-17", "Statement": ALLOWED}], ids=["list", "document"]
)
def test_a_policy_adds_its_statements_to_the_processors_role_and_to_nothing_else(
    build: Build, mine: Path, document: Any
) -> None:
    (mine / "policy.json").write_text(json.dumps(document))
    assert build().returncode == 0
    without = load((mine / "build" / "template.yaml").read_text())
    done = build("--policy", "policy.json")
    assert done.returncode == 0, done.stderr
    with_it = load((mine / "build" / "template.yaml").read_text())
    policy = with_it["Resources"]["ProcessorRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    assert [policy["Statement"].pop() for _ in ALLOWED] == ALLOWED[::-1]
    assert with_it == without
    assert "    never s3:GetObject   on arn:aws:s3:::${AWS::StackName}, arn:aws:s3:::b\n" in done.stdout
    assert '   on arn:aws:s3:::pictures/*   when {"Bool": {"aws:SecureTransport": "true"}}\n' in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON that can be read"),
        ("[]", "has no statement"),
        ('["s3:*"]', "statement 1: an IAM statement is an object"),
        (json.dumps([_statement(), _statement(Effect=None)]), "statement 2: Effect is missing"),
        (json.dumps([_statement(Action=None)]), "statement 1: Action is missing"),
        (json.dumps([_statement(Resource=None)]), "statement 1: Resource is missing"),
        (json.dumps([_statement(NotAction="s3:*")]), "NotAction cannot be there"),
        (json.dumps([_statement(Principal="*")]), "Principal cannot be there"),
        (json.dumps([_statement(Effect="allow")]), "Effect is Allow or Deny, not 'allow'"),
        (json.dumps([_statement(Action="GetObject")]), "'GetObject' is no action"),
        (json.dumps([_statement(Action=[])]), "Action is a text"),
        (json.dumps([_statement(Resource=7)]), "Resource is an ARN"),
    ],
)
def test_a_policy_that_could_not_be_one_is_refused_with_the_place(
    build: Build, mine: Path, content: str, message: str
) -> None:
    (mine / "policy.json").write_text(content)
    line = refused(build("--policy", "policy.json"))
    assert line.startswith("policy.json")
    assert message in line
