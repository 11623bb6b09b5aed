"""`asyncjob serve --reload`: a changed file is served, and nothing is lost on the way."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import lines, wait_for
from tests.serving import COMMAND, Server

SOURCE = """
import time
from asyncjob import JobContext, Jobs
import near
jobs = Jobs()

@jobs.job
def version() -> int:
    return {version} + near.MORE

@jobs.job
def first_waits(context: JobContext, started: str) -> int:
    if {version} == 1:
        with open(started, "a") as file:
            file.write("started\\n")
        while True:
            context.progress(0.5)
            time.sleep(0.05)
    return {version}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "near.py").write_text("MORE = 0\n")
    (tmp_path / "mine.py").write_text(SOURCE.format(version=1))
    return tmp_path / "mine.py"


@pytest.fixture
def server(mine: Path) -> Iterator[Server]:
    options = ("--reload", "--workers", "1", "--grace", "0")
    with Server(mine.parent / "jobs.db", *options, target="mine.py", output=mine.parent / "out.txt") as server:
        wait_for(lambda: "worker ready" in server.log.read_text(), "a worker, which has read the file too")
        yield server


def _starts(server: Server) -> int:
    return (server.database.parent / "out.txt").read_text().count("Async Job API on ")


def _replace(file: Path, text: str) -> None:
    """As an editor does it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


def test_a_changed_file_is_served_on_the_same_port(server: Server, mine: Path) -> None:
    assert server.result(server.submit("version"))["results"] == 1
    _replace(mine, SOURCE.format(version=2))
    wait_for(lambda: _starts(server) == 2, "the second server")
    assert server.result(server.submit("version"))["results"] == 2
    assert "mine.py has changed: the server starts again" in server.log.read_text()
    (mine.parent / "near.py").write_text("MORE = 10\n")
    wait_for(lambda: _starts(server) == 3, "the third server")
    assert server.result(server.submit("version"))["results"] == 12
    assert server.stop() == 0


def test_a_job_that_ran_runs_again_on_the_new_code(server: Server, mine: Path) -> None:
    started = mine.parent / "started"
    job_id = server.submit("first_waits", started=str(started))
    wait_for(lambda: lines(started), "the job")
    mine.write_text(SOURCE.format(version=2))
    wait_for(lambda: _starts(server) == 2, "the second server")
    job = server.result(job_id)
    assert (job["results"], job["attempt"]) == (2, 2)


@pytest.mark.parametrize("text", ["jobs = = 1", "import nowhere", "jobs = 1", ""])
def test_a_file_that_cannot_be_served_is_told_and_the_next_change_is_served(
    server: Server, mine: Path, text: str
) -> None:
    mine.write_text(text)
    wait_for(lambda: "the server starts again when a file changes" in server.log.read_text(), "the fault")
    assert "mine.py" in server.log.read_text().splitlines()[-2]
    assert "Traceback" not in server.log.read_text()
    mine.write_text(SOURCE.format(version=3))
    wait_for(lambda: _starts(server) == 2, "the second server")
    assert server.result(server.submit("version"))["results"] == 3


def test_a_server_that_waits_for_a_change_stops_as_it_is_told(server: Server, mine: Path) -> None:
    mine.write_text("jobs = = 1")
    wait_for(lambda: "the server starts again when a file changes" in server.log.read_text(), "the fault")
    assert server.stop() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_server_and_then_what_starts_it(server: Server, signum: signal.Signals) -> None:
    assert server.stop(signum) == 0
    assert server.log.read_text().count("stopping") == 1


def test_a_server_ends_when_what_starts_it_is_killed(server: Server) -> None:
    server.process.kill()
    server.process.wait()
    wait_for(lambda: server.log.read_text().rstrip().endswith("stopped"), "the end")


def test_a_server_that_is_killed_is_not_waited_for(server: Server) -> None:
    (child,) = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    assert server.process.wait(timeout=60) == 128 + signal.SIGKILL
    assert "the server was killed by SIGKILL" in server.log.read_text()


def test_a_listener_to_events_holds_no_change_up(server: Server, mine: Path) -> None:
    with server.client.stream("GET", "/events") as stream:
        mine.write_text(SOURCE.format(version=2))
        wait_for(lambda: _starts(server) == 2, "the second server")
        stream.read()  # which ends with the first server
    assert server.result(server.submit("version"))["results"] == 2


def test_a_fault_that_no_change_of_a_file_removes_ends_it(server: Server, mine: Path) -> None:
    def second(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), "serve", "--reload", "--port", "0", *arguments]
        return subprocess.run(command, cwd=mine.parent, env=os.environ, capture_output=True, text=True, timeout=60)

    done = second("mine.py", "--database", str(server.database))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "--reload needs job functions" in second().stderr
    port = server.url.rpartition(":")[2]
    assert "cannot listen on" in second("mine.py", "--port", port).stderr
