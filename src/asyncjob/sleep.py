"""The built-in job of the original system: sleep for some seconds, then say so."""

import math
import os
from typing import Annotated

from msgspec import Meta

from asyncjob.registry import Jobs

DEFAULT_TIMEOUT = "5"

jobs = Jobs()


def _limit() -> float:
    text = os.environ.get("TIMEOUT", DEFAULT_TIMEOUT)
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise ValueError(f"the environment variable TIMEOUT must be a number of seconds, not {text!r}")
    return limit


@jobs.job
async def sleep(seconds: Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]) -> dict[str, str]:
    """Sleep for `seconds`, at most the environment variable TIMEOUT (5 by default, read at each run).

    Raises:
        ValueError: `seconds` is over the limit.
    """
    limit = _limit()
    if seconds > limit:
        raise ValueError(f"seconds must be at most {limit:g} (the environment variable TIMEOUT), not {seconds}")
    if seconds:
        import asyncio  # an idle worker has no need of it

        await asyncio.sleep(seconds)
    return {"message": f"I slept for {seconds} seconds"}
