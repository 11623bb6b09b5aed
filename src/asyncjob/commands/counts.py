"""Counts jobs.

The API counts jobs by status only (`GET /stats`, if the engine has it). Counts by type and times are therefore taken
from the newest jobs that it lists, and the command says so.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from statistics import median
from typing import Any

from asyncjob.client import Client, JobSnapshot, Refused

NEWEST = 1_000  # one page, where the jobs are small


def newest(client: Client) -> dict[str, Any]:
    """Count the newest 1,000 jobs.

    Returns:
        `jobs`, how many were counted; `more`, whether there are older ones; `all`, their counts; `types`, the counts of
        each type; and `statuses`, the API's counts of all jobs, absent if it does not count. Counts are `statuses`, how
        many jobs have each, and `medianWaitSeconds` and `medianRunSeconds`, absent if no job has such a time.
    """
    listed = list(islice(client.list(page_size=NEWEST), NEWEST + 1))
    jobs = listed[:NEWEST]
    types = sorted({job.type for job in jobs})
    return {
        "jobs": len(jobs),
        "more": len(listed) > NEWEST,
        "all": _count(jobs),
        **_all(client),
        "types": [{"type": name, **_count(job for job in jobs if job.type == name)} for name in types],
    }


def _all(client: Client) -> dict[str, Any]:
    try:
        statuses = client.stats().get("jobs")
    except Refused:
        return {}
    counts = isinstance(statuses, dict) and all(isinstance(count, int) for count in statuses.values())
    return {"statuses": statuses} if counts else {}


def _count(jobs: Iterable[JobSnapshot]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    waits, runs = [], []
    for job in jobs:
        statuses[job.status] += 1
        if job.started_at is not None and job.attempt == 1:  # a later attempt also waited for the earlier ones
            waits.append((job.started_at - job.created_at).total_seconds())
        if job.started_at is not None and job.finished_at is not None:
            runs.append((job.finished_at - job.started_at).total_seconds())
    times = {"medianWaitSeconds": waits, "medianRunSeconds": runs}
    medians = {name: round(median(seconds), 3) for name, seconds in times.items() if seconds}
    return {"statuses": dict(statuses), **medians}
