"""Least privilege: what the roles allow is used, all of it, and nothing works without it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.aws.conftest import PROCESSOR, RECORDER, ROOT, Api
from tests.aws.double.cloudformation import TemplateError, load

Deploy = Callable[..., Api]


def _use(api: Api) -> None:
    """Use all that the system does: a job that ends well, one that the recorder must record, one that even it cannot.

    Raises:
        AssertionError: a part of it does not work.
    """
    api.submit("good")
    assert api.job("good")["status"] == "Success"
    with api.double.services.failing("dynamodb:PutItem", "AccessDeniedException", role="ProcessorRole"):
        api.submit("recorded")
        api.double.idle()
    answer = api.get("recorded")
    assert answer.status_code == 200, answer.text
    with api.double.services.failing("dynamodb:PutItem", "AccessDeniedException"):
        api.submit("queued")
        api.double.idle()
    assert len(api.double.messages()) == 1
    for name in (PROCESSOR, RECORDER):
        assert api.double.services.logs[f"/aws/lambda/{name}"]


def _statements(template: dict[str, Any]) -> list[tuple[str, list[Any], int]]:
    """Where each statement of each role stands, without those for tracing: its name, its list, and its place there."""
    return [
        (f"{role}[{number}]", statements, number)
        for role, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
        for statements in [resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]]
        for number, statement in enumerate(statements)
        if "Fn::If" not in statement
    ]


STATEMENTS = [name for name, _, _ in _statements(load((ROOT / "template.yaml").read_text()))]


def _text(template: dict[str, Any]) -> str:
    return str(yaml.safe_dump(template, sort_keys=False, width=1_000))


def test_every_action_and_every_resource_of_every_statement_is_used(deployed: Deploy) -> None:
    api = deployed(scale=0.001)
    _use(api)
    assert api.double.policies.unused() == []


def test_with_tracing_the_roles_may_trace_and_use_it(deployed: Deploy) -> None:
    api = deployed(scale=0.001, Tracing="true")
    _use(api)
    assert api.double.policies.unused() == []


@pytest.mark.parametrize("name", STATEMENTS)
def test_nothing_works_without(template: str, deployed: Deploy, name: str) -> None:
    changed = load(template)
    ((statements, number),) = [(found, at) for known, found, at in _statements(changed) if known == name]
    del statements[number]
    api = deployed(_text(changed), scale=0.001)
    with pytest.raises(AssertionError):
        _use(api)


def test_an_action_that_nobody_uses_is_found_in_each_statement(template: str, deployed: Deploy) -> None:
    changed = load(template)
    for _, statements, number in _statements(changed):
        actions = statements[number]["Action"]
        first = actions if isinstance(actions, str) else actions[0]
        statements[number]["Action"] = [first, *actions[1:]] if isinstance(actions, list) else [first]
        statements[number]["Action"].append(first.partition(":")[0] + ":DeleteEverything")
    api = deployed(_text(changed), scale=0.001)
    _use(api)
    unused = [line for line in api.double.policies.unused() if "DeleteEverything" in line]
    assert len(unused) == len(STATEMENTS) == 8


def _signed(api: Api, service: str = "dynamodb", region: str = "us-east-1", token: bool = True) -> AWSRequest:
    role = api.double.stack.named("ApiRole").attributes["Arn"]
    key, secret, session = api.double.services.credentials(role).values()
    body = json.dumps({"TableName": "Jobs", "Key": {"jobId": {"S": "x"}}})
    request = AWSRequest(
        "POST", api.double.endpoint + "/", data=body, headers={"x-amz-target": "DynamoDB_20120810.GetItem"}
    )
    SigV4Auth(Credentials(key, secret, session if token else None), service, region).add_auth(request)
    return request


def _sent(api: Api, request: AWSRequest) -> httpx.Response:
    return api.client.post(request.url, content=request.data, headers=dict(request.headers))


def test_a_call_counts_only_with_the_signature_of_its_role_for_that_service(api: Api) -> None:
    assert _sent(api, _signed(api)).status_code == 200
    forged = _signed(api)
    authorization = forged.headers["Authorization"]
    del forged.headers["Authorization"]
    forged.headers["Authorization"] = authorization[:-4] + "0000"
    others = [forged, _signed(api, service="sqs"), _signed(api, region="eu-west-3"), _signed(api, token=False)]
    for request in others:
        answer = _sent(api, request)
        assert answer.status_code == 403
        assert "InvalidSignature" in answer.text


@pytest.mark.parametrize("role", ["ApiRole", "ProcessorRole", "RecorderRole"])
def test_a_role_that_asks_for_what_its_service_does_not_send_cannot_be_taken(
    template: str, deployed: Deploy, role: str
) -> None:
    """Fact 12: API Gateway sends no aws:SourceAccount, and every call would be a 500."""
    changed = load(template)
    statement = changed["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    statement["Condition"] = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    if role == "ApiRole":
        api = deployed(_text(changed))
        assert api.post(jobId="x", seconds=0).status_code == 500
        assert api.get("x").status_code == 500
    else:
        with pytest.raises(TemplateError, match="cannot take its role"):
            deployed(_text(changed))
