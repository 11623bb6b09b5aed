"""The client against the template: signed requests, jobs that are not visible yet, no ?wait=."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from asyncjob import AsyncClient, Client, ClientError, JobFailed, NotFound, Refused
from tests.aws.conftest import Api
from tests.aws.double import signature
from tests.aws.double.services import TESTER
from tests.serving import COMMAND

Deploy = Callable[..., Api]
LARGE = {
    **{"jobId": "7", "type": "sleep", "status": "Success", "parameters": {}},
    **{"results": "x" * 1_000, "attempt": 1, "createdAt": "2024-06-06T12:34:56.789Z"},
}


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> Callable[[Api], None]:
    """Gives this process the credentials of a caller, as AWS's command line would have them."""

    def give(api: Api) -> None:
        for name, value in api.double.tester.items():
            monkeypatch.setenv(name, value)

    return give


def test_a_job_is_waited_for_from_before_it_is_visible(deployed: Deploy) -> None:
    with Client(deployed().double.url) as client:
        handle = client.submit(seconds=0.1)
        with pytest.raises(NotFound):
            client.get(handle.id)
        assert handle.result(timeout=60) == {"message": "I slept for 0.1 seconds"}
        with pytest.raises(JobFailed, match="TIMEOUT"):
            client.submit(seconds=60).result(timeout=60)
        with pytest.raises(NotFound):
            client.job("nobody").wait(timeout=60)
        with pytest.raises(Refused, match="does not list jobs"):
            next(client.list())


def test_jobs_are_mapped(deployed: Deploy) -> None:
    async def mapped(url: str) -> list[float]:
        async with AsyncClient(url) as client:
            handles = client.map(None, [{"seconds": 0.1}, {"seconds": 0}], concurrency=2)
            return [(await handle.wait()).parameters["seconds"] async for handle in handles]

    assert asyncio.run(mapped(deployed().double.url)) == [0.1, 0]


def test_requests_are_signed_for_aws_iam(deployed: Deploy, credentials: Callable[[Api], None]) -> None:
    api = deployed(Authorization="AWS_IAM")
    credentials(api)
    with Client(api.double.url, aws_iam=True) as client:
        assert client.submit("sleep", seconds=0, jobId="a~b.c-d_e").result(timeout=60)["message"]
    with Client(api.double.url) as unsigned, pytest.raises(Refused) as raised:
        unsigned.submit(seconds=0)
    assert raised.value.status == 403


def test_the_command_line_signs_too_and_finds_the_api_sound(
    deployed: Deploy, credentials: Callable[[Api], None]
) -> None:
    api = deployed(Authorization="AWS_IAM")
    credentials(api)
    for words in (["submit", "seconds=0", "--wait"], ["check", "--look"]):
        command = [str(COMMAND), *words, "--json", "--aws-iam", "--url", api.double.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        said = json.loads(done.stdout)
        assert said.get("status") == "Success" or said["sound"] is True
    command = [str(COMMAND), "check", "--url", api.double.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout[:3]) == (1, "BAD")


def test_a_signature_with_another_secret_is_refused(
    deployed: Deploy, credentials: Callable[[Api], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = deployed(Authorization="AWS_IAM")
    credentials(api)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with Client(api.double.url, aws_iam=True) as client, pytest.raises(Refused) as raised:
        client.submit(seconds=0)
    assert raised.value.status == 403


class Redirecting(BaseHTTPRequestHandler):
    """Answers only requests that are signed: for a job with a 303, for what that leads to with the job."""

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        url = f"http://{self.headers['host']}{self.path}"
        signature.check("GET", url, headers, b"", TESTER[1], "us-east-1", "execute-api")
        body = b""
        if self.path == "/jobs/7":
            self.send_response(303)
            self.send_header("location", "/large/7?part=a%2Fb")
        else:
            body = json.dumps(LARGE).encode()
            self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be said on standard error."""


def test_where_a_303_leads_to_is_asked_with_a_signature_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    for name, value in zip(names, (*TESTER, "us-east-1"), strict=True):
        monkeypatch.setenv(name, value)
    with HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}", aws_iam=True) as client:
                assert client.get("7").results == LARGE["results"]
        finally:
            server.shutdown()
            thread.join()


def test_the_stacks_api_key_is_sent(deployed: Deploy) -> None:
    api = deployed(Authorization="API_KEY")
    with Client(api.double.url, api_key=api.double.api.api_key) as client:
        assert client.submit(seconds=0).result(timeout=60)["message"]


def test_without_credentials_region_or_botocore_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ClientError, match="AWS_DEFAULT_REGION"):
        Client("https://example.org", aws_iam=True)
    with pytest.raises(ClientError, match="AWS_PROFILE"):
        Client("https://abc123.execute-api.eu-west-3.amazonaws.com/prod", aws_iam=True)
    script = "import sys; sys.modules['botocore'] = None; import asyncjob; asyncjob.Client(aws_iam=True)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install botocore" in done.stderr.splitlines()[-1]


def test_check_proves_what_a_deployed_stack_keeps_of_the_contract(deployed: Deploy) -> None:
    url = deployed().double.url
    done = subprocess.run([str(COMMAND), "check", "--url", url], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    assert "ok   contract   It ends in Success" in done.stdout
    assert "--   contract   The list has the job, as it is alone: not on this engine" in done.stdout
