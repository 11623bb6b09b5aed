"""The contract, against the template that is deployed."""

import os
import subprocess
import sys

import httpx
import pytest

from tests.aws.conftest import ROOT
from tests.aws.double.double import Double


@pytest.mark.parametrize(
    ("readable_overrides", "files"), [(False, "tests/conformance"), (True, "tests/conformance/test_submit.py")]
)
def test_the_template_keeps_the_contract_with_its_declared_capabilities(
    template: str, readable_overrides: bool, files: str
) -> None:
    with Double(template, readable_overrides=readable_overrides) as double:
        command = [sys.executable, "-m", "pytest", files, "-q", "-p", "no:cacheprovider"]
        command += ["--base-url", double.url, "--capabilities", "aws"]
        suite = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
        assert suite.returncode == 0, suite.stdout
        double.idle()
        assert double.services.refused == []
        assert double.messages() == []


def test_the_202_names_the_job_where_its_template_can_know_the_name(template: str) -> None:
    """Fact 1: only for MOCK integrations was it seen to read what the request template has set."""
    with Double(template, readable_overrides=True) as double:
        answer = httpx.post(f"{double.url}/jobs", json={"jobId": "chosen", "seconds": 0})
        assert answer.json() == {"jobId": "chosen"}
        assert answer.headers["location"] == "/prod/jobs/chosen"
        answer = httpx.post(f"{double.url}/jobs", json={"seconds": 0})
        assert answer.json() == {"jobId": answer.headers["x-request-id"]}
    with Double(template) as double:
        answer = httpx.post(f"{double.url}/jobs", json={"jobId": "chosen", "seconds": 0})
        assert (answer.status_code, answer.json()) == (202, {})
        assert "location" not in answer.headers
        assert answer.headers["x-request-id"] != "chosen"


def test_the_original_edition_refuses_options_by_name(template: str) -> None:
    with Double(template) as double:
        answer = httpx.post(f"{double.url}/jobs", json={"jobId": "7", "seconds": 0, "options": {"delay": 5}})
        assert answer.status_code == 400
        assert "options" in answer.json()["message"]
        double.idle()
        assert httpx.get(f"{double.url}/jobs/7").status_code == 404
