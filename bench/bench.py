"""What the local engine can do on this machine: a table, and the same as JSON.

Starts a real server on a new file, with every default, and drives it from another process over loopback. Every 202 is
sent after the fsync, every guard is on, and an outcome counts once a GET shows it. The same run measures a bare ASGI
handler on the same HTTP server: machines differ and drift, so compare a figure with that, not with another day's. The
last table does so, round by round. Processor time is the kernel's count for the server process and for all processes;
other programs on the machine disturb it least.

    python bench/bench.py [--rounds 5] [--seconds 5] [--only bare throughput] [--json bench/results.json]
"""

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from filled import fill
from load import generator, measure

COMMAND = Path(sys.executable).with_name("asyncjob")
JSON = {"content-type": "application/json"}
NO_OP = '{"seconds": 0}'
LATENCY_JOBS = 300
LATENCY_SECONDS = 5
STOP_SECONDS = 15  # our server gives running jobs ten
HERE = Path(__file__).parent
SUBMISSIONS = "submissions/s, 64 connections"
JOBS = "no-op jobs/s, first POST to last outcome"
LATENCY = "submit to done, idle server, ms"
GETS = "GETs/s, 64 connections"
SERVER_TIME = "processor time a job, server process, us"
LOOP_TIME = "processor time a job, the server's event loop, us"
ALL_TIME = "processor time a job, all processes, us"
GET_TIME = "processor time a GET, server process, us"
BARE_POSTS, BARE_GETS = "bare ASGI handler, POSTs/s", "bare ASGI handler, GETs/s"
BARE_POST_TIME, BARE_GET_TIME = (
    "bare ASGI handler, processor time a POST, us",
    "bare ASGI handler, processor time a GET, us",
)
SHARES = {  # of what the bare handler does in the same round
    SUBMISSIONS: BARE_POSTS,
    JOBS: BARE_POSTS,
    GETS: BARE_GETS,
    LOOP_TIME: BARE_POST_TIME,
    SERVER_TIME: BARE_POST_TIME,
    ALL_TIME: BARE_POST_TIME,
    GET_TIME: BARE_GET_TIME,
}
TICK = os.sysconf("SC_CLK_TCK")  # of the kernel's counts of processor time, a second

Figures = dict[str, float]
Served = tuple[str, subprocess.Popen[str]]
Ask = Callable[..., Any]  # a path, and a body to POST: the answer's JSON; anything but 2xx is an error


