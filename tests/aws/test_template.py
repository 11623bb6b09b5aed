"""What can be said of the template without running it."""

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest

from asyncjob.aws.build import template as builder
from asyncjob.aws.runtime.record import STATUS
from asyncjob.aws.runtime.record import timestamp as timestamp_on_aws
from asyncjob.job import TRANSITIONS, timestamp
from asyncjob.loading import load as load_registry
from tests.aws.double.cloudformation import TemplateError, deploy, load
from tests.aws.double.vtl import Params, render_request, render_response

SOURCE = (builder.HERE / "template.yaml").read_text()


def _resources(template: str, *types: str) -> dict[str, Any]:
    return {name: r for name, r in load(template)["Resources"].items() if r["Type"].removeprefix("AWS::") in types}


def test_the_committed_template_is_the_one_that_its_sources_make(template: str) -> None:
    assert template == builder.fill(SOURCE, load_registry(None))


def test_a_template_that_was_edited_by_hand_is_found(template: str, tmp_path: Path) -> None:
    target = tmp_path / "template.yaml"
    builder.main(target, check=False)
    assert target.read_text() == template
    builder.main(target, check=True)
    target.write_text(template.replace("Jobs", "Tasks"))
    with pytest.raises(SystemExit, match="out of date"):
        builder.main(target, check=True)


def test_a_template_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"over the limit of 51,200"):
        builder.fill(SOURCE + "#" * 2_000, load_registry(None))


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("PathPart: jobs", "PathPart: tasks", False),
        ('{"message": "Not found"}', '{"message": "Gone"}', False),
        ("MemorySize: 128", "MemorySize: 256", True),
    ],
)
def test_a_change_of_the_api_makes_another_deployment(template: str, old: str, new: str, same: bool) -> None:
    assert old in SOURCE
    changed = builder.fill(SOURCE.replace(old, new), load_registry(None))
    before, after = (set(_resources(text, "ApiGateway::Deployment")) for text in (template, changed))
    assert len(before) == 3
    assert (before == after) is same


def test_every_deployment_waits_for_all_that_it_is_a_snapshot_of(template: str) -> None:
    parts = set(_resources(template, "ApiGateway::Method", "ApiGateway::GatewayResponse"))
    assert len(parts) == 9
    for name, deployment in _resources(template, "ApiGateway::Deployment").items():
        referred = set(re.findall(r"\w+", json.dumps(deployment)))
        assert parts <= referred, name


def test_the_stage_serves_the_deployment_of_its_authorization(template: str) -> None:
    names = {"NONE": "Open", "AWS_IAM": "Signed", "API_KEY": "Keyed"}
    for authorization, name in names.items():
        stack = deploy(template, {"Authorization": authorization})
        (deployment,) = stack.of_type("AWS::ApiGateway::Deployment")
        assert deployment.logical_id.startswith(f"Deployment{name}")
        assert stack.named("Stage").properties["DeploymentId"] == deployment.ref


def test_the_functions_run_on_the_newest_python_that_lambda_has(template: str) -> None:
    shape = boto3.client("lambda", region_name="us-east-1").meta.service_model.shape_for("Runtime")
    newest = max((name for name in shape.enum if name.startswith("python")), key=lambda name: int(name.split(".")[1]))
    functions = _resources(template, "Lambda::Function").values()
    assert {function["Properties"]["Runtime"] for function in functions} == {newest}
    assert {str(function["Properties"]["Architectures"]) for function in functions} == {"['arm64']"}


def test_by_default_the_stack_is_the_original_system(template: str) -> None:
    stack = deploy(template)
    assert stack.outputs["ApiEndpoint"].endswith(".execute-api.us-east-1.amazonaws.com/prod")
    assert stack.outputs["TableName"] == "Jobs"
    assert stack.outputs["ProcessorName"] == "AsyncJobProcessor"
    assert stack.named("Processor").properties["Environment"]["Variables"]["TIMEOUT"] == 5
    assert not stack.of_type("AWS::CloudWatch::Alarm") + stack.of_type("AWS::ApiGateway::ApiKey")


def test_what_a_new_account_cannot_have_is_only_there_when_asked_for(template: str) -> None:
    """Fact 13: reserved concurrency fails on new accounts, and access logs need an account-wide role."""
    plain, asked = deploy(template), deploy(template, {"ReservedConcurrency": "5", "AccessLogs": "true"})
    assert "ReservedConcurrentExecutions" not in plain.named("Processor").properties
    assert asked.named("Processor").properties["ReservedConcurrentExecutions"] == 5
    assert "AccessLogSetting" not in plain.named("Stage").properties
    log = json.loads(asked.named("Stage").properties["AccessLogSetting"]["Format"])
    assert {"requestId", "method", "path", "status", "latency", "ip"} == set(log)


