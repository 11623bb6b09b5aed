"""Everything at once for minutes: mixed jobs, hostile clients, workers killed at random. Then the tally must add up.

Each accepted job must have ended, once for each time that it was accepted, by the record that the job file itself keeps
(tests/witness.py). The server must hold no more memory and no more open files than before. It exits with 1 if a promise
is broken.

    python -m bench.soak [--minutes 5]
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.hostile import IDLE, Hostile, ask_as_usual
from tests.serving import FUNCTIONS, Server
from tests.witness import ends, is_sound, observe

CLIENTS = 4
WARM_UP = 0.3  # of the time; at the end there should be no more in memory than after it
KILL_SECONDS = (0.2, 2.0)  # between one worker's death and the next, at random
MAX_GROWTH_KB = 20_000
MAX_P99_MS = 50  # plus twice what it is without hostile clients, since this machine may be busy with other things
REQUESTS = 400  # that p99 looks at
IDLE_SECONDS = 120


class Client(threading.Thread):
    """Sends whatever a client may send, one request after another, and remembers what was accepted.

    Attributes:
        accepted: how often each job was accepted: once, and once more for each retry.
        answers: how many answers there were of each status.
    """

    def __init__(self, url: str, folder: Path, until: float) -> None:
        super().__init__()
        self.accepted: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self._url = url
        self._folder = folder
        self._until = until
        self._numbers = count()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as self._client:
            while time.monotonic() < self._until:
                self._submit()
                random.choice([self._wait, self._cancel, self._retry, self._list, self._submit])()

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self._client.request(method, path, **more)
        self.answers[answer.status_code] += 1
        return answer

    def _submit(self) -> None:
        runs = str(self._folder / f"{self.name}-{next(self._numbers)}")
        parameters = random.choices(
            [
                {"type": "add", "a": 1},
                {"type": "echo_async", "value": [None] * 100},
                {"type": "echo", "value": "x" * 50_000},
                {"type": "counts", "steps": 20},
                {"type": "raises", "message": "no"},
                {"type": "flaky", "runs": runs, "failures": 1},
                {"type": "overruns_async", "runs": runs},
                {"type": "dies_once", "runs": runs},
            ],
            weights=[40, 30, 5, 10, 5, 5, 4, 1],
        )[0]
        answer = self._ask("POST", "/jobs", json=parameters)
        if answer.status_code == 202:
            self._last = answer.json()["jobId"]
            self.accepted[self._last] += 1

    def _wait(self) -> None:
        self._ask("GET", f"/jobs/{self._last}?wait=0.2")

    def _cancel(self) -> None:
        self._ask("POST", f"/jobs/{self._last}/cancel")

    def _retry(self) -> None:
        if self._ask("POST", f"/jobs/{self._last}/retry").status_code == 202:
            self.accepted[self._last] += 1

    def _list(self) -> None:
        self._ask("GET", "/jobs?limit=20&status=Failure")


def p99(server: Server) -> float:
    """The 99th percentile of the milliseconds that an ordinary client waits for an answer."""
    took, begin = [], time.perf_counter()
    for _ in ask_as_usual(server, REQUESTS, type="add", a=1):
        took.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return sorted(took)[int(REQUESTS * 0.99)] * 1000


def kill_workers(server: Server, until: float) -> int:
    """Kill one worker after another; return how many."""
    for killed in count():
        time.sleep(random.uniform(*KILL_SECONDS))
        if time.monotonic() >= until:
            return killed
        with suppress(ProcessLookupError, IndexError):
            os.kill(random.choice(server.worker_pids()), signal.SIGKILL)
    raise AssertionError


def open_files(server: Server) -> int:
    """How many files the server has open, including connections."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def unfinished(server: Server) -> list[Any]:
    """A few jobs that are waiting or running."""
    pages = [server.client.get(f"/jobs?limit=1&status={status}").json() for status in ("Pending", "Running")]
    return [job for page in pages for job in page["jobs"]]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something has become true by itself.

    Raises:
        TimeoutError: it has not.
    """
    deadline = time.monotonic() + IDLE_SECONDS
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited in vain: {what}")
        time.sleep(0.1)


class Tally(NamedTuple):
    """The result of a soak.

    Attributes:
        accepted: how often each job was accepted.
        ended: how often each job ended, by the job file's own record.
        answers: how many answers there were of each status.
        grown_kb: how much more memory the server had at the end than when it was warm.
        alone: the 99th percentile of a submission's latency without hostile clients, in milliseconds.
        beside: the same with them.
    """

    accepted: Counter[str]
    ended: Counter[str]
    answers: Counter[int]
    killed: int
    files: int
    warm_kb: int
    grown_kb: int
    alone: float
    beside: float
    is_sound: bool


def soak(seconds: float, folder: Path) -> Tally:
    """Soak a server for that long."""
    with Server(folder / "jobs.db", "--workers", "2", target=FUNCTIONS) as server:
        observe(server)
        alone = p99(server)
        files = open_files(server)
        unending = server.submit("waits", started=str(folder / "unending"))
        with Hostile(server.url, unending):
            beside = p99(server)
            begin = time.monotonic()
            clients = [Client(server.url, folder, begin + seconds) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            killed = kill_workers(server, begin + seconds * WARM_UP)
            warm_kb = server.memory_kb()
            killed += kill_workers(server, begin + seconds)
            for client in clients:
                client.join()
        server.client.post(f"/jobs/{unending}/cancel")
        wait_until(lambda: not unfinished(server), "the end of all jobs")
        wait_until(lambda: open_files(server) <= files, f"no more open files than before, {files}")
        grown_kb = server.memory_kb() - warm_kb
        server.stop()
        accepted = sum((client.accepted for client in clients), Counter[str]())
        answers = sum((client.answers for client in clients), Counter[int]())
        ended, sound = ends(server.database), is_sound(server.database)
    return Tally(accepted, ended, answers, killed, files, warm_kb, grown_kb, alone, beside, sound)


def check(tally: Tally, *, untimed: bool) -> list[str]:
    """Print the tally and return the broken promises; if `untimed`, none that are about time."""
    accepted, ended, answers = tally.accepted, tally.ended, tally.answers
    wrong = {job_id: number for job_id, number in ended.items() if number != accepted.get(job_id, 1)}
    missing = accepted.keys() - ended.keys()
    others = len(ended) - len(accepted)  # the jobs that measured the latency
    alone, beside = tally.alone, tally.beside
    print(f"accepted          {accepted.total() + others:,}, {accepted.total() - len(accepted):,} of them retries")
    print(f"ended             {ended.total():,}, each recorded once: {'no' if wrong or missing else 'yes'}")
    print(f"answers           {', '.join(f'{number:,} of {status}' for status, number in sorted(answers.items()))}")
    print(f"workers killed    {tally.killed}")
    print(f"memory            {tally.grown_kb / 1000:+.1f} MB since it was warm, of {tally.warm_kb / 1000:.1f} MB")
    print(f"open files        {tally.files} before, no more at the end")
    print(f"p99, one client   {alone:.1f} ms, and {beside:.1f} ms beside {IDLE:,} idle and 100 other hostile ones")
    broken = {
        f"ended another number of times than accepted: {wrong}": bool(wrong),
        f"accepted, and not there: {missing}": bool(missing),
        "an answer was not one of the contract's": not set(answers) <= {200, 202, 409},
        "it holds more memory than before": tally.grown_kb > MAX_GROWTH_KB,
        f"hostile clients keep others waiting, p99 {beside:.1f} ms": not untimed and beside > MAX_P99_MS + 2 * alone,
        "the file is damaged": not tally.is_sound,
    }
    return [promise for promise, is_broken in broken.items() if is_broken]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--untimed", action="store_true", help="check no promise about time: the machine is busy")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit("\n".join(check(soak(given.minutes * 60, Path(folder)), untimed=given.untimed)) or 0)
