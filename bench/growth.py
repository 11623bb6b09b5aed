"""How the local engine's figures grow: with connections, workers, the size of a body, and the jobs in its file.

Each point is the median of several rounds, and the rounds are interleaved, so that a slow minute of the machine affects
all points and not one. docs/performance.md has these figures, and plots of them.

    python bench/growth.py [--rounds 3] [--seconds 2] [--json bench/growth.json]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from filled import fill
from load import measure

from bench import HERE, JSON, NO_OP, Served, asking, proportional_memory, served, wait_until_idle

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
WORKERS = (1, 2, 3, 4)
BODIES = (100, 1_000, 10_000, 100_000, 1_000_000)
STORED = (0, 100_000, 1_000_000, 5_000_000)
# Bodies of a megabyte are claimed a few at a time, so many jobs wait. Their limit is not what is measured.
ROOM = ("--max-pending", "10000000")

Point = dict[str, float]
Curve = dict[int, Point]


def connections(number: int, seconds: int) -> Point:
    """`number` clients, each with one request at a time."""
    with served(*ROOM) as (url, _), httpx.Client(base_url=url) as client:
        job_id = asking(client)("/jobs", NO_OP)["jobId"]
        submitted = measure(f"{url}/jobs", connections=number, seconds=seconds, body=NO_OP)
        wait_until_idle(client)
        read = measure(f"{url}/jobs/{job_id}", connections=number, seconds=seconds)
        return {
            "submissions/s": submitted.per_second,
            "submission p99, ms": submitted.p99,
            "GETs/s": read.per_second,
            "GET p99, ms": read.p99,
        }


def workers(number: int, seconds: int) -> Point:
    """`number` worker processes, for jobs that do nothing."""
    with served(*ROOM, "--workers", str(number)) as server:
        return _until_done(server, seconds, NO_OP)


def bodies(size: int, seconds: int) -> Point:
    """Bodies of this many bytes; fewer at once if they are large, or most of them would be unfinished at the end."""
    with served(str(HERE / "jobs.py"), *ROOM) as server:
        body = json.dumps({"text": "x" * (size - len('{"text": ""}'))})
        point = _until_done(server, seconds, body, 64 if size <= 10_000 else 8)
        return point | {"submitted, MB/s": point["submissions/s"] * size / 1e6}


def _until_done(server: Served, seconds: int, body: str, at_once: int = 64) -> Point:
    url, _ = server
    with httpx.Client(base_url=url, timeout=60) as client:
        client.post("/jobs", content=body, headers=JSON).raise_for_status()
        begin = time.perf_counter()
        submitted = measure(f"{url}/jobs", connections=at_once, seconds=seconds, body=body)
        wait_until_idle(client)
        took = time.perf_counter() - begin
        return {
            "submissions/s": submitted.per_second,
            "submission p99, ms": submitted.p99,
            "jobs/s, first POST to last outcome": submitted.answered / took,
        }


class Stored:
    """Servers on files with finished jobs. Each is filled once; what a round adds is little in comparison."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, number: int, seconds: int) -> Point:
        """`number` finished jobs in the file."""
        path = self._folder / f"{number}.db"
        if not path.exists():
            fill(path, number)
        begin = time.perf_counter()
        with served("--database", str(path), *ROOM) as (url, process), httpx.Client(base_url=url) as client:
            job_id = asking(client)("/jobs", NO_OP)["jobId"]
            started = time.perf_counter() - begin
            wait_until_idle(client)
            used = proportional_memory(process.pid)
            point = _until_done((url, process), seconds, NO_OP)
            read = measure(f"{url}/jobs/{job_id}", seconds=seconds)
            listed = measure(f"{url}/jobs?limit=100", connections=1, seconds=seconds)
            megabytes = path.stat().st_size / 1e6
        return point | {
            "GETs/s": read.per_second,
            "list of 100, p50, ms": listed.p50,
            "start to first 202, ms": started * 1000,
            "memory when idle, MB": used,
            "file, MB": megabytes,
        }


def grow(rounds: int, seconds: int) -> dict[str, Curve]:
    """All curves: what grows, its points, and the median of each figure at each point."""
    with _stored() as stored:
        curves: list[tuple[str, tuple[int, ...], Callable[[int, int], Point]]] = [
            ("connections", CONNECTIONS, connections),
            ("worker processes", WORKERS, workers),
            ("bytes of a body", BODIES, bodies),
            ("finished jobs in the file", STORED, stored),
        ]
        seen: dict[tuple[str, int], list[Point]] = {}
        for number in range(rounds):
            for name, points, figure in curves:
                for x in points:
                    point = figure(x, seconds)
                    seen.setdefault((name, x), []).append(point)
                    shown = ", ".join(f"{key}: {value:,.1f}" for key, value in point.items())
                    print(f"round {number + 1} of {rounds}: {x:,} {name}: {shown}", file=sys.stderr)
    return {name: {x: _median(seen[name, x]) for x in points} for name, points, _ in curves}


@contextmanager
def _stored() -> Iterator[Stored]:
    with tempfile.TemporaryDirectory() as folder:
        yield Stored(Path(folder))


def _median(points: list[Point]) -> Point:
    return {name: statistics.median(point[name] for point in points) for name in points[0]}


def main() -> None:
    """Measure, print the tables and write them as JSON, from which bench/plot.py draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--json", type=Path, default=HERE / "growth.json")
    given = parser.parse_args()
    curves = grow(given.rounds, given.seconds)
    for name, curve in curves.items():
        print(f"\n| {name} | {' | '.join(next(iter(curve.values())))} |")
        print("|--:" * (1 + len(next(iter(curve.values())))) + "|")
        for x, point in curve.items():
            print(f"| {x:,} | {' | '.join(f'{value:,.1f}' for value in point.values())} |")
    given.json.write_text(json.dumps(curves, indent=2) + "\n")


if __name__ == "__main__":
    main()