@contextmanager
def running(
    command: list[str], folder: str, variables: Mapping[str, str] | None = None, stdout: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, so that Ctrl-C ends it here, along with everything that it started."""
    with Path(folder, "log").open("a") as log:
        process = subprocess.Popen(
            command,
            stdout=log if stdout is None else stdout,
            stderr=log,
            text=True,
            cwd=folder,
            env=os.environ | (variables or {}),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        try:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):  # then it is killed: nobody needs what it still does
                process.wait(timeout=STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def started(command: list[str], folder: str, variables: Mapping[str, str] | None = None) -> Iterator[Served]:
    """A server process and its address, which it prints as the last word of its first line."""
    with running(command, folder, variables, subprocess.PIPE) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 30)[0], "the server did not start"
        yield process.stdout.readline().split()[-1], process


def listening(
    python: str, application: str, folder: str, variables: Mapping[str, str] | None = None
) -> AbstractContextManager[Served]:
    """An ASGI application on a free port, run by a Python of its own, and its address."""
    return started([python, str(HERE / "listen.py"), application], folder, variables)


@contextmanager
def served(*arguments: str) -> Iterator[Served]:
    """`asyncjob serve` on a new file, and its address."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(COMMAND), "serve", "--port", "0", *arguments]
        with started(command, folder) as server:
            yield server


def wait_until_idle(client: httpx.Client) -> None:
    """Wait until no job waits or runs."""
    while any(client.get(f"/jobs?limit=1&status={status}").json()["jobs"] for status in ("Pending", "Running")):
        time.sleep(0.005)


def bare(seconds: float) -> Figures:
    """The reference: an ASGI handler that answers two bytes."""
    with tempfile.TemporaryDirectory() as folder, listening(sys.executable, "bare:app", folder) as (url, process):
        used = [processor_time(process.pid)]
        posts = measure(url, seconds=seconds, body=NO_OP)
        used.append(processor_time(process.pid))
        gets = measure(url, seconds=seconds)
        used.append(processor_time(process.pid))
    return {
        BARE_POSTS: posts.per_second,
        BARE_POST_TIME: (used[1] - used[0]) / posts.answered,
        BARE_GETS: gets.per_second,
        BARE_GET_TIME: (used[2] - used[1]) / gets.answered,
    }


def start() -> Figures:
    """From the command to the first 202."""
    begin = time.perf_counter()
    with served() as (url, _):
        assert httpx.post(f"{url}/jobs", content=NO_OP, headers=JSON).status_code == 202
        return {"start to first 202, ms": (time.perf_counter() - begin) * 1000}


def memory() -> Figures:
    """The proportional set size of all processes after every worker has run a job."""
    with served() as (url, process), httpx.Client(base_url=url) as client:
        for _ in range(20):
            client.post("/jobs", content=NO_OP, headers=JSON)
        wait_until_idle(client)
        time.sleep(1)
        return {"memory when idle, all processes, MB": proportional_memory(process.pid, *readers(process.pid))}


def proportional_memory(*pids: int) -> float:
    """Megabytes of some processes and of all that they have started; what they share is counted once."""
    kilobytes = 0
    for pid in with_descendants(*pids):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1000


def with_descendants(*pids: int) -> Iterator[int]:
    """Some processes, those that their threads have started, and so on."""
    for pid in pids:
        yield pid
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            yield from with_descendants(*map(int, children.read_text().split()))


def readers(pid: int) -> set[int]:
    """The processes that read a pipe of this one: the guard, which is no child of its server."""
    pipes = {link for link in _open_files(pid) if link.startswith("pipe:")}
    others = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return {other for other in others if other != pid and pipes & _open_files(other, "0")}


def _open_files(pid: int, name: str = "*") -> set[str]:
    links: set[str] = set()
    for file in Path(f"/proc/{pid}/fd").glob(name):
        with suppress(OSError):
            links.add(os.readlink(file))
    return links


def processor_time(*pids: int) -> float:
    """The microseconds of processor time that these processes have used so far, in the kernel too."""
    return sum(_ticks(f"/proc/{pid}/stat") for pid in pids) / TICK * 1e6


def _ticks(stat: str) -> int:
    fields = Path(stat).read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def throughput(seconds: float) -> Figures:
    """What 64 clients get from a new server."""
    with served() as (url, process), httpx.Client(base_url=url) as client:
        return driven(asking(client), url, seconds, lambda: wait_until_idle(client), process.pid)


def filled(count: int, seconds: float) -> Figures:
    """The same as `throughput`, and memory, with finished jobs in the file already."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "filled.db")
        fill(path, count)
        with served("--database", str(path)) as (url, process), httpx.Client(base_url=url) as client:
            figures = driven(asking(client), url, seconds, lambda: wait_until_idle(client))
            figures["memory, MB"] = proportional_memory(process.pid)
    return {f"{count:,} finished: {name}": value for name, value in figures.items() if "p50" not in name}


def asking(client: httpx.Client) -> Ask:
    """One client of a server."""

    def ask(path: str, body: str | None = None) -> Any:
        answer = client.get(path) if body is None else client.post(path, content=body, headers=JSON)
        return answer.raise_for_status().json()

    return ask


def driven(ask: Ask, url: str, seconds: float, wait: Callable[[], None], server: int | None = None) -> Figures:
    """64 clients submit jobs that do nothing, while the workers run them; then 64 clients read one job.

    Args:
        ask: one more client of the same server.
        url: where the server listens.
        seconds: how long they submit, and how long they read.
        wait: returns once all jobs have ended.
        server: the server's process, to measure what it and its workers use.
    """
    job_id = ask("/jobs", NO_OP)["jobId"]
    wait()  # by then the workers have started, and are not measured as they do
    used = [_used(server)]
    begin = time.perf_counter()
    submitted = measure(f"{url}/jobs", seconds=seconds, body=NO_OP)
    wait()
    ended = time.perf_counter() - begin
    used.append(_used(server))
    assert submitted.refused == 0, f"{submitted.refused} submissions were refused"
    read = measure(f"{url}/jobs/{job_id}", seconds=seconds)
    used.append(_used(server))
    figures = {
        SUBMISSIONS: submitted.per_second,
        "submission p50, ms": submitted.p50,
        "submission p99, ms": submitted.p99,
        JOBS: submitted.answered / ended,
        GETS: read.per_second,
    }
    if server is not None:
        for place, name in enumerate((LOOP_TIME, SERVER_TIME, ALL_TIME)):
            figures[name] = (used[1][place] - used[0][place]) / submitted.answered
        figures[GET_TIME] = (used[2][1] - used[1][1]) / read.answered
    return figures


def _used(server: int | None) -> tuple[float, float, float]:
    """Processor time so far: of the server's first thread, of its process, and of that and all that it has started."""
    if server is None:
        return 0, 0, 0
    first = _ticks(f"/proc/{server}/task/{server}/stat") / TICK * 1e6
    return first, processor_time(server), processor_time(*with_descendants(server))


def latency() -> Figures:
    """The wait for one job, with a GET that the server holds until the outcome."""
    with served() as (url, _), httpx.Client(base_url=url) as client:
        return {LATENCY: submit_to_done(asking(client), "?wait=10")}


def submit_to_done(ask: Ask, query: str = "") -> float:
    """One client, one job at a time: from the POST to a GET with the outcome, the median in milliseconds."""
    took: list[float] = []
    until = time.perf_counter() + LATENCY_SECONDS
    while len(took) < LATENCY_JOBS and time.perf_counter() < until:
        begin = time.perf_counter()
        path = f"/jobs/{ask('/jobs', NO_OP)['jobId']}{query}"
        while (status := ask(path)["status"]) != "Success":
            assert status != "Failure"
        took.append((time.perf_counter() - begin) * 1000)
    return statistics.median(took)


def sleepers(count: int, seconds: int, *arguments: str) -> Figures:
    """Jobs that sleep, all at once: the time from the first one's creation to the last one's end."""
    with served(*arguments) as (url, process), httpx.Client(base_url=url) as client:
        client.post("/jobs", content=NO_OP, headers=JSON)
        wait_until_idle(client)
        sent = measure(f"{url}/jobs", connections=50, seconds=60, requests=count, body=f'{{"seconds": {seconds}}}')
        assert sent.answered == count
        used = proportional_memory(process.pid)
        wait_until_idle(client)
        took = _span(client, count)
        name = f"{count:,} jobs of sleep {seconds}"
        return {f"{name}, s": took, f"{name}, MB": used}


def _span(client: httpx.Client, count: int) -> float:
    jobs: list[dict[str, str]] = []
    page = client.get("/jobs?limit=1000").json()
    while len(jobs) < count:
        jobs += page["jobs"]
        page = client.get("/jobs", params={"limit": 1000, "cursor": page.get("next", "0")}).json()
    first, last = min(job["createdAt"] for job in jobs[:count]), max(job["finishedAt"] for job in jobs[:count])
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def main() -> None:
    """Measure every figure several times, interleaved, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="whole ones, for wrk")
    parser.add_argument("--only", nargs="+", help="parts of it, by name", metavar="PART")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("results.json"))
    given = parser.parse_args()
    parts: dict[str, Callable[[], Figures]] = {
        "bare": lambda: bare(given.seconds),
        "start": start,
        "memory": memory,
        "throughput": lambda: throughput(given.seconds),
        "filled": lambda: filled(1_000_000, given.seconds),
        "latency": latency,
        "sleepers": lambda: sleepers(1_000, 1),
        "many_sleepers": lambda: sleepers(10_000, 5, "--concurrency", "10000"),
    }
    if unknown := set(given.only or parts) - parts.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    values: dict[str, list[float]] = {}
    for number in range(given.rounds):
        for part in given.only or parts:
            for name, value in parts[part]().items():
                values.setdefault(name, []).append(value)
                print(f"round {number + 1} of {given.rounds}: {name}: {value:,.1f}", file=sys.stderr)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load by {generator()}, {given.rounds} rounds\n")
    _print_table("figure", values, ",.1f")
    _print_table("as a share of the bare handler in the same round", shares(values), ".2f")
    given.json.write_text(json.dumps(values, indent=2) + "\n")


def shares(values: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Figures divided by what the bare handler did in the same round, as far as both were measured."""
    return {
        name: [value / whole for value, whole in zip(values[name], values[of], strict=True)]
        for name, of in SHARES.items()
        if name in values and of in values
    }


def _print_table(title: str, values: Mapping[str, list[float]], form: str) -> None:
    if values:
        print(f"{title:<64}{'median':>10}{'least':>10}{'most':>10}")
    for name, measured in values.items():
        cells = [format(of(measured), form) for of in (statistics.median, min, max)]
        print(f"{name:<64}" + "".join(f"{cell:>10}" for cell in cells))
    print()


if __name__ == "__main__":
    main()
