"""The benchmark's own load generator, which is there for machines without wrk; overload and soak, for some seconds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import Server

ROOT = Path(__file__).parent.parent.parent
LOAD = ROOT / "bench" / "load.py"


def test_the_bundled_generator_sends_what_it_is_asked_to(server: Server) -> None:
    command = [sys.executable, str(LOAD), f"{server.url}/jobs", "--connections", "5", "--requests", "50"]
    body = '{"type": "add", "a": 1}'
    done = subprocess.run([*command, "--body", body], capture_output=True, text=True, timeout=60, check=True)
    answered, refused, seconds, p50, p99 = json.loads(done.stdout)
    assert (answered, refused) == (50, 0)
    assert 0 < p50 <= p99 <= seconds * 1000
    assert len(server.client.get("/jobs?limit=1000").json()["jobs"]) == 50


def test_the_benchmark_says_what_share_of_a_bare_handler_each_figure_is(tmp_path: Path) -> None:
    parts = ["bare", "start", "memory", "throughput"]
    command = [sys.executable, "bench/bench.py", "--rounds", "1", "--seconds", "1", "--json", str(tmp_path / "figures")]
    done = subprocess.run([*command, "--only", *parts], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    figures = {name: values[0] for name, values in json.loads((tmp_path / "figures").read_text()).items()}
    assert all(value > 0 for value in figures.values())
    assert figures["processor time a job, all processes, us"] > figures["processor time a job, server process, us"]
    share = figures["submissions/s, 64 connections"] / figures["bare ASGI handler, POSTs/s"]
    assert f"{share:.2f}" in done.stdout.partition("as a share of the bare handler")[2].splitlines()[1]


def test_the_benchmark_of_claims_has_a_figure_for_each_kind_of_waiting() -> None:
    command = [
        sys.executable,
        "bench/claims.py",
        *["--rounds", "2", "--jobs", "5", "--scheduled", "300", "--behind", "200"],
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    figures = dict(re.findall(r"^(.*?) +([0-9.]+) us$", done.stdout, re.MULTILINE))
    assert len(figures) == 9 and all(float(value) > 0 for value in figures.values())
    assert "a plain job; 300 wait for their time" in figures


@pytest.mark.parametrize("command", ["bench/overload.py --seconds 2", "-m bench.soak --minutes 0.06"])
def test_overload_and_soak_find_every_promise_kept_that_is_not_about_time(command: str) -> None:
    done = subprocess.run([sys.executable, *command.split(), "--untimed"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
