"""Async Job API: what to use when an HTTP request takes longer than a request should.

    from asyncjob import JobContext, Jobs

    jobs = Jobs()

    @jobs.job
    def resize(width: int, height: int = 100) -> dict: ...

Then `asyncjob serve mine.py` answers `POST /jobs` with 202 and an id and runs the function in the background;
`GET /jobs/{jobId}` tells its status and its results. From Python:

    from asyncjob import Client

    Client().submit("resize", width=640).result()
"""

import typing

from asyncjob.context import JobCanceled, JobContext, RetryLater, WorkerContext
from asyncjob.job import Error, Progress, Status
from asyncjob.options import InvalidOptions, Options
from asyncjob.policies import Backoff, Limit, Rate, Unique
from asyncjob.registry import Jobs
from asyncjob.schedules import Cron, Every
from asyncjob.signature import RegistrationError
from asyncjob.version import __version__

if typing.TYPE_CHECKING:
    from asyncjob.client import (
        AsyncClient,
        AsyncJobHandle,
        AsyncScheduleHandle,
        AwaitedJobCanceled,
        Client,
        ClientError,
        JobFailed,
        JobHandle,
        JobSnapshot,
        LoggedLine,
        NotFound,
        Refused,
        ScheduleHandle,
        ScheduleSnapshot,
        Unreachable,
        WaitTimeout,
    )
    from asyncjob.mounted.jobs_app import JobsApp
else:

    def __getattr__(name: str) -> object:
        """Import these names only when one is used, so that workers and Lambda functions start without httpx."""
        if name == "JobsApp":
            from asyncjob.mounted.jobs_app import JobsApp

            return JobsApp
        if name in __all__:
            from asyncjob import client

            return getattr(client, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "AsyncScheduleHandle",
    "AwaitedJobCanceled",
    "Backoff",
    "Client",
    "ClientError",
    "Cron",
    "Error",
    "Every",
    "InvalidOptions",
    "JobCanceled",
    "JobContext",
    "JobFailed",
    "JobHandle",
    "JobSnapshot",
    "Jobs",
    "JobsApp",
    "Limit",
    "LoggedLine",
    "NotFound",
    "Options",
    "Progress",
    "Rate",
    "Refused",
    "RegistrationError",
    "RetryLater",
    "ScheduleHandle",
    "ScheduleSnapshot",
    "Status",
    "Unique",
    "Unreachable",
    "WaitTimeout",
    "WorkerContext",
    "__version__",
]
