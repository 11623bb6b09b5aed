"""A deployed double of the committed template, and what tests of it ask again and again."""

import os
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.aws.double.double import Double
from tests.aws.double.services import REGION, TESTER
from tests.aws.packaging import user_package
from tests.aws.user import SOURCE, Build
from tests.serving import COMMAND

ROOT = Path(__file__).parent.parent.parent
PROCESSOR, RECORDER = "AsyncJobProcessor", "AsyncJobFailureRecorder"
SECONDS = 60
LOOK_SECONDS = 0.5  # a job may also change with time alone: it expires


@pytest.fixture(scope="session")
def template() -> str:
    """The text that is deployed."""
    return (ROOT / "template.yaml").read_text()


@pytest.fixture
def deployed(template: str) -> Iterator[Callable[..., "Api"]]:
    """Deploys the template with parameters, for one test."""
    with ExitStack() as stack:

        def deploy(
            text: str = template, scale: float = 0.01, bucket: Path = Path(), signed: bool = False, **parameters: str
        ) -> Api:
            double = stack.enter_context(Double(text, parameters, scale=scale, bucket=bucket))
            return Api(double, stack, signed=signed)

        yield deploy


@pytest.fixture
def api(deployed: Callable[..., "Api"]) -> "Api":
    """The template as it is deployed by default, but with a short timeout: a lost attempt is soon given up."""
    return deployed(ProcessorTimeout="2")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a file of job functions."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "jobs.py").write_text(SOURCE)
    return folder


@pytest.fixture
def build(mine: Path) -> Build:
    """Says `asyncjob build` in that folder."""

    def run(*arguments: str, target: str = "jobs.py", cwd: Path = mine, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), "build", target, "--out", "build", *arguments]
        return subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=100)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the bucket of a deployed package is."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def package(folder: Path) -> str:
    """The template of a package of package_functions.py; its zip is in the folder."""
    return user_package(folder)


class Signed(httpx.Auth):
    """Signs requests as a caller whom the double knows."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        signed = AWSRequest(request.method, str(request.url), data=request.content)
        SigV4Auth(Credentials(*TESTER), "execute-api", REGION).add_auth(signed)
        request.headers.update(dict(signed.headers))
        yield request


class Api:
    """A client of a double; one that signs its requests, where the double is a package's."""

    def __init__(self, double: Double, stack: ExitStack, *, signed: bool = False) -> None:
        self.double = double
        auth = Signed() if signed else None
        # The double speaks HTTP: no authorities are read for it.
        self.client = stack.enter_context(httpx.Client(base_url=double.url, auth=auth, timeout=30, verify=False))

    def post(self, **body: Any) -> httpx.Response:
        """POST /jobs."""
        return self.client.post("/jobs", json=body)

    def get(self, job_id: str) -> httpx.Response:
        """GET /jobs/{jobId}."""
        return self.client.get(f"/jobs/{job_id}")

    def submit(self, job_id: str, seconds: float = 0) -> None:
        """Submit a job, which must be accepted."""
        answer = self.post(jobId=job_id, seconds=seconds)
        assert answer.status_code == 202, answer.text

    def job(self, job_id: str, *statuses: str) -> dict[str, Any]:
        """The job, once it has one of these statuses; by default, once it has ended."""
        deadline = time.monotonic() + SECONDS
        tables = self.double.services.tables
        while time.monotonic() < deadline:
            seen = tables.writes
            answer = self.get(job_id)
            assert answer.status_code < 500, answer.text
            if answer.status_code == 200:
                job: dict[str, Any] = answer.json()
                if job["status"] in (statuses or ("Success", "Failure", "Canceled")):
                    return job
            tables.wait_for_write(seen, LOOK_SECONDS)
        raise AssertionError(f"{job_id}: {answer.status_code} {answer.text}")
