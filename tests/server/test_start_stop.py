"""How the server's process begins and ends: what it was started with, and what the user's module does to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.server.conftest import lines, wait_for
from tests.serving import COMMAND, Server

SOURCE = """
import os, subprocess, sys, threading, time
from pathlib import Path
from asyncjob import Jobs
jobs = Jobs()
{}
@jobs.job
def said(text: str) -> str:
    print(text)
    os.system("echo " + text)
    return os.getcwd()
"""
ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


@contextmanager
def _serving(
    folder: Path, *, module: str = "", target: str = "mine.py", before: str = "", out: "IO[bytes] | int | None" = None
) -> "Iterator[subprocess.Popen[bytes]]":
    """A server that a shell starts; with `before`, that is in front of it. Its log is in server.log."""
    (folder / "mine.py").write_text(SOURCE.format(module))
    command = f'{before} exec "$0" serve {target} --port 0 --workers 1 --grace 0 --database jobs.db'
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            ["bash", "-c", command, str(COMMAND)], cwd=folder, env=ENV, stdout=out, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _url(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """Where it listens, by what the system knows of it: it may not have been able to say so."""
    wait_for(lambda: "worker ready" in (folder / "server.log").read_text() or process.poll() is not None, "a worker")
    inodes = {os.readlink(file) for file in Path(f"/proc/{process.pid}/fd").iterdir() if file.is_symlink()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            return f"http://127.0.0.1:{int(fields[1].partition(':')[2], 16)}"
    raise AssertionError((folder / "server.log").read_text())


def _result(url: str, text: str) -> str:
    job_id = httpx.post(f"{url}/jobs", json={"text": text}).json()["jobId"]
    job = httpx.get(f"{url}/jobs/{job_id}?wait=60", timeout=70).json()
    assert job["status"] == "Success", job
    return str(job["results"])


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full"])
def test_a_server_that_is_started_without_standard_streams_serves_and_stops(tmp_path: Path, redirection: str) -> None:
    with _serving(tmp_path, before=f"exec {redirection};") as process:
        if "2>" in redirection:
            ready = lambda: (tmp_path / "jobs.db-wal").exists() and _workers(process.pid)  # noqa: E731
            wait_for(ready, "the server")
            (tmp_path / "server.log").write_text("worker ready")
        url = _url(tmp_path, process)
        for descriptor in (0, 1, 2):
            assert "/dev/" in os.readlink(f"/proc/{process.pid}/fd/{descriptor}") or descriptor > 0
        assert not any(_is_ours(process.pid, descriptor) for descriptor in (0, 1, 2))
        for number in range(3):
            assert _result(url, str(number)) == str(tmp_path)
        process.terminate()
        assert process.wait(timeout=60) == 0


def _workers(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _is_ours(pid: int, descriptor: int) -> bool:
    led = os.readlink(f"/proc/{pid}/fd/{descriptor}")
    return led.startswith("socket:") or "jobs.db" in led


def test_a_reader_of_its_output_that_has_gone_ends_neither_the_server_nor_a_job(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with _serving(tmp_path, out=theirs) as process:
        os.close(theirs)
        assert _result(_url(tmp_path, process), "hello") == str(tmp_path)
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("target", ["mine.py", "mine", "package.mine:jobs"])
def test_a_module_that_changes_the_folder_moves_neither_the_database_nor_itself(tmp_path: Path, target: str) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "mine.py").write_text(SOURCE.format("os.chdir('/')"))
    with _serving(tmp_path, module="os.chdir('/')", target=target) as process:
        assert _result(_url(tmp_path, process), "hello") == "/"
        assert (tmp_path / "jobs.db").exists()
        process.terminate()
        assert process.wait(timeout=60) == 0


def test_a_folder_that_is_gone_is_one_clear_line(tmp_path: Path) -> None:
    command = f'mkdir "{tmp_path}/gone" && cd "{tmp_path}/gone" && rmdir ../gone && exec "$@"'
    for arguments in (["serve"], ["serve", "mine.py"], ["openapi", "mine"]):
        run = ["bash", "-c", command, "bash", str(COMMAND), *arguments]
        done = subprocess.run(run, capture_output=True, text=True, env=ENV)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "asyncjob: the current folder is not there any more: change to one that is\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_import_ends_the_server_cleanly(tmp_path: Path, signum: signal.Signals) -> None:
    module = "Path('importing').touch()\ntry: time.sleep(1000)\nexcept BaseException: pass\ntime.sleep(1000)"
    with _serving(tmp_path, module=module) as process:
        wait_for((tmp_path / "importing").exists, "the import")
        process.send_signal(signum)
        assert process.wait(timeout=60) == 0
        assert "stopped before the start was complete" in (tmp_path / "server.log").read_text()


def test_a_closed_terminal_stops_the_server_and_puts_its_jobs_back(tmp_path: Path) -> None:
    with _serving(tmp_path) as process:
        _result(_url(tmp_path, process), "hello")
        os.killpg(process.pid, signal.SIGHUP)  # the workers get it too, as from a terminal
        assert process.wait(timeout=60) == 0
        assert lines(tmp_path / "server.log")[-1].endswith("INFO    stopped")


def test_a_server_that_was_started_with_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    with _serving(tmp_path, before="trap '' HUP;") as process:
        url = _url(tmp_path, process)
        os.killpg(process.pid, signal.SIGHUP)
        assert _result(url, "hello") == str(tmp_path)
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    "module",
    [
        "threading.Thread(target=lambda: time.sleep(10_000)).start()",
        "import atexit; atexit.register(lambda: time.sleep(10_000))",
        "import atexit; atexit.register(lambda: os.kill(os.getpid(), 9) if False else sys.exit(7))",
    ],
)
def test_nothing_of_the_users_module_keeps_a_process_that_is_done_or_changes_its_status(
    tmp_path: Path, module: str
) -> None:
    with _serving(tmp_path, module=module) as process:
        _result(_url(tmp_path, process), "hello")
        process.terminate()
        assert process.wait(timeout=60) == 0
        assert "stopped" in (tmp_path / "server.log").read_text()
    done = subprocess.run([str(COMMAND), "openapi", "mine.py"], cwd=tmp_path, env=ENV, capture_output=True, timeout=60)
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    "command", [["serve"], ["openapi"], ["check", "--url", "http://127.0.0.1:9"], ["build", "--out", "out"]]
)
def test_an_import_that_exits_is_no_success_of_any_command(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "exits.py").write_text("raise SystemExit(0)")
    first, *more = command
    run = [sys.executable, "-m", "asyncjob", first, "exits.py", *more]
    done = subprocess.run(run, cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2)
    assert "importing exits.py failed: it called sys.exit(0)" in done.stdout + done.stderr


def test_a_module_command_takes_nothing_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("typer.py", "tomllib.py", "httpx.py"):
        (tmp_path / name).write_text("raise ImportError('not mine')")
    run = [sys.executable, "-m", "asyncjob", "--version"]
    assert subprocess.run(run, cwd=tmp_path, env=ENV, capture_output=True, timeout=60).returncode == 0


def test_a_second_server_is_told_apart_from_the_first(server: Server, tmp_path: Path) -> None:
    os.link(server.database, tmp_path / "another.db")
    run = [str(COMMAND), "serve", "--port", "0", "--database", "another.db"]
    done = subprocess.run(run, cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "is in use by another server (under another name, a hard link)" in done.stderr
