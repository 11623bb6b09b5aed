"""A fan-out over HTTP: `asyncjob serve examples/fanout.py`.

One job asks for many pages, some at a time, and tells how far it is. What cannot be reached is asked for again, by
another attempt of the job.
"""

import asyncio
from typing import Annotated
from urllib.error import HTTPError
from urllib.request import urlopen

from msgspec import Meta, Struct

from asyncjob import JobContext, Jobs

jobs = Jobs()


class Page(Struct):
    """What came back."""

    status: int
    size: int


@jobs.job(timeout=60, retries=3, retry_on=(OSError,))
async def fetch(
    context: JobContext, urls: list[str], at_once: Annotated[int, Meta(ge=1, le=100)] = 10
) -> dict[str, Page]:
    """Read some pages; the status and the size in bytes of each."""
    pages: dict[str, Page] = {}
    free = asyncio.Semaphore(at_once)

    async def read(url: str) -> None:
        async with free:
            pages[url] = await asyncio.to_thread(_read, url)
            context.progress(len(pages) / len(urls), url)

    await asyncio.gather(*map(read, urls))
    return pages


def _read(url: str) -> Page:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"not a web address: {url}")
    try:
        with urlopen(url, timeout=30) as answer:  # noqa: S310
            return Page(answer.status, len(answer.read()))
    except HTTPError as answer:  # an answer too: only the lack of one is worth another attempt
        with answer:
            return Page(answer.code, len(answer.read()))
