"""What `make aws-localstack` says is true: its list of differences is checked both ways. It does not run LocalStack."""

import json
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from asyncjob.aws.runtime import signing
from tests.aws.conftest import ROOT
from tests.aws.localstack.deployment import EDITIONS, commands
from tests.aws.localstack.differences import LIST, differences
from tests.aws.localstack.tables import OneAtATime
from tests.receiver import Receiver

SUITE = """
import pytest

@pytest.mark.parametrize("case", ["a[0]", "b/c"])
def test_differs(case): assert case == "b/c"
def test_holds(): pass
def test_breaks(): raise OSError
"""


def _pytest(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    plugin = ["-p", "tests.aws.localstack.differences", "-p", "no:cacheprovider", "-q"]
    command = [sys.executable, "-m", "pytest", *plugin, "--rootdir", str(cwd), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_difference_has_its_cause_and_is_of_a_test_that_is_run(edition: str) -> None:
    collected = _pytest("tests/conformance", "--collect-only", "--differences", edition, *EDITIONS[edition][:2])
    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert all(cause.startswith("LocalStack") and "AWS: " in cause for _, cause in differences(edition))


@pytest.mark.parametrize(
    ("listed", "status", "said"),
    [
        (["test_differs[a[0]]"], 1, "1 failed, 2 passed, 1 xfailed"),  # test_breaks is not listed
        (["test_differs[a[0]]", "test_breaks"], 1, "1 failed, 2 passed, 1 xfailed"),  # it breaks: that is no answer
        (["test_differs"], 1, "XPASS(strict)"),
        (["test_differs[a[0]]", "test_holds"], 1, "XPASS(strict)"),
        (["test_differs[a]"], 4, "there is no test test_suite.py::test_differs[a]"),
        (["test_diff"], 4, "there is no test test_suite.py::test_diff"),
    ],
    ids=str,
)
def test_what_is_listed_must_fail_and_nothing_else_may(
    tmp_path: Path, listed: list[str], status: int, said: str
) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    tests = ", ".join(f"'test_suite.py::{test}'" for test in listed)
    entry = f"[[difference]]\ncause = 'LocalStack'\naws = 'a page'\neditions = ['inline']\ntests = [{tests}]\n"
    (tmp_path / LIST.name).write_text(entry)
    listing = ["--differences", "inline", "--differences-file", str(tmp_path / LIST.name)]
    run = _pytest(str(tmp_path), *listing, cwd=tmp_path)
    assert (run.returncode, said in run.stdout + run.stderr) == (status, True), run.stdout + run.stderr


def test_the_readme_deploys_each_edition() -> None:
    (inline,) = commands("inline")
    assert inline[:3] == ["aws", "cloudformation", "deploy"]
    assert [command[:3] for command in commands("durable")] == [
        ["asyncjob", "build", "mine.py"],
        ["aws", "s3", "mb"],
        ["aws", "cloudformation", "package"],
        ["aws", "cloudformation", "deploy"],
    ]


@pytest.mark.parametrize(
    ("condition", "status", "message"),
    [
        ("jobId = :id", 200, None),
        ("jobId = :refused_id_END OR jobId = :id", 400, "is not defined; attribute value: :refused_id_END"),
    ],
)
def test_a_value_that_is_not_defined_is_refused_by_name(condition: str, status: int, message: str | None) -> None:
    seen: list[bytes] = []

    @Request.application
    def moto(request: Request) -> Response:
        seen.append(request.data)
        return Response("{}")

    body = json.dumps({"ConditionExpression": condition, "ExpressionAttributeValues": {":id": {"S": "7"}}})
    answer = Client(OneAtATime(moto)).post("/", data=body, headers={"X-Amz-Target": "DynamoDB_20120810.UpdateItem"})
    assert answer.status_code == status
    assert seen == ([body.encode()] if message is None else [])
    assert message is None or answer.get_json(force=True)["message"].endswith(message)


def test_what_runs_in_lambda_asks_localstack_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    connections: dict[tuple[str, int], HTTPConnection] = {}
    monkeypatch.setattr(signing, "_connections", connections)
    with Receiver() as aws, Receiver() as localstack:
        monkeypatch.setenv("ASYNCJOB_URL_DYNAMODB", f"http://127.0.0.1:{aws.port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{localstack.port}")
        assert signing.post("dynamodb", "/", {}, b"{}")[0] == 204
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert signing.post("dynamodb", "/", {}, b"{}")[0] == 204
        assert (len(localstack.received), len(aws.received)) == (1, 1)
        for connection in connections.values():
            connection.close()
