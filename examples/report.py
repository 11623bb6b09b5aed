"""Job functions of one's own: `asyncjob serve examples/report.py`."""

import asyncio
import csv
import statistics
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from asyncjob import JobContext, Jobs

jobs = Jobs()


@jobs.job
def report(path: str, column: str) -> dict[str, float]:
    """Summarise a column of a CSV file on the server's disk."""
    with Path(path).open(newline="") as file:
        values = [float(row[column]) for row in csv.DictReader(file)]
    return {"rows": len(values), "mean": statistics.mean(values), "median": statistics.median(values)}


@jobs.job(timeout=60, retries=3, retry_on=(OSError,))
async def fetch(context: JobContext, urls: list[str]) -> dict[str, Any]:
    """Read some pages, all at once; how many bytes each has."""
    sizes: dict[str, int] = {}

    async def size(url: str) -> None:
        sizes[url] = len(await asyncio.to_thread(_read, url))
        context.progress(len(sizes) / len(urls), url)

    await asyncio.gather(*map(size, urls))
    return sizes


def _read(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"not a web address: {url}")
    with urlopen(url, timeout=30) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content
