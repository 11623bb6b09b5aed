"""The contract and least privilege, against the template of a package."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncjob import Jobs
from asyncjob.aws.build import template as builder
from asyncjob.loading import load as load_registry
from tests.aws.conftest import PROCESSOR, RECORDER, ROOT, Api
from tests.aws.double.cloudformation import load
from tests.aws.double.double import Double
from tests.aws.packaging import packaged, user_package, with_timeout
from tests.aws.test_roles import _statements as statements
from tests.aws.test_roles import _text as written

Deploy = Callable[..., Api]

# Where each statement of a role stands; a test holds it against the template.
STATEMENTS = [
    *("ApiRole[0]", "ApiRole[1]", "ProcessorRole[0]", "ProcessorRole[1]", "ProcessorRole[2]"),
    *("DispatcherRole[0]", "DispatcherRole[1]", "DispatcherRole[2]", "DispatcherRole[3]", "SweepsRole[0]"),
    *("SweeperRole[0]", "SweeperRole[1]", "SweeperRole[2]", "RecorderRole[0]", "RecorderRole[1]", "RecorderRole[2]"),
    *("ReaderRole[0]", "ReaderRole[1]", "ReaderRole[2]", "ReaderRole[3]"),
]
FUNCTIONS = (PROCESSOR, RECORDER, *(f"{PROCESSOR}-{name}" for name in ("dispatcher", "sweeper", "reader")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def template(folder: Path) -> str:
    return user_package(folder)


def test_a_package_keeps_the_contract_with_its_declared_capabilities(tmp_path: Path) -> None:
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


def _use(api: Api) -> None:
    """Use all that the edition does, and see that nobody was refused anything.

    Raises:
        AssertionError: a part of it does not work.
    """
    for body in ({"type": "add", "a": 1}, {"type": "large", "size": 300_000}, {"type": "flaky", "failures": 3}):
        assert api.post(jobId=body["type"], **body).status_code == 202
    api.double.advance(5)
    for job_id in ("add", "flaky"):
        answer = api.get(job_id)
        assert (answer.status_code, answer.json().get("status")) == (200, "Success")
    assert api.client.get("/jobs/large/large").status_code == 200
    assert len(api.client.get("/jobs").json()["jobs"]) == 3
    assert api.post(jobId="wait", type="wait").status_code == 202
    while api.get("wait").json()["status"] == "Pending":
        api.double.jump(0.1)
    assert api.client.post("/jobs/wait/cancel").status_code == 200
    with api.double.stream("Jobs").losing():
        assert api.post(jobId="swept", type="die_once").status_code == 202
    api.double.advance(600)
    assert api.get("swept").json()["status"] == "Failure"
    api.double.call(lambda: api.double.functions.throttle(PROCESSOR))
    assert api.post(jobId="queued", type="add", a=1).status_code == 202
    api.double.advance(110)  # until the record is given up, and before the sweeper looks
    api.double.call(lambda: api.double.functions.throttle(PROCESSOR, on=False))
    with api.double.services.failing("dynamodb:GetItem", "AccessDeniedException", role="RecorderRole"):
        _broken_event(api)
        api.double.advance(600)
    assert len(api.double.messages()) == 2
    for name in FUNCTIONS:
        assert api.double.services.logs[f"/aws/lambda/{name}"]
    assert api.double.services.refused == []


def test_every_action_and_every_resource_of_every_statement_is_used(
    deployed: Deploy, template: str, folder: Path
) -> None:
    api = deployed(with_timeout(template, 20), scale=0.001, bucket=folder, signed=True)
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
    package = builder.Package(
        code="code.zip",
        target="jobs",
        runtime="python3.13",
        architecture="x86_64",
        timeout=90,
        statements=statements,
    )
    return builder.fill_package((builder.HERE / "template.yaml").read_text(), jobs, package)


def test_every_deployment_waits_for_all_that_it_is_a_snapshot_of(template: str) -> None:
    resources = load(template)["Resources"]
    kinds = ("AWS::ApiGateway::Method", "AWS::ApiGateway::GatewayResponse")
    parts = {name for name, resource in resources.items() if resource["Type"] in kinds}
    deployments = [each for each in resources.values() if each["Type"] == "AWS::ApiGateway::Deployment"]
    assert (len(parts), len(deployments)) == (14, 3)
    for deployment in deployments:
        assert parts <= set(re.findall(r"\w+", json.dumps([deployment, resources[deployment["DependsOn"]]])))


def test_the_statements_are_these(template: str) -> None:
    assert [name for name, _, _ in statements(load(template))] == STATEMENTS


@pytest.mark.parametrize("name", STATEMENTS)
def test_nothing_works_without(template: str, folder: Path, deployed: Deploy, name: str) -> None:
    changed = load(template)
    ((found, number),) = [(found, at) for known, found, at in statements(changed) if known == name]
    del found[number]
    api = deployed(written(changed), scale=0.001, bucket=folder, signed=True)
    with pytest.raises(AssertionError):
        _use(api)
