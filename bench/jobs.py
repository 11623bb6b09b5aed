"""The job function of measurements in which the size of a body counts."""

from asyncjob import Jobs

jobs = Jobs()


@jobs.job
async def measure(text: str) -> int:
    """How long the text is."""
    return len(text)
