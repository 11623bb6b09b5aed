"""`asyncjob check`: what it finds sound and what not, in a server, a database and a file of functions."""

import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.client.conftest import Run
from tests.server.conftest import wait_for
from tests.serving import FUNCTIONS, Server


def _checked(done: subprocess.CompletedProcess[str]) -> dict[str, bool]:
    return {finding["part"]: finding["sound"] for finding in map(json.loads, done.stdout.splitlines())}


def test_check_finds_all_sound_while_the_server_runs_and_after(run: Run, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        wait_for(lambda: server.client.get("/healthz").status_code == 200, "a worker")
        server.result(server.submit("add", a=1))
        parts = ("check", FUNCTIONS, "--database", str(server.database), "--url", server.url)
        assert "whole: 1 jobs" in run(*parts).stdout
        assert _checked(run(*parts, "--json")) == {
            "server": True,
            "contract": True,
            "functions": True,
            "database": True,
        }
        assert server.result(server.submit("add", a=1))["results"] == 2
        server.stop()
        assert _checked(run(*parts, "--json", status=3)) == {"server": False, "functions": True, "database": True}


def test_check_tries_the_contract_with_a_job_that_is_named_and_only_looks_if_told_to(run: Run) -> None:
    lines = [
        json.loads(line) for line in run("check", "--job", '{"type": "add", "a": 1}', "--json").stdout.splitlines()
    ]
    assert len(lines) > 10
    assert {line["part"] for line in lines} == {"server", "contract"}
    assert all(line["sound"] for line in lines)
    assert [line for line in lines if line.get("absent")] == [lines[6]]
    assert (
        "It ends in Success, with its results and times: it is Failure"
        in run("check", "--job", '{"type": "raises", "message": "no"}', status=1).stdout
    )
    assert "the job was not accepted" in run("check", "--job", '{"type": "raises"}', status=1).stdout
    assert _checked(run("check", "--look", "--json")) == {"server": True}
    assert "--job is not a JSON object" in run("check", "--job", "[1]", status=2).stderr


def test_check_finds_what_is_not_sound(run: Run, tmp_path: Path, served: Server) -> None:
    wait_for(lambda: served.client.get("/healthz").status_code == 200, "a worker")
    broken = tmp_path / "broken.py"
    broken.write_text("1/0")
    assert "ZeroDivisionError" in run("check", str(broken), status=1).stdout
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        for _ in range(200):
            server.submit("echo", value="x" * 1_000)
        server.stop()
    file = tmp_path / "jobs.db"
    damaged, foreign = tmp_path / "damaged.db", tmp_path / "foreign.db"
    sound = file.read_bytes()
    damaged.write_bytes(sound[: len(sound) // 2] + b"\xab" * 8_192 + sound[len(sound) // 2 + 8_192 :])
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE mine (value)")
    connection.close()
    for name, said in [(damaged, "damaged"), (foreign, "no database of this program"), (tmp_path / "no", "cannot be")]:
        assert said in run("check", "--database", str(name), status=1).stdout
    assert _checked(run("check", str(broken), "--url", "http://127.0.0.1:9", "--json", status=1)) == {
        "server": False,
        "functions": False,
    }


class Stranger(BaseHTTPRequestHandler):
    """A web server of somebody else: every page is not found."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be said on standard error."""

    def do_GET(self) -> None:
        self.send_error(404)


@pytest.fixture
def stranger() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_check_tells_somebody_elses_server_and_a_missing_key(run: Run, stranger: str, tmp_path: Path) -> None:
    assert "it is not a job API" in run("check", "--url", stranger, status=1).stdout
    with Server(tmp_path / "jobs.db", "--api-key", "k" * 16) as server:
        wait_for(lambda: server.client.get("/healthz").status_code == 200, "a worker")
        assert "Unauthorized" in run("check", "--url", server.url, status=1).stdout
        run("check", "--url", server.url, "--api-key", "k" * 16)
