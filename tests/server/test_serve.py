"""`asyncjob serve`: what it says, what it refuses, and its settings."""

import dataclasses
import os
import re
import socket
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import httpx
import pytest
import typer.main
from typer.testing import CliRunner

from asyncjob.cli import app
from asyncjob.server.logs import LogFormat, LogLevel
from asyncjob.server.settings import Settings
from tests.server.conftest import lines, wait_for
from tests.serving import COMMAND, FUNCTIONS, Server


def _refused(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must fail before it serves; what it printed: one line and no traceback."""
    done = subprocess.run(
        [str(COMMAND), "serve", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode in (1, 2), done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_says_where_everything_is_and_what_to_try(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(COMMAND), "serve", "--port", "0", "--workers", "1"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        said = [process.stdout.readline() for _ in range(7)]
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(timeout=30) == 0
    address = said[0].split()[-1]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    assert str(tmp_path / "jobs.db") in said[2]
    assert "1 process" in said[3]
    assert said[6].split(maxsplit=1)[1].startswith(f"curl -i {address}/jobs")


def test_a_second_server_on_the_same_file_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(server.database)
    for name in (server.database, tmp_path / "link.db"):
        message = _refused("--database", str(name), cwd=tmp_path)
        assert "is in use by another server" in message
        assert str(server.process.pid) in message


def test_a_foreign_or_broken_file_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    foreign, text, newer = tmp_path / "foreign.db", tmp_path / "text.db", tmp_path / "newer.db"
    cut, damaged = tmp_path / "cut.db", tmp_path / "damaged.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE mine (value)")
    connection.close()
    text.write_text("my diary\n" * 100)
    with Server(newer) as server:
        server.stop()
    sound = newer.read_bytes()
    cut.write_bytes(sound[:5_000])
    damaged.write_bytes(sound[:4_096] + b"\xab" * (len(sound) - 4_096))
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    reasons = {foreign: "another program", text: "not a database", newer: "newer version"}
    for file, reason in {**reasons, cut: "malformed", damaged: "malformed"}.items():
        before = file.read_bytes()
        refusal = _refused("--database", str(file), cwd=tmp_path)
        assert reason in refusal and str(file) in refusal
        assert file.read_bytes() == before


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    assert "No such file or directory" in _refused("--database", str(tmp_path / "no" / "jobs.db"), cwd=tmp_path)


def test_an_address_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port}: Address already in use" in _refused("--port", port, cwd=tmp_path)
    assert "cannot listen on no.such.host.invalid" in _refused(
        "--host", "no.such.host.invalid", "--insecure", cwd=tmp_path
    )


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_be_written_as_in_a_url(tmp_path: Path, host: str) -> None:
    with Server(tmp_path / "jobs.db", "--host", host) as server:
        assert server.url.startswith("http://[::1]:")
        assert server.client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize(
    ("target", "source", "reason"),
    [
        ("missing.py", None, "there is no file missing.py"),
        ("no_such_module", None, "importing no_such_module failed: ModuleNotFoundError"),
        ("empty.py", "", "has no registry"),
        ("none.py", "from asyncjob import Jobs\njobs = Jobs()", "registers no function"),
        ("broken.py", "def f(:", "importing broken.py failed: SyntaxError"),
        ("fails.py", "1/0", "importing fails.py failed: ZeroDivisionError: division by zero ("),
        ("two.py", "from asyncjob import Jobs\na, b = Jobs(), Jobs()", "say which one, as two.py:name"),
        ("named.py:jobs", "from asyncjob import Jobs\na = Jobs()", "named.py has no registry called 'jobs'"),
        ("notes.txt", "", "'notes.txt' is neither a file that ends in .py nor the name of a module"),
        (":jobs", None, "'' is neither"),
        (
            "reserved.py",
            "from asyncjob import Jobs\njobs = Jobs()\n@jobs.job\ndef f(jobId: str): ...",
            "f: a parameter may not be called 'jobId'",
        ),
    ],
)
def test_a_target_that_cannot_be_served_is_refused(
    tmp_path: Path, target: str, source: str | None, reason: str
) -> None:
    if source is not None:
        (tmp_path / target.partition(":")[0]).write_text(source)
    assert reason in _refused(target, cwd=tmp_path)


def test_a_registry_is_named_by_file_by_module_or_by_name(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    registry = "from asyncjob import Jobs\nfrom {} import answer\nmine, other = Jobs(), Jobs()\nmine.job(answer)\n"
    (package / "answers.py").write_text("def answer() -> int:\n    return 42\n")
    (package / "jobs.py").write_text(registry.format("package.answers"))
    (tmp_path / "json.py").write_text("from asyncjob import Jobs\njobs = Jobs()\n@jobs.job\ndef answer(): return 42\n")
    for number, target in enumerate(("package.jobs:mine", str(tmp_path / "json.py"))):
        with Server(tmp_path / f"{number}.db", target=target, cwd=tmp_path) as server:
            assert server.result(server.submit("answer"))["results"] == 42


@pytest.mark.parametrize(
    ("arguments", "env", "reason"),
    [
        (["--host", "0.0.0.0"], {}, "--api-key"),
        (["--host", "::"], {}, "--api-key"),
        ([], {"ASYNCJOB_HOST": "192.0.2.1"}, "--api-key"),
        (["--keep", "forever"], {}, "30d"),
        (["--keep", "0d"], {}, "30d"),
        (["--workers", "0"], {}, "--workers"),
        (["--backoff", "inf"], {}, "--backoff"),
        (["--backoff", "nan"], {}, "--backoff must be a number from 0 to 300, not nan"),
        (["--grace", "nan"], {}, "--grace must be a number from 0 to 86,400, not nan"),
        (["--database", ":memory:"], {}, "must be a file"),
        (["--port", "65536"], {}, "--port"),
        (["--log-format", "xml"], {}, "--log-format"),
        (["--api-key", "schlüssel" * 2], {}, "ASCII"),
        (["--api-key", "fifteen-letters"], {}, "openssl rand"),
        (["--api-key", " " * 20], {}, "openssl rand"),
        (["--api-key", "a line and a half\n"], {}, "ASCII"),
        ([], {"ASYNCJOB_API_KEY": ""}, "at least 16"),
        (["--insecure", "--host", "0.0.0.0"], {"ASYNCJOB_API_KEY": ""}, "at least 16"),
        (["--allow-host", "http://jobs.example"], {}, "is not a name"),
        (["--cors-origin", "https://app.example"], {}, "--api-key"),
        (["--cors-origin", "*"], {}, "--insecure"),
        (["--insecure", "--cors-origin", "app.example"], {}, "is not an origin"),
        (["--insecure", "--cors-origin", "https://app.example/"], {}, "is not an origin"),
        (["--insecure", "--cors-origin", "null"], {}, "is not an origin"),
        (["--no-such-flag"], {}, "--no-such-flag"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, arguments: list[str], env: dict[str, str], reason: str
) -> None:
    assert reason in _refused(*arguments, cwd=tmp_path, env=env)


def test_every_setting_has_an_environment_variable_and_the_help_shows_both(tmp_path: Path) -> None:
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    parameters = [parameter for parameter in serve.params if parameter.name != "help"]
    shown = subprocess.run([str(COMMAND), "serve", "--help"], capture_output=True, text=True, check=True).stdout
    words = re.sub(r"\s+", " ", shown)
    assert len(parameters) >= 14
    for parameter in parameters:
        assert parameter.envvar == f"ASYNCJOB_{parameter.name.upper()}"
        assert parameter.envvar in words
        assert parameter.opts[0] in words or parameter.opts[0].upper() in words


def test_every_option_reaches_the_setting_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(
        target="mine.py",
        host="127.0.0.2",
        port=1,
        root_path="/work",
        database=Path("mine.db"),
        workers=999,  # no machine has as many
        concurrency=3,
        max_pending=4,
        max_scheduled=8,
        keep=5.0,
        grace=6.0,
        backoff=7.0,
        api_key="k" * 16,
        insecure=True,
        allow_host=["a.example"],
        cors_origin=["https://c.example"],
        notify_allow=["b.example"],
        notify_secret="whsec_" + "A" * 32,
        log_format=LogFormat.JSON,
        log_level=LogLevel.ERROR,
    )
    arguments = ["mine.py"]
    for field in dataclasses.fields(Settings):
        if field.name in ("path", "url"):  # of an application that asyncjob is mounted in; what the server finds out
            continue
        value = getattr(given, field.name)
        assert value != getattr(Settings(), field.name), f"{field.name} would not be seen to get lost"
        option = f"--{field.name.replace('_', '-')}"
        if field.name == "insecure":
            arguments.append(option)
        elif field.name != "target":
            text = "5s" if field.name == "keep" else str(value[0] if isinstance(value, list) else value)
            arguments += [option, text]
    served: list[Settings] = []
    monkeypatch.setattr("asyncjob.serve.serve", served.append)
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == 0, result.output
    assert served == [given]


def test_settings_are_taken_from_the_environment(tmp_path: Path) -> None:
    env = {"ASYNCJOB_API_KEY": "a secret of 20 chars", "ASYNCJOB_LOG_FORMAT": "json", "ASYNCJOB_TARGET": FUNCTIONS}
    with Server(tmp_path / "jobs.db", env=env) as server:
        assert server.client.post("/jobs", json={"type": "add", "a": 1}).status_code == 401
        server.client.headers["x-api-key"] = "a secret of 20 chars"
        assert server.result(server.submit("add", a=1))["results"] == 2
        assert all(line.startswith("{") for line in lines(server.log))


def test_with_an_api_key_nothing_is_open_but_health_the_description_and_the_page(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", "s3cret!-of-17-chars") as server:
        routes = [("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/jobs/x"), ("POST", "/jobs/x/retry"),
                  ("GET", "/nothing"), ("GET", "/events"), ("GET", "/stats"), ("POST", "/jobs/x/cancel")]  # fmt: skip
        refused: tuple[dict[str, str], ...] = (
            {},
            {"x-api-key": ""},
            {"x-api-key": "S3cret!-of-17-chars"},
            {"x-api-key": "s3cret!-of-17-charsx"},
            {"authorization": "Bearer s3cret!-of-17-charsx"},
            {"authorization": "Basic s3cret!-of-17-chars"},
        )
        asked = list(product(routes, refused))
        with ThreadPoolExecutor(len(routes)) as clients:  # the answer to a wrong key takes its time
            answers = list(clients.map(lambda each: server.client.request(*each[0], headers=each[1]), asked))
        for (_, headers), answer in zip(asked, answers, strict=True):
            assert answer.status_code == 401
            wrong = headers.get("x-api-key") or "Bearer" in headers.get("authorization", "")
            expected = 'Bearer realm="asyncjob"' + (', error="invalid_token"' if wrong else "")
            assert answer.headers["www-authenticate"] == expected
            assert list(answer.json()) == ["message"]
        assert server.client.get("/healthz").status_code in (200, 503)
        for path in ("/", "/page/app.js", "/docs", "/docs/docs.js", "/openapi.json"):
            assert server.client.get(path).status_code == 200
        for headers in (
            {"x-api-key": "s3cret!-of-17-chars"},
            {"authorization": "Bearer s3cret!-of-17-chars"},
            {"authorization": "bearer s3cret!-of-17-chars"},
            {"authorization": "Basic eA==", "x-api-key": "s3cret!-of-17-chars"},
        ):
            assert server.client.get("/jobs", headers=headers).status_code == 200
        assert "s3cret!-of-17-chars" not in server.log.read_text()


def test_another_address_is_served_with_an_api_key(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--host", "0.0.0.0", "--api-key", "k" * 16) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/jobs", headers={"x-api-key": "k" * 16}).status_code == 200


def test_the_database_is_readable_by_its_owner_alone(server: Server) -> None:
    server.submit("add", a=1)
    files = [server.database, server.database.with_name("jobs.db-wal"), server.database.with_name("jobs.db.lock")]
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3


def test_the_log_has_one_line_an_event_with_job_and_attempt_and_nothing_private(server: Server) -> None:
    job_id = server.submit("echo", value="private-parameter-and-result")
    server.result(job_id)
    wait_for(lambda: f"job_id={job_id}" in server.log.read_text(), "the line")
    (line,) = (line for line in lines(server.log) if job_id in line)
    assert re.fullmatch(rf"\S+Z INFO    job ended job_id={job_id} attempt=1 outcome=Success", line)
    job_id = server.submit("raises", message="private-message")
    server.result(job_id)
    wait_for(lambda: job_id in server.log.read_text(), "the line")
    log = server.log.read_text()
    assert f"WARNING job ended job_id={job_id} attempt=1 outcome=Failure error=LookupError\n" in log
    assert re.search(r"^ +raise LookupError\(message\)\n(?! )", log, re.MULTILINE)  # the last line of its traceback
    assert "private" not in log


def test_jobs_of_a_function_that_is_gone_wait_until_it_is_back(tmp_path: Path) -> None:
    source = "from asyncjob import Jobs\njobs = Jobs()\n@jobs.job\ndef {}(): return 1\n"
    target = tmp_path / "mine.py"
    target.write_text(source.format("old"))
    with Server(tmp_path / "jobs.db", "--grace", "0", target=str(target)) as server:
        server.stop()
        with sqlite3.connect(server.database) as connection:
            connection.execute(
                "INSERT INTO job (job_id, type, status, parameters, due_at, created_at)"
                " VALUES ('waits', 'old', 'Pending', '{}', 0, '2024-06-06T12:34:56.789Z')"
            )
        connection.close()
        target.write_text(source.format("other"))  # compiled files are told apart by the second and the size
        server.start()
        assert server.result(server.submit("other"))["status"] == "Success"
        assert server.get("waits")["status"] == "Pending"
        wait_for(lambda: "jobs wait for a function that is not registered" in server.log.read_text(), "the warning")
        server.stop()
        target.write_text(source.format("old"))
        server.start()
        assert server.result("waits")["status"] == "Success"
