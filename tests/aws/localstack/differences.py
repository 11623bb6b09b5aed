"""Where LocalStack differs from AWS, as pytest reads it: what is listed must fail, and nothing else may.

A plug-in of pytest, for the conformance suite: `-p tests.aws.localstack.differences --differences EDITION`. The list is
differences.toml. A listed test that passes, or that there is not, is an error: the list says what is so today.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

LIST = Path(__file__).with_name("differences.toml")


class Difference(NamedTuple):
    """One of the list's entries: a test's id, whose cases it means if it names none, and why it fails."""

    test: str
    cause: str


def differences(edition: str, file: Path = LIST) -> list[Difference]:
    """What differs where one edition is deployed: `inline` or `durable`."""
    entries = tomllib.loads(file.read_text())["difference"]
    return [
        Difference(test, f"{entry['cause']} AWS: {entry['aws']}")
        for entry in entries
        if edition in entry["editions"]
        for test in entry["tests"]
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--differences", metavar="EDITION", required=True, help="inline or durable")
    parser.addoption("--differences-file", type=Path, default=LIST)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After the capabilities have been asked, mark what must fail."""
    for test, cause in differences(config.getoption("differences"), config.getoption("differences_file")):
        meant = [item for item in items if _is(test, item.nodeid)]
        if not meant:
            raise pytest.UsageError(f"{LIST.name}: there is no test {test}, or it is not run")
        for item in meant:
            item.add_marker(pytest.mark.xfail(reason=cause, raises=AssertionError, strict=True))


def _is(test: str, nodeid: str) -> bool:
    path, _, function = nodeid.partition("::")
    name = f"{path.rpartition('/')[2]}::{function}"
    return name == test or name.startswith(f"{test}[")
