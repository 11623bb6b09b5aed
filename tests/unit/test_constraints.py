"""What is installed is pinned by version and hash, in files without addresses that agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = [
    "constraints.txt",
    "constraints-aws.txt",
    "constraints-build.txt",
    "tests/constraints.txt",
    "tests/supply.txt",
    "tests/aws/awscli.txt",
    "tests/aws/checkov.txt",
    "tests/aws/lambda.txt",
]
FILES += ["bench/plot.txt", "bench/aws_peer/requirements.txt"]
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)(?: ; [^\n\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)


def _pins(file: str) -> set[tuple[str, str]]:
    return {(found[1], found[2]) for found in PIN.finditer((ROOT / file).read_text())}


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_names_versions_and_hashes_and_nothing_else(file: str) -> None:
    rest = PIN.sub("", (ROOT / file).read_text())
    assert all(line.startswith("#") for line in rest.splitlines())
    assert _pins(file)
    assert "://" not in rest


def test_the_tests_have_what_runs_and_what_builds_it() -> None:
    assert _pins("constraints.txt") <= _pins("constraints-aws.txt")
    assert _pins("constraints-aws.txt") | _pins("constraints-build.txt") <= _pins("tests/constraints.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (backend,) = project["build-system"]["requires"]
    assert tuple(backend.split("==")) in _pins("constraints-build.txt")
    client, extras = project["project"]["dependencies"], project["project"]["optional-dependencies"]
    for file, asked in [("constraints.txt", extras["server"]), ("constraints-aws.txt", extras["aws"])]:
        names = {re.split(r"[><=\[]", each)[0] for each in [*client, *asked]}
        assert names <= {name for name, _ in _pins(file)}
