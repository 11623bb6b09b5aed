"""The commands that `asyncjob build` prints, said to the AWS command line itself, with moto's S3 behind it."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from asyncjob.aws.build.template import MAX_TEMPLATE_BYTES
from tests.aws.building import built
from tests.aws.double.cloudformation import load

AWS = Path(__file__).parents[2] / ".venv" / "awscli-env/bin/aws"  # whichever Python runs the tests
BUCKET = "my-bucket"
ACCOUNT = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
MANY = """
from asyncjob import Jobs

jobs = Jobs()
for number in range(30):
    @jobs.job(name=f"resize-{number}")
    def resize(width: int, height: int = 100, name: str = "x") -> int: ...
"""
Say = Callable[[str], subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(not AWS.exists(), reason="the AWS command line is not there: make .venv/awscli")


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(endpoint: str) -> Any:
    client = boto3.client("s3", endpoint_url=endpoint, **ACCOUNT)
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def say(endpoint: str, tmp_path: Path) -> Say:
    """Says a command to the AWS command line, in a folder and an environment of its own."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": endpoint}
    environment |= {name.upper(): value for name, value in ACCOUNT.items() if name != "region_name"}
    environment["AWS_DEFAULT_REGION"] = ACCOUNT["region_name"]

    def run(command: str) -> subprocess.CompletedProcess[str]:
        arguments = shlex.split(command.replace("MY-BUCKET", BUCKET))
        assert arguments[0] == "aws"
        return subprocess.run([AWS, *arguments[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def test_thirty_functions_are_packaged_and_taken_from_a_bucket(tmp_path: Path, s3: Any, say: Say) -> None:
    (tmp_path / "many.py").write_text(MANY)
    output: list[str] = []
    built(tmp_path, "many.py", output=output)
    package, deploy, *_ = (line.strip() for line in output[0].splitlines() if line.startswith("  aws "))
    done = say(package)
    assert done.returncode == 0, done.stderr
    plain, packaged = (tmp_path / "build" / name for name in ("template.yaml", "packaged.yaml"))
    before, after = load(plain.read_text()), load(packaged.read_text())
    codes = [_codes(tree) for tree in (before, after)]
    assert (set(codes[0]), {code["S3Bucket"] for code in codes[1]}) == ({"code.zip"}, {BUCKET})
    assert before == after
    assert packaged.stat().st_size > MAX_TEMPLATE_BYTES
    without = say(deploy.replace("--s3-bucket MY-BUCKET", ""))
    assert (without.returncode, "must be deployed via an S3 Bucket" in without.stderr) == (255, True)
    say(deploy)  # moto does not find the template in its own bucket
    (key,) = (each["Key"] for each in s3.list_objects(Bucket=BUCKET)["Contents"] if each["Key"].endswith(".template"))
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == packaged.read_bytes()


def _codes(tree: dict[str, Any]) -> list[Any]:
    """Take the functions' code out of a template."""
    functions = [each for each in tree["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    return [function["Properties"].pop("Code") for function in functions]
