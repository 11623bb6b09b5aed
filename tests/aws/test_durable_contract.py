"""The contract and least privilege, against the durable edition."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncjob import Jobs
from asyncjob.aws.build.durable import Package, fill_durable
from asyncjob.loading import load as load_registry
from tests.aws.conftest import PROCESSOR, RECORDER, ROOT, Api
from tests.aws.double.cloudformation import TemplateError, deploy, load
from tests.aws.double.double import Double
from tests.aws.double.templates import LARGEST_IN_A_BUCKET
from tests.aws.packaging import packaged, user_package, with_timeout
from tests.aws.snapshot import NOT_FROZEN, snapshot
from tests.aws.test_roles import _text as written

Deploy = Callable[..., Api]

# Where each statement of a role stands; a test holds it against the template.
STATEMENTS = [
    *("ApiRole[0]", "ApiRole[1]", "ProcessorRole[0]", "ProcessorRole[1]", "ProcessorRole[2]"),
    *(f"DispatcherRole[{number}]" for number in range(7)),
    *("StarterRole[0]", "SweepsRole[0]"),
    *("SweeperRole[0]", "SweeperRole[1]", "SweeperRole[2]", "RecorderRole[0]", "RecorderRole[1]", "RecorderRole[2]"),
    *("ReaderRole[0]", "ReaderRole[1]", "ReaderRole[2]", "ReaderRole[3]"),
]
FUNCTIONS = (PROCESSOR, RECORDER, *(f"{PROCESSOR}-{name}" for name in ("dispatcher", "sweeper", "reader")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def template(folder: Path) -> str:
    """With time enough for a function to learn that it was canceled: a processor looks every five seconds."""
    return with_timeout(user_package(folder), 20)


@pytest.mark.timeout(900)
def test_the_durable_edition_keeps_the_contract_with_its_declared_capabilities(tmp_path: Path) -> None:
    text = packaged(tmp_path, load_registry("asyncjob.sleep"), {}, target="asyncjob.sleep", timeout=30)
    with Double(text, bucket=tmp_path) as double:
        command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider"]
        command += ["--base-url", double.url, "--capabilities", "aws-durable", "--aws-iam"]
        env = {**os.environ, **double.tester}
        suite = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert suite.returncode == 0, suite.stdout
        double.idle()
        assert double.services.refused == []
        assert double.messages() == []


def statements(template: dict[str, Any]) -> list[tuple[str, list[Any], int]]:
    """Where each statement of each role stands, without those for tracing: its name, its list, and its place there."""
    return [
        (f"{role}[{number}]", found, number)
        for role, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
        for found in [resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]]
        for number, statement in enumerate(found)
        if statement.get("Fn::If", [""])[0] != "Traced"
    ]


def _use(api: Api) -> None:
    """Use all that the edition does, and see that nobody was refused anything.

    Raises:
        AssertionError: a part of it does not work.
    """
    double = api.double
    for body in ({"type": "add", "a": 1}, {"type": "large", "size": 300_000}, {"type": "pause", "seconds": 0}):
        assert api.post(jobId=body["type"], **body).status_code == 202
    double.advance(5)
    for job_id in ("add", "pause"):
        assert api.get(job_id).json()["status"] == "Success"
    assert api.client.get("/jobs/large/large").status_code == 200
    assert len(api.client.get("/jobs").json().get("jobs", [])) == 3
    assert api.post(jobId="ask", type="ask").status_code == 202
    api.job("ask", "Running")
    assert api.client.post("/jobs/ask/cancel").status_code == 200
    _wait_for(lambda: any("ask has noticed" in line for line in double.services.logs[f"/aws/lambda/{PROCESSOR}"]))
    assert api.client.delete("/jobs/add").status_code == 204
    assert api.get("add").status_code == 404
    for job_id, delay in (("near", 1), ("far", 100)):
        assert api.post(jobId=job_id, type="add", a=2, options={"delay": delay}).status_code == 202
    double.advance(10)
    assert api.get("near").json()["status"] == "Success"
    double.advance(170)  # the sweeper would find the other one later
    assert api.get("far").json()["status"] == "Success"
    with double.stream("Jobs").losing():
        assert api.post(jobId="swept", type="add", a=2).status_code == 202
    double.advance(300)
    assert api.get("swept").json()["status"] == "Success"
    with double.broken(PROCESSOR):
        assert api.post(jobId="recorded", type="add", a=3).status_code == 202
        double.advance(5)
    assert api.get("recorded").json()["status"] == "Failure"
    _fill_the_queue(api)
    for name in FUNCTIONS:
        assert double.services.logs[f"/aws/lambda/{name}"]
    assert double.services.refused == []


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _fill_the_queue(api: Api) -> None:
    """Let the recorder give something up, and then the mapping of the stream."""
    double = api.double
    with double.broken(PROCESSOR), double.broken(RECORDER):
        assert api.post(jobId="unrecorded", type="add", a=4).status_code == 202
        double.advance(5)
    assert len(double.messages()) == 1
    with double.broken(f"{PROCESSOR}-dispatcher"):
        assert api.post(jobId="undispatched", type="add", a=5).status_code == 202
        double.advance(100)
    assert len(double.messages()) == 2


def test_every_action_and_every_resource_of_every_statement_is_used(
    deployed: Deploy, template: str, folder: Path
) -> None:
    api = deployed(template, scale=0.001, bucket=folder, signed=True)
    _use(api)
    assert api.double.policies.unused() == []


def test_further_statements_are_the_processors_alone() -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::mine/*"}
    jobs = load_registry("asyncjob.sleep")
    with_it, without = (load(_filled(jobs, [*more]))["Resources"] for more in ([statement], []))
    assert with_it["ProcessorRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"].pop() == statement
    assert with_it == without


def test_the_time_of_an_attempt_is_decided_by_the_build_so_that_another_build_changes_it() -> None:
    """A parameter would keep its previous value: `deploy` sends that again."""
    jobs = Jobs()
    jobs.job(name="long", timeout=95)(lambda: None)
    tree = load(_filled(jobs, []))
    assert tree["Resources"]["Processor"]["Properties"]["Timeout"] == 97
    assert "ProcessorTimeout" not in tree["Parameters"]


def _filled(jobs: Jobs, statements: list[dict[str, Any]]) -> str:
    package = Package(
        code="code.zip",
        target="jobs",
        runtime="python3.13",
        architecture="x86_64",
        timeout=90,
        statements=statements,
    )
    return fill_durable(jobs, package)


def test_every_deployment_waits_for_all_that_it_is_a_snapshot_of(template: str) -> None:
    resources = load(template)["Resources"]
    kinds = ("AWS::ApiGateway::Method", "AWS::ApiGateway::GatewayResponse")
    parts = {name for name, resource in resources.items() if resource["Type"] in kinds}
    deployments = [each for each in resources.values() if each["Type"] == "AWS::ApiGateway::Deployment"]
    assert (len(parts) >= 30, len(deployments)) == (True, 3)
    for deployment in deployments:
        assert parts <= set(re.findall(r"\w+", json.dumps(deployment)))
        assert "Processor" in deployment["DependsOn"], "a new function may be submitted before there is its code"


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("ProcessorMemory", ["128", "999", "1000", "9999", "10099", "10239", "10240"], ["127", "99", "10241", "11000"]),
        ("ProcessorName", ["x" * 38], ["x" * 39, ""]),
        ("RecorderName", ["x" * 40], ["x" * 41]),
    ],
)
def test_a_parameter_that_aws_would_refuse_is_refused_at_once(
    template: str, parameter: str, good: list[str], bad: list[str]
) -> None:
    for value in good:
        deploy(template, {parameter: value}, largest=LARGEST_IN_A_BUCKET)
    for value in bad:
        with pytest.raises(TemplateError, match=parameter):
            deploy(template, {parameter: value}, largest=LARGEST_IN_A_BUCKET)


def test_the_longest_names_make_roles_that_iam_takes_in_the_longest_region(template: str) -> None:
    tree = load(template)
    longest = {"${ProcessorName}": "x" * 38, "${RecorderName}": "x" * 40, "${AWS::Region}": "ap-northeast-1"}
    for name, resource in tree["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role" and name != "ApiRole":
            written = resource["Properties"]["RoleName"]["Fn::Sub"]
            for variable, value in longest.items():
                written = written.replace(variable, value)
            assert len(written) <= 64, name


def test_an_email_gets_alarms_for_whatever_finds_and_starts_jobs(template: str) -> None:
    stack = deploy(template, {"AlarmEmail": "someone@example.com"}, largest=LARGEST_IN_A_BUCKET)
    alarms = {
        (alarm.properties["MetricName"], alarm.properties["Dimensions"][0]["Value"]): alarm.properties["Threshold"]
        for alarm in stack.of_type("AWS::CloudWatch::Alarm")
    }
    assert alarms.pop(("ApproximateNumberOfMessagesVisible", stack.named("FailureQueue").attributes["QueueName"])) == 0
    assert alarms == {
        ("Errors", PROCESSOR): 5,  # an event that comes while its attempt runs is one, and harmless
        ("Errors", f"{PROCESSOR}-dispatcher"): 0,
        ("IteratorAge", f"{PROCESSOR}-dispatcher"): 120_000,
        ("Errors", f"{PROCESSOR}-sweeper"): 0,
        ("DestinationDeliveryFailures", PROCESSOR): 0,
    }
    unswept = deploy(template, {"AlarmEmail": "someone@example.com", "Sweeping": "false"}, largest=LARGEST_IN_A_BUCKET)
    assert len(unswept.of_type("AWS::CloudWatch::Alarm")) == len(alarms)


@pytest.mark.parametrize("name", ["RetentionDays", "TableName", "ProcessorName", "RecorderName"])
def test_no_deployment_has_to_follow_this_parameter(template: str, name: str) -> None:
    assert snapshot(template, {}) == snapshot(template, {name: NOT_FROZEN[name]})


def test_no_guard_is_switched_off_for_what_the_functions_call(template: str) -> None:
    functions = [each for each in load(template)["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    assert [each for each in functions if "RecursiveLoop" in each["Properties"]] == []
    variables = [name for each in functions for name in each["Properties"]["Environment"]["Variables"]]
    assert [name for name in variables if name.startswith("AWS_")] == []


def test_the_statements_are_these(template: str) -> None:
    assert [name for name, _, _ in statements(load(template))] == STATEMENTS


@pytest.mark.parametrize("name", STATEMENTS)
def test_nothing_works_without(template: str, folder: Path, deployed: Deploy, name: str) -> None:
    changed = load(template)
    ((found, number),) = [(found, at) for known, found, at in statements(changed) if known == name]
    if len(found) == 1:  # a policy has at least one
        found[number]["Action"] = "lambda:GetFunction"
    else:
        del found[number]
    api = deployed(written(changed), scale=0.001, bucket=folder, signed=True)
    with pytest.raises(AssertionError):
        _use(api)
