"""`make aws-local`: what a user sees of it."""

import os
import platform
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.aws.conftest import ROOT
from tests.aws.double.interpreter import INTERPRETER
from tests.aws.user import Build
from tests.serving import COMMAND as ASYNCJOB

COMMAND = [sys.executable, "-m", "tests.aws.double"]


@contextmanager
def _served(*arguments: str, template: str = "template.yaml") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    command = [*COMMAND, template, "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], 60)[0]
        said = [process.stdout.readline().rstrip()]
        while not said[-1].startswith("other services:"):
            assert said[-1], "it has ended"
            said.append(process.stdout.readline().rstrip())
        yield process, said
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yaml"], "missing.yaml"),
        (["template.yaml", "Foo=1"], "Foo"),
        (["template.yaml", "Timeout"], "Timeout"),
        (["template.yaml", "Timeout=x"], "Timeout"),
        (["template.yaml", "Authorization=foo"], "Authorization"),
        (["template.yaml", "--port", "99999"], "65535"),
        (["template.yaml", "--port", "TAKEN"], "is taken: say make aws-local AWS_LOCAL_PORT="),
    ],
)
def test_a_mistake_is_one_clear_line(arguments: list[str], said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        # The port that is meant for people may be somebody's.
        command = [*COMMAND, "--port", "0", *(port if argument == "TAKEN" else argument for argument in arguments)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("make aws-local: ")
    assert said in ended.stderr


def test_it_says_where_it_listens_and_its_key_and_logs_what_the_functions_do() -> None:
    with _served("Authorization=API_KEY") as (process, said):
        url, key = said[0].split()[-1], said[1].removeprefix("x-api-key: ")
        assert httpx.post(f"{url}/jobs", json={"seconds": 0}).status_code == 403
        assert httpx.post(f"{url}/jobs", json={"seconds": 0}, headers={"x-api-key": key}).status_code == 202
        assert "AWS_ENDPOINT_URL=" in said[2]
        assert process.stdout is not None
        assert "START" in process.stdout.readline()


def test_ctrl_c_ends_it_while_a_client_has_half_a_request_sent() -> None:
    with _served() as (process, said):
        host, port = said[0].split("/")[2].split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /prod/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            httpx.get(f"http://{host}:{port}/prod/jobs/x")  # by now the half has been read
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0


@pytest.mark.timeout(700)  # real time, as AWS takes it
def test_what_was_built_of_ones_own_functions_can_be_tried_without_an_account(build: Build, mine: Path) -> None:
    here = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    other = "x86_64" if here == "arm64" else "arm64"
    template = mine / "build" / "template.yaml"
    assert build("--architecture", other, "--python", INTERPRETER.version).returncode == 0
    refused = subprocess.run([*COMMAND, str(template)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert f"say asyncjob build --architecture {here} --python {INTERPRETER.version}" in refused.stderr
    assert build("--architecture", here, "--python", INTERPRETER.version).returncode == 0
    with _served("Authorization=NONE", template=str(template)) as (_, said):
        url = said[0].rpartition(" ")[2]
        assert said[0] == f"{template}, as AWS would serve it, on {url}"
        answer = httpx.post(f"{url}/jobs", json={"jobId": "7", "width": 3}, timeout=30)
        assert (answer.status_code, answer.json()) == (202, {"jobId": "7"})
        check = [str(ASYNCJOB), "check", "--url", url, "--job", '{"width": 3}']
        done = subprocess.run(check, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout
