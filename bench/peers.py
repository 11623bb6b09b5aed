"""The local engine beside what people would otherwise build for the same contract: a table with ratios, and JSON.

Each peer is a folder in bench/peers/, and one more folder is one more peer:

    app.py            the contract on that stack; its first lines say what its 202 promises
    requirements.txt  pinned; installed once into a virtual environment of its own, bench/.peers/FOLDER
    peer.toml         how it is started: the fields of `Peer`

In every round every stack is started afresh, one after another, and driven by the same clients over loopback: one HTTP
process and two worker processes each, unless its first lines say otherwise, new files, defaults. Redis and PostgreSQL
are processes of their own, started here (services.py). What cannot be installed or started is named, and left out.

    python bench/peers.py [--rounds 3] [--seconds 5] [--json bench/results-peers.json] [--peer FOLDER ...]
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from load import generator
from services import SERVICES, accepts, free_port, last_line, wait_until

from bench import (
    JOBS,
    JSON,
    LATENCY,
    NO_OP,
    SUBMISSIONS,
    Ask,
    Figures,
    driven,
    listening,
    proportional_memory,
    running,
    served,
    submit_to_done,
)

HERE = Path(__file__).parent
OURS = "ours"
HELD = "the same, GET held by ?wait=, ms"
MEMORY = "memory when idle, all processes, MB"
ENDED = ("Success", "Failure")  # SAQ gives some jobs up after a burst
LAST_JOBS = 20
END_SECONDS = 180
COLUMNS = {
    SUBMISSIONS: "submissions/s",
    "submission p99, ms": "p99, ms",
    JOBS: "no-op jobs/s",
    "GETs/s, 64 connections": "GETs/s",
    LATENCY: "submit to done, ms",
    MEMORY: "memory, MB",
}
ASKED = (  # how many times better than a peer we must be
    (SUBMISSIONS, "Celery+Redis", 10.0),
    (JOBS, "Celery+Redis", 10.0),
    (LATENCY, "Celery+Redis", 2.0),
    (LATENCY, "SAQ+Redis", 1 / 0.75),
)

Running = tuple[str, list[int]]  # where a stack listens, and its processes
Stack = Callable[[], AbstractContextManager[Running]]
Values = dict[str, dict[str, list[float]]]


class Peer(NamedTuple):
    """A stack: what its folder says about it.

    Attributes:
        name: what tables and docs call it.
        promise: what has become of a job when its 202 leaves: `in memory`, `on disk`, or `in memory, its row on disk`.
        service: one of `SERVICES`, which it needs.
        server: the command of its HTTP server, with `{port}` in it; None for `app:app` on uvicorn.
        worker: the command of its workers, if they are processes of their own.
        workers: how often to run that command.
        variables: more of its environment.
    """

    folder: Path
    name: str
    promise: str
    service: str | None = None
    server: Sequence[str] | None = None
    worker: Sequence[str] = ()
    workers: int = 1
    variables: Mapping[str, str] = {}

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The peer in a folder."""
        return cls(folder, **tomllib.loads((folder / "peer.toml").read_text()))


class Unavailable(Exception):
    """A peer cannot be measured here; the message says why, in one line."""


def available(peer: Peer) -> Stack:
    """How to start a peer, once everything that it needs is there.

    Raises:
        Unavailable: something is not, and cannot be installed.
    """
    if peer.service is not None and SERVICES[peer.service].found() is None:
        raise Unavailable(f"there is no {SERVICES[peer.service].program} on this machine")
    return partial(peer_served, peer, installed(peer))


