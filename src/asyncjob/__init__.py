"""Async Job API: what to use when an HTTP request takes longer than a request should.

    from asyncjob import JobContext, Jobs

    jobs = Jobs()

    @jobs.job
    def resize(width: int, height: int = 100) -> dict: ...

Then `asyncjob serve mine.py` answers `POST /jobs` with 202 and an id, runs the function in the background, and
`GET /jobs/{jobId}` tells its status and its results.
"""

from asyncjob.context import JobCanceled, JobContext
from asyncjob.registry import Jobs, RegistrationError

__all__ = ["JobCanceled", "JobContext", "Jobs", "RegistrationError", "__version__"]

__version__ = "0.1.0"
