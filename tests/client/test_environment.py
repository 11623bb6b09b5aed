"""What the environment, an argument, a reader or a server has wrong: one line and a status, or a ClientError."""

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from asyncjob import AsyncClient, Client, ClientError, Unreachable
from asyncjob.commands.output import printable
from tests.serving import COMMAND, Server

ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
EVIL = "a\x1b]0;x\x07\x9b2J\x7f\u202etxt\u2066\r\n\u2028\U000e0041"
DEEP = "[" * 60_000 + "]" * 60_000


def _run(command: str, url: str = "http://127.0.0.1:9", **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a shell, with `asyncjob` in it; nothing but a line may be said of what is wrong."""
    line = command.replace("asyncjob", str(COMMAND))
    done = subprocess.run(
        ["bash", "-c", line], env={**ENV, "ASYNCJOB_URL": url, **env}, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1
    return done


ENVIRONMENTS = [
    ({"ALL_PROXY": "socks5://u:secret@host:1"}, 2, "a SOCKS proxy needs"),
    ({"HTTP_PROXY": "odd://u:secret@host"}, 2, "HTTP_PROXY=odd://***@host"),
    ({"HTTPS_PROXY": "http://u:se/cret@[::1"}, 2, "cannot be used"),
    ({"HTTP_PROXY": "http://u:secret@127.0.0.1:9"}, 3, "gave no answer through the proxy http://***@127.0.0.1:9"),
    (
        {"NO_PROXY": "localhost,::1,[::1]"},
        2,
        "NO_PROXY may name hosts and addresses, but no address in brackets",
    ),
    ({"NO_PROXY": "fe80::/10", "HTTP_PROXY": "http://u:secret@h:1"}, 2, "NO_PROXY may name hosts"),
    ({"SSL_CERT_FILE": "/no/such/file"}, 2, "SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"),
    ({"SSL_CERT_FILE": "/etc/passwd"}, 2, "SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"),
]


@pytest.mark.parametrize(("env", "status", "said"), ENVIRONMENTS)
def test_what_the_environment_has_wrong_is_a_line_without_a_password(
    env: dict[str, str], status: int, said: str, connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _run("asyncjob get x", **env)
    assert done.returncode == status
    assert said in done.stderr and "secret" not in done.stderr and "cret@" not in done.stderr
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ClientError, match=r"proxy|SSL_CERT_FILE"):
        connected("http://127.0.0.1:9", retries=0).get("x")


@pytest.mark.parametrize(
    "url", ["http://h:99999", "http://a..b", "http://" + "a" * 64, "http://h\udcff", "http://[::1"]
)
def test_a_url_that_cannot_be_is_a_wrong_argument(connected: Callable[..., Any], url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        connected(url)


@pytest.mark.parametrize(
    "value", [object(), "\udcff", json.loads("[" * 900 + "]" * 900)], ids=["object", "text", "depth"]
)
def test_parameters_that_are_no_json_are_a_client_error(client: Any, value: Any) -> None:
    for _ in range(100_000):  # more than any Python follows
        value = [value] if isinstance(value, list) else value
    with pytest.raises(ClientError):
        client.submit("echo", value=value)


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("asyncjob submit echo $'value=\\xff'", 2, "is not UTF-8"),
        ("asyncjob get $'\\xff'", 2, "cannot be a job's id"),
        ("asyncjob list --type $'\\xff'", 2, "utf-8"),
        ("asyncjob openapi $'\\xff.py'", 2, "there is no file"),
        (f"asyncjob submit echo 'value={DEEP}'", 2, "nested too deeply"),
        (f"echo '{{\"a\":{DEEP[:100_000]}}}' | asyncjob submit --body -", 2, "is not a JSON object"),
        ("asyncjob submit --body - <&-", 2, "is not a JSON object"),
        ("asyncjob list > /dev/full", 2, "cannot write the output: No space left on device"),
        ("asyncjob list --json > /dev/full", 2, "cannot write the output"),
        ("asyncjob --help > /dev/full", 2, "cannot write the output"),
        ("asyncjob get nobody 2> /dev/full", 2, ""),
        ("asyncjob get nobody 2>&-", 2, ""),
        ("asyncjob list --json >&-", 0, ""),
        ("(sleep 1; asyncjob --help) | true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_a_command_ends_with_a_line_and_the_right_status(
    client: Any, served: Server, command: str, status: int, said: str
) -> None:
    client.submit("add", a=1).result(timeout=60)
    done = _run(command, served.url)
    assert done.returncode == status, done
    assert said in done.stderr


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], str]]:
    """A server of somebody's that always answers the same; its URL."""
    answer: tuple[int, str] = (200, "")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer[1].encode()
            self.send_response(answer[0])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def answer_with(status: int, body: str) -> str:
            nonlocal answer
            answer = (status, body)
            return f"http://127.0.0.1:{server.server_port}"

        yield answer_with
        server.shutdown()
        thread.join()


@pytest.mark.timeout(600)  # it starts 64 processes
def test_what_a_server_says_does_nothing_to_a_terminal(answering: Callable[[int, str], str], tmp_path: Path) -> None:
    job = {"jobId": EVIL, "type": EVIL, "status": "Failure", "parameters": {EVIL: EVIL}, "attempt": 1,
           "createdAt": "0001-01-01T00:00:00Z", "error": {"type": EVIL, "message": EVIL},
           "progress": {"fraction": 0.5, "message": EVIL}}  # fmt: skip
    said = []
    for body in ({"jobs": [job], "next": None}, job, {"jobs": {EVIL: 1}}, {"message": EVIL, "openapi": EVIL}):
        for status in (200, 409):
            url = answering(status, json.dumps(body))
            for command in (
                "get x",
                "get x --json",
                "list",
                "list --json",
                "stats",
                "openapi",
                "openapi --json",
                "check",
            ):
                done = _run(f"asyncjob {command}", url)
                said.append(done.stdout + done.stderr)
                if done.returncode == 0 and command in ("get x --json", "openapi --json"):
                    assert json.loads(done.stdout) == body
    text = "".join(said)
    assert "\\u001b" in text and "\\x1b" in text
    assert not any(each in text for each in EVIL if each not in "a]0;x2Jtxt\n")


def test_a_message_of_several_lines_is_said_in_one(answering: Callable[[int, str], str]) -> None:
    url = answering(400, json.dumps({"message": "the first line\r\n\tthe second\n\n\x1b[31mthe third\n"}))
    said = r"the first line the second \x1b[31mthe third (400)"
    assert _run("asyncjob list", url).stderr == f"asyncjob: {said}\n"
    assert _run("asyncjob check", url).stdout == f"BAD  server     {url} says: {said}\n"


def test_a_space_of_another_script_and_a_joined_emoji_stay_as_they_are() -> None:
    for text in ("全角\u3000空白", "a\u00a0b", "👩\u200d💻", "é"):
        assert printable(text) == text


def test_an_answer_that_is_nested_too_deep_is_no_answer(
    answering: Callable[[int, str], str], connected: Callable[..., Any]
) -> None:
    url = answering(200, '{"a":' + DEEP + "}")
    with pytest.raises(Unreachable, match="nested too deeply for this Python to read"):
        connected(url).get("x")
    for command in ("get x", "list", "stats", "openapi", "wait x"):
        assert _run(f"asyncjob {command}", url).returncode == 3
    with pytest.raises(ClientError):
        connected(answering(400, DEEP)).get("x")


WHERE = [
    ({}, "http://127.0.0.1:8000"),
    ({"ASYNCJOB_PORT": "8123"}, "http://127.0.0.1:8123"),
    ({"ASYNCJOB_PORT": "8123", "ASYNCJOB_ROOT_PATH": "/work"}, "http://127.0.0.1:8123/work"),
    ({"ASYNCJOB_PORT": "8123", "ASYNCJOB_URL": "https://jobs.example.com/a"}, "https://jobs.example.com/a"),
]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(("env", "url"), WHERE)
def test_a_client_without_a_url_goes_where_the_commands_go(
    env: dict[str, str], url: str, kind: type[Client | AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ASYNCJOB_PORT", "ASYNCJOB_ROOT_PATH", "ASYNCJOB_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**env, "ASYNCJOB_API_KEY": "the key of that server"}.items():
        monkeypatch.setenv(name, value)

    async def look() -> None:
        http = kind()._http()
        assert (str(http.base_url).rstrip("/"), http.headers["x-api-key"]) == (url, "the key of that server")
        assert kind(api_key="another")._http().headers["x-api-key"] == "another"
        assert "x-api-key" not in kind("http://127.0.0.1:9")._http().headers

    asyncio.run(look())


JOBS = """
from asyncjob import Client, Jobs

jobs = Jobs()


@jobs.job
def outer(number: int) -> int:
    with Client() as client:
        return client.submit(inner, number=number).result(timeout=60)


@jobs.job
def inner(number: int) -> int:
    return number + 1
"""


@pytest.mark.parametrize("arguments", [(), ("--root-path", "/work"), ("--host", "0.0.0.0", "--insecure")])
def test_a_client_in_a_job_function_reaches_the_server_that_runs_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "mine.py").write_text(JOBS)
    env = {"ASYNCJOB_PORT": "9", "ASYNCJOB_URL": "http://127.0.0.1:9"}  # of somebody else; --port comes first
    with Server(tmp_path / "jobs.db", *arguments, target="mine.py", env=env) as server:
        job = server.client.post("/jobs?wait=60", json={"type": "outer", "number": 1}).json()
        assert job.get("results") == 2, job


def test_in_a_lambda_function_a_client_needs_an_address(
    connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASYNCJOB_URL", raising=False)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "AsyncJobProcessor")
    with pytest.raises(ClientError, match=r"name the API's address, as in Client\('https://...', aws_iam=True\)"):
        connected(None)
    assert connected("http://127.0.0.1:9") is not None
    monkeypatch.setenv("ASYNCJOB_URL", "http://127.0.0.1:9")
    assert connected(None) is not None
