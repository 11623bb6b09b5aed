"""Deploys an edition by the commands that the README names, as they stand there."""

import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.aws.localstack.service import ROOT, LocalStack

EDITIONS = {
    "inline": ["--capabilities", "aws"],
    "durable": ["--capabilities", "aws-durable", "--aws-iam"],
}
"""The editions, and what the conformance suite is to know of each."""

ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
BUCKET = "MY-BUCKET"
COMMAND = re.compile(r"^\$ ((?:aws cloudformation|asyncjob build) .*)$", re.MULTILINE)
ENDPOINT = re.compile(r"https://(?P<api>\w+)\.execute-api\.[^/]+/(?P<stage>\w+)")


class Failed(Exception):
    """The edition could not be deployed; the message has the command, what it said, and the stack's events."""


def deploy(edition: str, localstack: LocalStack, say: Callable[[str], None]) -> str:
    """Say the README's commands, in a folder with the files that they name; where the API is."""
    place = localstack.folder / "here"
    place.mkdir()
    shutil.copy(ROOT / "template.yaml", place)
    (place / "mine.py").write_text("from asyncjob.sleep import jobs\n")  # what the conformance suite knows
    for command in commands(edition):
        say(f"$ {shlex.join(command)}")
        done = _run(command, localstack, place)
        if done.returncode:
            raise Failed(f"{done.stdout}{done.stderr}{_events(localstack, command)}")
    return _base_url(localstack, command)


def commands(edition: str) -> list[list[str]]:
    """The README's, in its order: the one that deploys template.yaml, or those from `asyncjob build` on."""
    found = [shlex.split(line) for line in COMMAND.findall((ROOT / "README.md").read_text())]
    built = next(at for at, command in enumerate(found) if command[0] == "asyncjob")
    if edition == "inline":
        return found[:built]
    build, *rest = found[built:]
    bucket = ["aws", "s3", "mb", f"s3://{BUCKET.lower()}"]
    return [[*build, "--architecture", ARCHITECTURE], bucket, *([_lower(word) for word in each] for each in rest)]


def _lower(word: str) -> str:
    """A word of a command; the README's bucket stands for a name, which has no capitals."""
    return word.lower() if word == BUCKET else word


def _run(command: list[str], localstack: LocalStack, place: Path) -> subprocess.CompletedProcess[str]:
    if command[0] == "aws":
        return localstack.aws(*command[1:], cwd=place)
    return subprocess.run(
        [Path(sys.executable).with_name("asyncjob"), *command[1:]], cwd=place, capture_output=True, text=True
    )


def _base_url(localstack: LocalStack, deployed: list[str]) -> str:
    """Of the output ApiEndpoint, where LocalStack serves it on loopback."""
    query = "Stacks[0].Outputs[?OutputKey=='ApiEndpoint'].OutputValue"
    said = _about(localstack, deployed, "describe-stacks", query)
    endpoint = ENDPOINT.fullmatch(said)
    if endpoint is None:
        raise Failed(f"ApiEndpoint is no API's address: {said}")
    return f"{localstack.url}/_aws/execute-api/{endpoint['api']}/{endpoint['stage']}"


def _events(localstack: LocalStack, failed: list[str]) -> str:
    if "deploy" not in failed:
        return ""
    query = "StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]"
    return _about(localstack, failed, "describe-stack-events", query)


def _about(localstack: LocalStack, deploying: list[str], command: str, query: str) -> str:
    """What AWS's command line says about the stack that another of its commands deploys."""
    stack = deploying[deploying.index("--stack-name") + 1]
    asked = ["--stack-name", stack, "--query", query, "--output", "text"]
    return localstack.aws("cloudformation", command, *asked).stdout.strip()