def installed(peer: Peer) -> Path:
    """The folder with the commands of a peer's own virtual environment, which is made if missing or outdated.

    Raises:
        Unavailable: its requirements cannot be installed.
    """
    environment = peer.folder.parent.with_name(".peers") / peer.folder.name
    requirements, stamp = peer.folder / "requirements.txt", environment / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"installing {peer.name} into {environment}: a minute, once", file=sys.stderr)
        venv.create(environment, clear=True, with_pip=True)
        pip = [str(environment / "bin" / "pip"), "--disable-pip-version-check", "--quiet", "install"]
        done = subprocess.run([*pip, "--requirement", str(requirements)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"cannot be installed: {last_line(done.stderr)}")
        shutil.copy(requirements, stamp)
    return environment / "bin"


@contextmanager
def peer_served(peer: Peer, commands: Path) -> Iterator[Running]:
    """A peer on new files: its service, its HTTP server, its workers.

    Raises:
        Unavailable: it could not be started, or answered something else than the contract asks.
    """
    variables = {"PYTHONPATH": str(peer.folder), **peer.variables}
    with ExitStack() as stack:
        folder, pids = stack.enter_context(tempfile.TemporaryDirectory()), []
        try:
            if peer.service is not None:
                service = SERVICES[peer.service]
                variables[service.variable], pid = stack.enter_context(service.start())
                pids.append(pid)
            url, pid = stack.enter_context(http_served(peer, commands, folder, variables))
            pids.append(pid)
            for _ in range(peer.workers if peer.worker else 0):
                worker = [str(commands / peer.worker[0]), *peer.worker[1:]]
                pids.append(stack.enter_context(running(worker, folder, variables)).pid)
            yield url, pids
        except Exception as error:
            log = Path(folder, "log")
            said = f"; its last words: {last_line(log.read_text(errors='replace'))}" if log.exists() else ""
            raise Unavailable(f"{type(error).__name__}: {last_line(str(error))}{said}") from error


@contextmanager
def http_served(peer: Peer, commands: Path, folder: str, variables: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The HTTP server of a peer, once it answers: its address and its process."""
    with ExitStack() as stack:
        if peer.server is None:
            python = str(commands / "python")
            url, process = stack.enter_context(listening(python, "app:app", folder, variables))
        else:
            port = free_port()
            command = [part.format(port=port) for part in peer.server]
            process = stack.enter_context(running([str(commands / command[0]), *command[1:]], folder, variables))
            wait_until(lambda: accepts(port), peer.name)
            url = f"http://127.0.0.1:{port}"
        with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
            connection.request("GET", "/")
            connection.getresponse()
        yield url, process.pid


@contextmanager
def ours() -> Iterator[Running]:
    """`asyncjob serve` with every default."""
    with served() as (url, process):
        yield url, [process.pid]


@contextmanager
def asking(url: str) -> Iterator[Ask]:
    """One client that adds as little latency as it can: httpx would take longer than some of the servers."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:

        def ask(path: str, body: str | None = None) -> Any:
            connection.request("GET" if body is None else "POST", path, body, JSON)
            answer = connection.getresponse()
            said = answer.read()
            assert 200 <= answer.status < 300, f"{path} was answered {answer.status} {said.decode(errors='replace')}"
            return json.loads(said)

        yield ask


def wait_for_last(url: str) -> None:
    """Submit a few more jobs and wait for their outcomes: all of these stacks take the oldest job first."""
    deadline = time.monotonic() + END_SECONDS
    with asking(url) as ask:  # a connection of its own: uvicorn closes one that has been idle for 5 seconds
        for job_id in [ask("/jobs", NO_OP)["jobId"] for _ in range(LAST_JOBS)]:
            while (status := ask(f"/jobs/{job_id}")["status"]) not in ENDED:
                assert time.monotonic() < deadline, f"a job was {status} after {END_SECONDS} seconds"
                time.sleep(0.005)


def figures(name: str, stack: Stack, seconds: float) -> Figures:
    """All figures of one stack, started afresh."""
    with stack() as (url, pids), asking(url) as ask:
        wait_for_last(url)  # by then all workers have started
        time.sleep(1)
        idle = {MEMORY: proportional_memory(*pids), LATENCY: submit_to_done(ask)}
        if name == OURS:
            idle[HELD] = submit_to_done(ask, "?wait=10")
        return driven(ask, url, seconds, partial(wait_for_last, url)) | idle


def measure(stacks: Mapping[str, Stack], rounds: int, seconds: float) -> tuple[Values, dict[str, str]]:
    """The figures of all rounds, interleaved, by figure and stack; and why some peers have none."""
    values: Values = {}
    failed: dict[str, str] = {}
    for number in range(rounds):
        for name in [name for name in stacks if name not in failed]:
            try:
                measured = figures(name, stacks[name], seconds)
            except Unavailable as error:
                failed[name] = str(error)
                print(f"round {number + 1} of {rounds}: {name} is left out: {error}", file=sys.stderr)
                continue
            for figure, value in measured.items():
                values.setdefault(figure, {}).setdefault(name, []).append(value)
                print(f"round {number + 1} of {rounds}: {name}: {figure}: {value:,.1f}", file=sys.stderr)
    whole = {figure: {name: row for name, row in of.items() if name not in failed} for figure, of in values.items()}
    return whole, failed


def better(figure: str, ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times better our median is: a higher rate, or less time or memory."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    return 1 / ratio if figure.endswith((", ms", ", MB")) else ratio


def table(values: Values, promises: Mapping[str, str]) -> str:
    """The medians of all stacks, then how many times better ours are: as docs/performance.md shows them."""
    columns, rule = " | ".join(COLUMNS.values()), "--:|" * len(COLUMNS)
    lines = [f"| median | a job at its 202 is | {columns} |", f"|---|---|{rule}"]
    for name, promise in promises.items():
        medians = {figure: statistics.median(values[figure][name]) for figure in COLUMNS}
        cells = [f"{value:,.1f}" if figure == LATENCY else f"{value:,.0f}" for figure, value in medians.items()]
        lines.append("| " + " | ".join([name, promise, *cells]) + " |")
    lines += ["", f"| ours is so many times better | {columns} |", f"|---|{rule}"]
    for name in [name for name in promises if name != OURS]:
        ratios = [better(figure, values[figure][OURS], values[figure][name]) for figure in COLUMNS]
        lines.append("| " + " | ".join([name, *(f"{ratio:,.2f}" for ratio in ratios)]) + " |")
    return "\n".join(lines)


def asked(values: Values) -> Iterator[str]:
    """What we must reach against some peers, and whether this run does."""
    for figure, name, times in ASKED:
        if name in values[figure]:
            ratio = better(figure, values[figure][OURS], values[figure][name])
            yield f"{figure}: {times:.2f} times {name} asked, {ratio:.2f} {'reached' if ratio >= times else 'MISSED'}"


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path, default=HERE / "results-peers.json")
    parser.add_argument("--peers", type=Path, default=HERE / "peers", help="where their folders are")
    parser.add_argument("--peer", action="append", metavar="FOLDER", help="only this one; may be repeated")
    given = parser.parse_args()
    folders = [file.parent.name for file in sorted(given.peers.glob("*/peer.toml"))]
    if unknown := set(given.peer or []) - set(folders):
        parser.error(f"no peer is called {', '.join(sorted(unknown))}; there are {', '.join(folders)}")
    given.peer = given.peer or folders
    return given


def main() -> None:
    """Measure every stack that can be started here, print the table, and name those that could not."""
    given = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave nothing running, as after Ctrl-C
    stacks: dict[str, Stack] = {OURS: ours}
    skipped: dict[str, str] = {}
    peers = [Peer.read(given.peers / name) for name in given.peer]
    for peer in peers:
        try:
            stacks[peer.name] = available(peer)
        except Unavailable as error:
            skipped[peer.name] = str(error)
            print(f"{peer.name} is skipped: {error}", file=sys.stderr)
    values, failed = measure(stacks, given.rounds, given.seconds)
    skipped |= failed
    promises = {OURS: "on disk"} | {peer.name: peer.promise for peer in peers if peer.name not in skipped}
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load by {generator()}, {given.rounds} rounds\n")
    print(table(values, promises))
    print(f"\nours, {HELD}: {statistics.median(values[HELD][OURS]):.1f}")
    print("".join(f"{name}: skipped, {why}\n" for name, why in skipped.items()), end="")
    print("\n".join(asked(values)))
    given.json.write_text(json.dumps({"skipped": skipped, "figures": values}, indent=2) + "\n")


if __name__ == "__main__":
    main()
