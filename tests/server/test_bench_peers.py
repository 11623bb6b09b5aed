"""The comparison with other stacks: a folder is a peer, what cannot be measured is named, and nothing is left running.

No real peer is measured, since each would first be installed. The tests' peers run on our own Python instead: their
virtual environment is a script that starts it.
"""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import alive, wait_for

BENCH = Path(__file__).parent.parent.parent / "bench"
COMMAND = [sys.executable, str(BENCH / "peers.py"), "--rounds", "1", "--seconds", "0.5"]
FOLDERS = sorted(BENCH.glob("peers/*/"))
POSTGRES = [*Path("/usr/lib/postgresql").glob("*/bin/postgres"), shutil.which("postgres")]
APP = """
import itertools
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

numbers = itertools.count()

async def submit(request):
    return JSONResponse({"jobId": str(next(numbers))}, 202)

async def read(request):
    return JSONResponse({"status": "Success"})

app = Starlette(routes=[Route("/jobs", submit, methods=["POST"]), Route("/jobs/{job_id}", read)])
"""


def write_peer(peers: Path, folder: str, described: str, requirements: str = "", app: str = APP) -> None:
    """A peer's folder."""
    (peers / folder).mkdir(parents=True)
    (peers / folder / "app.py").write_text(app)
    (peers / folder / "requirements.txt").write_text(requirements)
    (peers / folder / "peer.toml").write_text(f'name = "{folder}"\npromise = "in memory"\n{described}')


def install(peers: Path, folder: str) -> None:
    """What the benchmark would install: here, our own Python."""
    commands = peers.with_name(".peers") / folder / "bin"
    commands.mkdir(parents=True)
    shutil.copy(peers / folder / "requirements.txt", commands.parent)
    (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (commands / "python").chmod(0o755)


def compared(tmp_path: Path, *arguments: str, **environment: str) -> tuple[str, dict[str, Any]]:
    """What the benchmark prints and writes."""
    written = tmp_path / "results.json"
    command = [*COMMAND, "--json", str(written), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(written.read_text())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_peer_says_what_it_promises_and_pins_what_it_needs(folder: Path) -> None:
    described = tomllib.loads((folder / "peer.toml").read_text())
    assert described["promise"] in ("in memory", "on disk", "in memory, its row on disk")
    assert "\nPromises: " in (folder / "app.py").read_text().split('"""')[1]
    for line in (folder / "requirements.txt").read_text().splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), f"{line} is no name with one version"


def test_one_more_folder_is_one_more_peer(tmp_path: Path) -> None:
    write_peer(tmp_path / "peers", "one", 'worker = ["python", "-c", "input()"]\nworkers = 2')
    install(tmp_path / "peers", "one")
    printed, results = compared(tmp_path, "--peers", str(tmp_path / "peers"))
    assert results["skipped"] == {}
    figures = {figure: list(stacks) for figure, stacks in results["figures"].items() if "?wait=" not in figure}
    assert len(figures) == 7
    assert all(names == ["ours", "one"] for names in figures.values())
    assert all(row[0] > 0 for stacks in results["figures"].values() for row in stacks.values())
    assert re.search(r"^\| one \| in memory \| [\d,]+ \| ", printed, re.MULTILINE)


@pytest.mark.skipif(not any(POSTGRES), reason="there is no PostgreSQL on this machine")
def test_postgres_does_not_run_as_root_and_ends_with_the_benchmark() -> None:
    program = "with services.postgres() as (url, pid): print(url, pid, flush=True); input()"
    command = [sys.executable, "-c", f"import services\n{program}"]
    with subprocess.Popen(command, cwd=BENCH, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runner:
        assert runner.stdin is not None and runner.stdout is not None
        url, postmaster = runner.stdout.readline().split()
        started = descendants(runner.pid)
        assert int(postmaster) in started and len(started) > 1
        assert os.stat(f"/proc/{postmaster}").st_uid != 0
        folder = Path(url.partition("?host=")[2])
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        runner.stdin.close()
    assert runner.returncode != 0  # its input has ended, as if it had been interrupted
    assert not any(alive(pid) for pid in started)
    assert not folder.exists()


def test_what_cannot_be_installed_or_started_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    peers = tmp_path / "peers"
    write_peer(peers, "missing", "", requirements="./missing.whl")
    write_peer(peers, "broken", "", app="raise RuntimeError('it is broken')")
    write_peer(peers, "wrong", "", app=APP.replace("202", "503"))
    write_peer(peers, "well", "")
    for folder in ("broken", "well", "wrong"):
        install(peers, folder)
    printed, results = compared(tmp_path, "--peers", str(peers))
    for folder, why in (("missing", "missing.whl"), ("broken", "it is broken"), ("wrong", "503")):
        assert why in results["skipped"][folder]
        assert f"{folder}: skipped, {results['skipped'][folder]}" in printed.splitlines()
    assert all(set(stacks) <= {"ours", "well"} for stacks in results["figures"].values())
    assert results["figures"]["GETs/s, 64 connections"]["well"][0] > 0


def test_a_peer_whose_service_is_not_installed_is_skipped_by_name(tmp_path: Path) -> None:
    arguments = ("--peer", "celery_redis", "--peer", "taskiq_redis")
    printed, results = compared(tmp_path, *arguments, PATH=str(tmp_path))
    assert list(results["skipped"]) == ["Celery+Redis", "taskiq+Redis"]
    for name in results["skipped"]:
        assert f"{name}: skipped, there is no redis-server on this machine" in printed.splitlines()
    assert all(list(stacks) == ["ours"] and stacks["ours"][0] > 0 for stacks in results["figures"].values())


def test_ctrl_c_leaves_no_process_of_a_stack(tmp_path: Path) -> None:
    command = [*COMMAND, "--peer", "celery_redis"]
    environment = os.environ | {"PATH": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as runner:
        wait_for(lambda: len(descendants(runner.pid)) >= 3, "the server and its workers")
        started = descendants(runner.pid)
        runner.send_signal(signal.SIGINT)
        runner.communicate(timeout=60)
        assert not any(alive(pid) for pid in started)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [further for child in children for further in descendants(child)]
