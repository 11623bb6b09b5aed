"""What can be said of the template without running it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from asyncjob.aws.build import template as builder
from asyncjob.aws.build.lambdas import DEFAULT_PYTHON
from asyncjob.aws.runtime.record import STATUS
from asyncjob.aws.runtime.record import timestamp as timestamp_on_aws
from asyncjob.job import TRANSITIONS, timestamp
from asyncjob.loading import load as load_registry
from tests.aws.conftest import ROOT
from tests.aws.double.cloudformation import TemplateError, deploy, load
from tests.aws.double.vtl import Overrides, Params, RequestOverrides, render_request, render_response
from tests.aws.snapshot import NOT_FROZEN, snapshot

ROOM_BYTES = 200
SOURCE = (builder.HERE / "template.yaml").read_text()


def _resources(template: str, *types: str) -> dict[str, Any]:
    return {name: r for name, r in load(template)["Resources"].items() if r["Type"].removeprefix("AWS::") in types}


def _answered(template: str, answer: str, seen: RequestOverrides | None = None) -> tuple[str, Overrides]:
    """What a client gets for a submission that Lambda answered so."""
    (response,) = deploy(template).named("SubmitMethod").properties["Integration"]["IntegrationResponses"]
    return render_response(
        response["ResponseTemplates"]["application/json"],
        body=answer,
        params=Params(),
        context={"path": "/prod/jobs", "extendedRequestId": "a/b="},
        stage_variables={},
        request_overrides=seen,
    )


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
    with pytest.raises(ValueError, match=r"over CloudFormation.s limit of 51,200"):
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


@pytest.mark.parametrize(("name", "value"), NOT_FROZEN.items())
def test_no_deployment_has_to_follow_this_parameter(template: str, name: str, value: str) -> None:
    """A deployment is a snapshot: what it holds stays as it was until the next one."""
    assert snapshot(template, {}) == snapshot(template, {name: value})


def test_every_parameter_is_followed_or_not_frozen(template: str) -> None:
    followed = {"Authorization"}  # each has a deployment of its own
    by_hand = {"CorsOrigin"}  # docs/aws.md says how
    assert set(load(template)["Parameters"]) == {*NOT_FROZEN} | followed | by_hand


def test_a_checkout_has_no_carriage_returns_which_would_make_the_template_too_large(template: str) -> None:
    assert len(template.encode()) <= builder.MAX_TEMPLATE_BYTES - ROOM_BYTES
    assert len(template.replace("\n", "\r\n").encode()) > builder.MAX_TEMPLATE_BYTES
    command = ["git", "check-attr", "eol", "--", "template.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "template.yaml: eol: lf\n", done.stderr


def test_every_deployment_waits_for_all_that_it_is_a_snapshot_of(template: str) -> None:
    parts = set(_resources(template, "ApiGateway::Method", "ApiGateway::GatewayResponse"))
    assert len(parts) == 10
    last = _resources(template, "ApiGateway::GatewayResponse")["Faults"]
    for name, deployment in _resources(template, "ApiGateway::Deployment").items():
        assert deployment["DependsOn"] == "Faults"
        referred = set(re.findall(r"\w+", json.dumps([deployment, last])))
        assert parts <= referred, name


def test_the_stage_serves_the_deployment_of_its_authorization(template: str) -> None:
    names = {"NONE": "Open", "AWS_IAM": "Signed", "API_KEY": "Keyed"}
    for authorization, name in names.items():
        stack = deploy(template, {"Authorization": authorization})
        (deployment,) = stack.of_type("AWS::ApiGateway::Deployment")
        assert deployment.logical_id.startswith(f"Deployment{name}")
        assert stack.named("Stage").properties["DeploymentId"] == deployment.ref


def test_the_functions_run_on_the_newest_python_that_the_tests_have_run_them_on(template: str) -> None:
    functions = _resources(template, "Lambda::Function").values()
    assert {function["Properties"]["Runtime"] for function in functions} == {f"python{DEFAULT_PYTHON}"}
    assert {str(function["Properties"]["Architectures"]) for function in functions} == {"['arm64']"}


def test_by_default_the_stack_is_the_original_system(template: str) -> None:
    stack = deploy(template)
    assert stack.outputs["ApiEndpoint"].endswith(".execute-api.us-east-1.amazonaws.com/prod")
    assert stack.outputs["TableName"] == "Jobs"
    assert stack.outputs["ProcessorName"] == "AsyncJobProcessor"
    assert stack.named("Processor").properties["Environment"]["Variables"]["TIMEOUT"] == "5"
    assert not stack.of_type("AWS::CloudWatch::Alarm") + stack.of_type("AWS::ApiGateway::ApiKey")


def test_what_a_new_account_cannot_have_is_only_there_when_asked_for(template: str) -> None:
    """Fact 13: reserved concurrency fails on new accounts, and access logs need an account-wide role."""
    plain, asked = deploy(template), deploy(template, {"ReservedConcurrency": "5", "AccessLogs": "true"})
    assert "ReservedConcurrentExecutions" not in plain.named("Processor").properties
    assert asked.named("Processor").properties["ReservedConcurrentExecutions"] == "5"
    assert "AccessLogSetting" not in plain.named("Stage").properties
    log = json.loads(asked.named("Stage").properties["AccessLogSetting"]["Format"])
    assert set(log) == {"requestId", "extendedRequestId", "method", "path", "status", "latency", "ip"}


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
        ("ProcessorTimeout", "0"),
        ("ProcessorTimeout", "1.5"),
        ("RetentionDays", "-1"),
        ("RetentionDays", "0.5"),
        ("RetentionDays", "1e3"),
        ("RetentionDays", "007"),
        ("RetentionDays", ""),
        ("RetentionDays", "1\n"),
        ("Timeout", "nan"),
        ("Timeout", "-1"),
        ("ProcessorMemory", "256.5"),
        ("ProcessorMemory", "127"),
        ("ProcessorMemory", "10241"),
        ("ReservedConcurrency", "-2"),
        ("ReservedConcurrency", "1.0"),
        ("ThrottlingRate", "0"),
        ("ThrottlingBurst", "0x10"),
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
    assert {name: TRANSITIONS[name].target for name in STATUS} == STATUS
    for name in ("succeed", "fail"):
        assert TRANSITIONS[name].sources == {STATUS["claim"]}


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_000, 1717677296789, 4102444799999])
def test_both_engines_write_a_time_alike(milliseconds: int) -> None:
    assert timestamp_on_aws(milliseconds) == timestamp(milliseconds)


@pytest.mark.parametrize("empty", ["", "{}"])
def test_lambdas_empty_answer_is_a_202_however_a_template_reads_it(template: str, empty: str) -> None:
    text, overrides = _answered(template, empty)
    assert (json.loads(text), overrides.status) == ({}, None)
    assert overrides.headers == {"X-Request-Id": "ab", "Retry-After": "1"}


def _request(template: str, method: str, body: str = "", path_id: str = "") -> tuple[str, RequestOverrides]:
    integration = deploy(template).named(method).properties["Integration"]
    return render_request(
        integration["RequestTemplates"]["application/json"],
        body=body,
        params=Params(path={"jobId": path_id}),
        context={"extendedRequestId": "a/b=", "requestTimeEpoch": 1717677296789},
        stage_variables=deploy(template).named("Stage").properties["Variables"],
    )


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("a~b", "a~b"),
        ("a%7Eb", "a~b"),
        ("x" * 128, "x" * 128),
        *(
            (bad, ".")
            for bad in ("a%0A", "a'", 'a%22,"b":"', "x" * 129, "%", "a+b", "%FF", "%C3%BC", "${x}", "a%257Eb")
        ),
    ],
)
def test_the_read_is_consistent_and_of_a_job_whose_id_can_be_one(template: str, given: str, key: str) -> None:
    text, _ = _request(template, "GetMethod", path_id=given)
    assert json.loads(text) == {"TableName": "Jobs", "ConsistentRead": True, "Key": {"jobId": {"S": key}}}


@pytest.mark.parametrize("bad", ["a\n", 'a", "x": "', "$context.stage", ".a", "x" * 129, {"a": 1}, ["a"]], ids=repr)
def test_an_id_that_the_model_let_through_reaches_no_function(template: str, bad: Any) -> None:
    """In Java's dialect, the model's `$` takes a line feed at the end."""
    text, overrides = _request(template, "SubmitMethod", json.dumps({"jobId": bad, "seconds": 0}))
    assert (text.strip(), overrides.path) == ("wrong id", {"jobId": "wrong id"})


def test_what_is_refused_by_the_request_template_is_no_202_wherever_that_is_seen(template: str) -> None:
    by_lambda = json.dumps({"message": "Could not parse request body into json: Unrecognized token 'wrong'"})
    seen = RequestOverrides(path={"jobId": "wrong id"})
    assert _answered(template, by_lambda)[1].status == 400
    assert _answered(template, "", seen)[1].status == 400
    assert _answered(template, "", RequestOverrides(path={"jobId": "too large"}))[1].status == 413


@pytest.mark.parametrize("answer", ['{"Reason": "new"}', '{"ok": true}', '{"statusCode": 202}', '{"Message": null}'])
def test_what_is_not_lambdas_answer_to_an_event_is_no_202(template: str, answer: str) -> None:
    text, overrides = _answered(template, answer, RequestOverrides(path={"jobId": "7"}))
    assert (list(json.loads(text)), overrides.status) == (["message"], 502)


@pytest.mark.parametrize("missing", [None, "status", "parameters", "attempt"])
def test_an_item_that_is_no_job_is_not_found(template: str, missing: str | None) -> None:
    item = {"jobId": {"S": "7"}, "type": {"S": "sleep"}, "status": {"S": "Running"}, "parameters": {"S": "{}"}}
    item |= {"attempt": {"N": "1"}, "createdAt": {"S": "2024-06-06T12:34:56.789Z"}}
    kept = {name: value for name, value in item.items() if name != missing}
    response = deploy(template).named("GetMethod").properties["Integration"]["IntegrationResponses"][0]
    text, overrides = render_response(
        response["ResponseTemplates"]["application/json"],
        body=json.dumps({"Item": kept}),
        params=Params(),
        context={"requestTimeEpoch": 1717677296789},
        stage_variables={},
        request_overrides=None,
    )
    assert overrides.status == (None if missing is None else 404)
    assert (json.loads(text) == {"message": "Not found"}) is (missing is not None)


def test_what_only_aws_does_is_asked_of_it(template: str) -> None:
    stack = deploy(template)
    table, queue = stack.named("Jobs").properties, stack.named("FailureQueue").properties
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert "SSESpecification" not in table  # a key of KMS is billed, and DynamoDB encrypts without one too
    assert queue == {"MessageRetentionPeriod": 14 * 86_400, "SqsManagedSseEnabled": True}
    assert {group.properties["RetentionInDays"] for group in stack.of_type("AWS::Logs::LogGroup")} == {30}
