"""The local engine beside what people would otherwise build for the same contract: a table with ratios, and JSON.

Each peer is one small folder in bench/peers/: an application and its pinned requirements, installed once into
bench/.peers/. In every round every stack is started afresh, one after another, and driven by the same clients over
loopback: one HTTP process and two worker processes each, new files, defaults. Redis is a process of its own, started
here. What a 202 promises differs from stack to stack; each application says so in its first lines.

    python bench/peers.py [--rounds 3] [--seconds 5] [--json bench/results-peers.json] [--peer FOLDER ...]
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from load import generator

from bench import (
    JOBS,
    JSON,
    LATENCY,
    NO_OP,
    SUBMISSIONS,
    Ask,
    Figures,
    Served,
    driven,
    listening,
    running,
    served,
    submit_to_done,
)

HERE = Path(__file__).parent
INSTALLED = HERE / ".peers"
OURS = "ours"
HELD = "the same, GET held by ?wait=, ms"
LAST_JOBS = 20
START_SECONDS = 30


class Peer(NamedTuple):
    """A stack: its folder, its name, how its workers are started, and whether it needs Redis."""

    folder: str
    name: str
    worker: tuple[str, ...] = ()
    redis: bool = False


CELERY = Peer("celery_redis", "Celery+Redis", ("celery", "--app", "app.celery", "worker", "--concurrency", "2"), True)
PEERS = (
    CELERY,
    Peer(
        "taskiq_redis",
        "taskiq+Redis",
        ("taskiq", "worker", "app:broker", "--workers", "2", "--log-level", "WARNING"),
        True,
    ),
    Peer(
        "huey_sqlite", "Huey+SQLite", ("huey_consumer", "app.huey", "--workers", "2", "--worker-type", "process", "-q")
    ),
    Peer("background_tasks", "BackgroundTasks"),
)
ASKED = {SUBMISSIONS: 10.0, JOBS: 10.0, LATENCY: 2.0}  # how many times better than Celery we must be

Stack = Callable[[], AbstractContextManager[Served]]
Values = dict[str, dict[str, list[float]]]


def installed(peer: Peer) -> Path:
    """The folder with the commands of a peer's own virtual environment, which is made if missing or outdated."""
    environment, stamp = INSTALLED / peer.folder, INSTALLED / peer.folder / "requirements.txt"
    requirements = HERE / "peers" / peer.folder / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"installing {peer.name} into {environment}: a minute, once", file=sys.stderr)
        venv.create(environment, clear=True, with_pip=True)
        pip = [str(environment / "bin" / "pip"), "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, "--requirement", str(requirements)], check=True)
        shutil.copy(requirements, stamp)
    return environment / "bin"


@contextmanager
def redis(folder: str) -> Iterator[str]:
    """A Redis server with its default configuration, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder]
    with running(command, folder):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def peer_served(peer: Peer, commands: Path) -> Iterator[Served]:
    """A peer on new files: its HTTP server and its address, its workers, its Redis."""
    variables = {"PYTHONPATH": str(HERE / "peers" / peer.folder)}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if peer.redis:
            variables["REDIS_URL"] = stack.enter_context(redis(folder))
        server = stack.enter_context(listening(str(commands / "python"), "app:app", folder, variables))
        if peer.worker:
            stack.enter_context(running([str(commands / peer.worker[0]), *peer.worker[1:]], folder, variables))
        yield server


@contextmanager
def asking(url: str) -> Iterator[Ask]:
    """One client that adds as little latency as it can: httpx would take longer than some of the servers."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:

        def ask(path: str, body: str | None = None) -> Any:
            connection.request("GET" if body is None else "POST", path, body, JSON)
            answer = connection.getresponse()
            said = answer.read()
            assert 200 <= answer.status < 300, said
            return json.loads(said)

        yield ask


def wait_for_last(url: str) -> None:
    """Submit a few more jobs and wait for their outcomes: all of these stacks take the oldest job first."""
    with asking(url) as ask:  # a connection of its own: uvicorn closes one that has been idle for 5 seconds
        for job_id in [ask("/jobs", NO_OP)["jobId"] for _ in range(LAST_JOBS)]:
            while ask(f"/jobs/{job_id}")["status"] != "Success":
                time.sleep(0.005)


def figures(name: str, stack: Stack, seconds: float) -> Figures:
    """All figures of one stack, started afresh."""
    with stack() as (url, _), asking(url) as ask:
        wait_for_last(url)  # by then all workers have started
        idle = {LATENCY: submit_to_done(ask)}
        if name == OURS:
            idle[HELD] = submit_to_done(ask, "?wait=10")
        return driven(ask, url, seconds, partial(wait_for_last, url)) | idle


def measure(stacks: Mapping[str, Stack], rounds: int, seconds: float) -> Values:
    """The figures of all rounds, interleaved: by figure and stack."""
    values: Values = {}
    for number in range(rounds):
        for name, stack in stacks.items():
            for figure, value in figures(name, stack, seconds).items():
                values.setdefault(figure, {}).setdefault(name, []).append(value)
                print(f"round {number + 1} of {rounds}: {name}: {figure}: {value:,.1f}", file=sys.stderr)
    return values


def better(figure: str, ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times better our median is: a higher rate, or a shorter time."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    return 1 / ratio if figure.endswith(", ms") else ratio


def table(values: Values, names: Sequence[str]) -> str:
    """The medians of all stacks, then how many times better ours are."""
    head = "".join(f"{name:>17}" for name in names)
    lines = [f"{'median':<41}{head}"]
    for figure, stacks in values.items():
        cells = [f"{statistics.median(stacks[name]):,.1f}" if name in stacks else "-" for name in names]
        lines.append(f"{figure:<41}" + "".join(f"{cell:>17}" for cell in cells))
    lines += ["", f"{'ours is so many times better':<41}{head}"]
    for figure, stacks in values.items():
        cells = [f"{better(figure, stacks[OURS], stacks[name]):,.2f}" if name in stacks else "-" for name in names]
        lines.append(f"{figure:<41}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def asked(values: Values) -> Iterator[str]:
    """What we must reach against Celery, and whether this run does."""
    for figure, times in ASKED.items():
        ratio = better(figure, values[figure][OURS], values[figure][CELERY.name])
        yield f"{figure}: {times:g} times {CELERY.name} asked, {ratio:.2f} {'reached' if ratio >= times else 'MISSED'}"


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path, default=HERE / "results-peers.json")
    folders = [peer.folder for peer in PEERS]
    parser.add_argument("--peer", action="append", choices=folders, help="only this one; may be repeated")
    return parser.parse_args()


def main() -> None:
    """Measure every stack that can be started here, print the table, and name those that could not."""
    given = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave nothing running, as after Ctrl-C
    peers = [peer for peer in PEERS if peer.folder in (given.peer or [peer.folder])]
    skipped = [peer.name for peer in peers if peer.redis and not shutil.which("redis-server")]
    for name in skipped:
        print(f"{name} is skipped: there is no redis-server on the PATH", file=sys.stderr)
    stacks: dict[str, Stack] = {OURS: served}
    stacks |= {peer.name: partial(peer_served, peer, installed(peer)) for peer in peers if peer.name not in skipped}
    values = measure(stacks, given.rounds, given.seconds)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load by {generator()}, {given.rounds} rounds\n")
    print(table(values, list(stacks)))
    print("".join(f"\n{name}: skipped, there is no redis-server on the PATH" for name in skipped))
    if CELERY.name in stacks:
        print("\n".join(asked(values)))
    given.json.write_text(json.dumps({"skipped": skipped, "figures": values}, indent=2) + "\n")


if __name__ == "__main__":
    main()
