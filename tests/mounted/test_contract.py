"""The contract's own suite, against an API that is mounted, at the root, and handed over to another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounted.hosted import ROOT, Hosted


def _keeps_the_contract(url: str) -> None:
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider", "--base-url", url]
    suite = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert suite.returncode == 0, suite.stdout


@pytest.mark.timeout(600)
def test_a_mounted_api_keeps_the_contract(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db", app="mounted") as host:
        _keeps_the_contract(f"{host.url}/work")
        host.stop()


@pytest.mark.timeout(600)
def test_an_api_at_the_root_keeps_the_contract(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db", app="sleeping") as host:
        _keeps_the_contract(host.url)


@pytest.mark.timeout(600)
def test_a_process_that_hands_its_requests_over_keeps_the_contract(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db", app="mounted") as owner, Hosted(tmp_path / "jobs.db", app="mounted") as follower:
        assert "following the owner" in follower.log
        _keeps_the_contract(f"{follower.url}/work")
        assert "owning the database" in owner.log
