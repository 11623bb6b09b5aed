"""The job function for measurements of the size of a body."""

from asyncjob import Jobs

jobs = Jobs()


@jobs.job
async def measure(text: str) -> int:
    """Return the length of the text."""
    return len(text)
