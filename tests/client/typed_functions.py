"""Job functions whose parameters and results have types, for test_typed.py."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncjob import JobContext, Jobs

jobs = Jobs()


@dataclass
class Report:
    month: str
    at: datetime
    takes: list[timedelta]


@jobs.job
def report(month: str) -> Report:
    year, number = map(int, month.split("-"))
    return Report(month, datetime(year, number, 1, tzinfo=UTC), [timedelta(days=1)])


@jobs.job(timeout=60)
async def count(context: JobContext, words: list[str]) -> dict[str, int]:
    context.progress(1, "counted")
    return Counter(words)


@jobs.job
def lies(value: Any) -> int:
    return value  # type: ignore[no-any-return]


def not_a_job() -> None: ...
