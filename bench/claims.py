"""What a claim costs beside jobs that wait for something else: their time, their key, or jobs of other priorities.

Works on the store itself, so that nothing else is in the figures: processor time of this process, the writer's thread
and the event loop together, for one small job from its submission to its success, or from its place in the queue to its
success. The stores take turns, round by round; each figure is the median.

    python bench/claims.py [--rounds 9] [--jobs 300] [--scheduled 1000000] [--behind 100000]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import UNSET

from asyncjob import Jobs, Limit
from asyncjob.contract import Submission
from asyncjob.sqlite.database import Database
from asyncjob.sqlite.store import SqliteStore
from asyncjob.store import LEVEL_MS, Claims, Observer, Success

FILL = """
INSERT INTO job (job_id, type, status, parameters, created_at, priority, due_at, run_at, stage, turn, limit_key)
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number LIMIT :count)
SELECT printf('%s-%08d', :type, n), :type, 'Pending', :parameters, '2026-06-01T00:00:00.000Z', {priority}, {place}
FROM number
"""
SOON, NEXT_YEAR = 1_780_272_000_000, 4_000_000_000_000  # milliseconds since 1970
QUEUE = f"{SOON} + n - ({{priority}}) * {LEVEL_MS}, NULL, NULL, NULL, NULL"
TIME = f"NULL, {NEXT_YEAR} + n, NULL, NULL, NULL"
KEY = f"""NULL, NULL, 0, {SOON} + n, 'key="busy"'"""
LEVELS = "n % 21 - 10"

jobs = Jobs()


@jobs.job
def plain() -> None:
    """A job that uses nothing."""


@jobs.job(concurrency=Limit(1, per="key"))
def keyed(key: str) -> None:
    """A job that one of its key runs at a time."""


class Bench:
    """A store, and one job at a time that goes through it."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        self._claims: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._number = 0

    async def start(self) -> None:
        await self.store.start(Observer(self._claimed))
        await self.store.take_over(jobs)

    def _claimed(self, claims: Claims) -> None:
        for job in claims.jobs:
            self._claims.put_nowait((job.job_id, job.attempt))

    async def submitted(self, name: str, parameters: bytes) -> None:
        """A new job, from its submission to its success."""
        self._number += 1
        self.store.offer(1)
        await self.store.submit(f"new-{self._number}", Submission(UNSET, name, parameters))
        await self._end()

    async def waiting(self) -> None:
        """The next job, from its place in the queue to its success."""
        self.store.offer(1)
        self.store.wake()
        await self._end()

    async def saturate(self) -> None:
        """Have the next job run for as long as this lasts."""
        self.store.offer(1)
        self.store.wake()
        await self._claims.get()

    async def _end(self) -> None:
        job_id, attempt = await self._claims.get()
        await self.store.succeed([Success(job_id, attempt, b"1")])


Go = Callable[[Bench], Awaitable[None]]
PLAIN: Go = lambda bench: bench.submitted("plain", b"{}")  # noqa: E731
KEYED: Go = lambda bench: bench.submitted("keyed", b'{"key":"free"}')  # noqa: E731
WAITING: Go = lambda bench: bench.waiting()  # noqa: E731


def _fill(path: Path, name: str, count: int, place: str, priority: str = "0") -> None:
    database = Database(path)
    connection = database.connect()
    sql = FILL.replace("{place}", place).replace("{priority}", priority)
    parameters = '{"key":"busy"}' if name == "keyed" else "{}"
    connection.execute(sql, {"type": name, "count": count, "parameters": parameters})
    connection.close()
    database.close()


async def _measure(cases: dict[str, tuple[Bench, Go]], rounds: int, count: int) -> dict[str, float]:
    """The microseconds of each case, a job."""
    values: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in list(cases)[:: 1 if number % 2 else -1]:
            bench, go = cases[name]
            begin = time.process_time()
            for _ in range(count):
                await go(bench)
            values[name].append((time.process_time() - begin) / count * 1e6)
    return {name: statistics.median(found[1:] or found) for name, found in values.items()}


async def run(folder: Path, rounds: int, count: int, scheduled: int, behind: int) -> dict[str, float]:
    """Fill the stores, and measure."""
    enough = rounds * count + 1
    _fill(folder / "scheduled", "plain", scheduled, TIME)
    _fill(folder / "behind", "keyed", behind, KEY)
    _fill(folder / "one", "keyed", 2, KEY)
    _fill(folder / "queue", "plain", enough, QUEUE)
    _fill(folder / "levels", "plain", enough, QUEUE, LEVELS)
    benches = {name: Bench(folder / name) for name in ("empty", "scheduled", "one", "behind", "queue", "levels")}
    for bench in benches.values():
        await bench.start()
    for name in ("one", "behind"):
        await benches[name].saturate()
    try:
        return await _measure(
            {
                "a plain job; nothing else waits": (benches["empty"], PLAIN),
                f"a plain job; {scheduled:,} wait for their time": (benches["scheduled"], PLAIN),
                "a plain job; one waits behind a busy key": (benches["one"], PLAIN),
                f"a plain job; {behind:,} wait behind a busy key": (benches["behind"], PLAIN),
                "a job with a key; nothing else waits": (benches["empty"], KEYED),
                "a job with a key; one waits behind another key": (benches["one"], KEYED),
                f"a job with a key; {behind:,} wait behind another key": (benches["behind"], KEYED),
                f"the next of {enough:,} that wait with one priority": (benches["queue"], WAITING),
                f"the next of {enough:,} that wait with 21 priorities": (benches["levels"], WAITING),
            },
            rounds,
            count,
        )
    finally:
        for bench in benches.values():
            await bench.store.close()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 9), ("jobs", 300), ("scheduled", 1_000_000), ("behind", 100_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found = asyncio.run(run(Path(folder), given.rounds, given.jobs, given.scheduled, given.behind))
    for name, microseconds in found.items():
        print(f"{name:60} {microseconds:7.1f} us")


if __name__ == "__main__":
    main()