def test_two_stacks_can_live_in_one_account(template: str) -> None:
    names = {"TableName": "Jobs2", "ProcessorName": "Processor2", "RecorderName": "Recorder2"}
    one, two = deploy(template), deploy(template, names, name="other")
    named = ("DynamoDB::Table", "Lambda::Function", "IAM::Role", "Logs::LogGroup", "SQS::Queue")
    for kind in named:
        ours, theirs = ({r.ref for r in stack.of_type(f"AWS::{kind}")} for stack in (one, two))
        assert len(ours) == len(theirs)
        assert not ours & theirs


def test_an_email_gets_an_alarm_for_the_queue_and_for_the_processors_errors(template: str) -> None:
    stack = deploy(template, {"AlarmEmail": "someone@example.com"})
    topic = stack.named("AlarmTopic")
    assert topic.properties["Subscription"] == [{"Protocol": "email", "Endpoint": "someone@example.com"}]
    alarms = {a.properties["MetricName"]: a.properties for a in stack.of_type("AWS::CloudWatch::Alarm")}
    assert set(alarms) == {"ApproximateNumberOfMessagesVisible", "Errors"}
    assert all(alarm["AlarmActions"] == [topic.ref] for alarm in alarms.values())


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("Authorization", "SOME"),
        ("CorsOrigin", "https://example.com'"),
        ("CorsOrigin", "example.com"),
        ("ProcessorTimeout", "901"),
        ("RetentionDays", "-1"),
        ("ProcessorName", "a b"),
        ("LogRetentionDays", "2"),
    ],
)
def test_a_parameter_that_could_not_work_is_refused_at_once(template: str, parameter: str, value: str) -> None:
    with pytest.raises(TemplateError, match=parameter):
        deploy(template, {parameter: value})


def test_the_table_goes_with_its_stack_and_is_kept_when_it_is_renamed(template: str) -> None:
    (table,) = _resources(template, "DynamoDB::Table").values()
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Retain")


def test_a_status_changes_as_the_transition_table_says() -> None:
    assert STATUS == {name: TRANSITIONS[name].target for name in STATUS}
    for name in ("succeed", "fail"):
        assert TRANSITIONS[name].sources == {STATUS["claim"]}


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_000, 1717677296789, 4102444799999])
def test_both_engines_write_a_time_alike(milliseconds: int) -> None:
    assert timestamp_on_aws(milliseconds) == timestamp(milliseconds)


@pytest.mark.parametrize("empty", ["", "{}", '{"Type": {}, "message": {}, "Message": {}}'])
def test_lambdas_empty_answer_is_a_202_however_a_template_reads_it(template: str, empty: str) -> None:
    method = deploy(template).named("SubmitMethod").properties
    (response,) = method["Integration"]["IntegrationResponses"]
    text, overrides = render_response(
        response["ResponseTemplates"]["application/json"],
        body=empty,
        params=Params(),
        context={"path": "/prod/jobs", "extendedRequestId": "a/b="},
        stage_variables={},
        request_overrides=None,
    )
    assert (json.loads(text), overrides.status) == ({}, None)
    assert overrides.headers == {"X-Request-Id": "ab", "Retry-After": "1"}


def test_the_read_is_consistent_and_of_the_job_alone(template: str) -> None:
    integration = deploy(template).named("GetMethod").properties["Integration"]
    text, _ = render_request(
        integration["RequestTemplates"]["application/json"],
        body="",
        params=Params(path={"jobId": "a%7Eb'\""}),
        context={},
        stage_variables={},
    )
    assert json.loads(text) == {"TableName": "Jobs", "ConsistentRead": True, "Key": {"jobId": {"S": "a~b'\""}}}


def test_what_only_aws_does_is_asked_of_it(template: str) -> None:
    stack = deploy(template)
    table, queue = stack.named("Jobs").properties, stack.named("FailureQueue").properties
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert queue == {"MessageRetentionPeriod": 14 * 86_400, "SqsManagedSseEnabled": True}
    assert {group.properties["RetentionInDays"] for group in stack.of_type("AWS::Logs::LogGroup")} == {30}
