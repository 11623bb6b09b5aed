"""Many times more submissions than the server can take: it must refuse some, lose none, stay small, and recover.

How many it can take follows from the jobs, which sleep for a fixed time. It exits with 1 if a promise is broken.

    python bench/overload.py [--seconds 30]
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import httpx
import uvloop
from load import send

from bench import asking, served, submit_to_done, wait_until_idle

AT_ONCE = 20
JOB_SECONDS = 0.1
MAX_PENDING = 500
CONNECTIONS = 64
TIMES_TOO_MUCH = 10
MAX_GROWTH_MB = 100
MAX_SLOWER = 3.0  # times; the machine has just been busy on every core, so this is only noise


def peak_memory(pid: int) -> float:
    """The most memory that the process has used, in megabytes."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1000


def count(client: httpx.Client) -> Counter[str]:
    """How many jobs there are in each status."""
    statuses: Counter[str] = Counter()
    query: dict[str, str | int] | None = {"limit": 1000}
    while query is not None:
        page = client.get("/jobs", params=query).json()
        statuses.update(job["status"] for job in page["jobs"])
        query = {"limit": 1000, "cursor": page["next"]} if "next" in page else None
    return statuses


def overload(seconds: float, *, untimed: bool) -> list[str]:
    """Overload a server, print the tally, and return the broken promises; if `untimed`, none that are about time."""
    with (
        served("--concurrency", str(AT_ONCE), "--max-pending", str(MAX_PENDING)) as (url, process),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        before, memory = submit_to_done(asking(client), "?wait=10"), peak_memory(process.pid)
        wait_until_idle(client)
        earlier = count(client)["Success"]
        made, took = uvloop.run(send(f"{url}/jobs", CONNECTIONS, seconds, None, f'{{"seconds": {JOB_SECONDS}}}'))
        answers = Counter(status for connection in made for status in connection.statuses)
        latencies = sorted(latency for connection in made for latency in connection.latencies)
        wait_until_idle(client)
        ended = count(client)
        grown, after = peak_memory(process.pid) - memory, submit_to_done(asking(client), "?wait=10")
    times = len(latencies) / took / (AT_ONCE / JOB_SECONDS)
    lost = answers[202] - (ended["Success"] - earlier)
    print(f"submissions       {len(latencies):,} in {took:.1f} s, {times:.1f} times what the server can take")
    print(f"answers           {', '.join(f'{number:,} of {status}' for status, number in sorted(answers.items()))}")
    print(f"their p99         {latencies[int(len(latencies) * 0.99)] * 1000:.1f} ms")
    print(f"accepted, lost    {answers[202]:,}, {lost}")
    print(f"memory            {grown:.1f} MB more at the peak, of {memory:.1f} MB before")
    print(f"submit to done    {before:.2f} ms before, {after:.2f} ms after")
    broken = {
        f"it was no overload: {times:.1f} times": not untimed and times < TIMES_TOO_MUCH,
        "an answer was neither 202 nor 429": not set(answers) <= {202, 429},
        "it refused none": not untimed and answers[429] == 0,
        f"{lost} accepted jobs did not end": lost != 0 or set(ended) != {"Success"},
        f"it took {grown:.1f} MB more": grown > MAX_GROWTH_MB,
        "it is slower than before": not untimed and after > before * MAX_SLOWER,
    }
    return [promise for promise, is_broken in broken.items() if is_broken]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--untimed", action="store_true", help="check no promise about time: the machine is busy")
    given = parser.parse_args()
    sys.exit("\n".join(overload(given.seconds, untimed=given.untimed)) or 0)
