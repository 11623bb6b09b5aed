"""The client: submits jobs to any API that keeps the contract, and waits for their outcome.

core.py decides what to ask, when to ask again and what an answer means, and does no I/O; blocking.py and
asynchronous.py carry its requests out, for threads and for an event loop.
"""

from asyncjob.client.asynchronous import AsyncClient, AsyncJobHandle
from asyncjob.client.blocking import Client, JobHandle
from asyncjob.client.errors import (
    AwaitedJobCanceled,
    ClientError,
    JobFailed,
    NotFound,
    Refused,
    Unreachable,
    WaitTimeout,
)
from asyncjob.client.logs import LoggedLine
from asyncjob.client.schedule_handles import AsyncScheduleHandle, ScheduleHandle
from asyncjob.client.schedules import ScheduleSnapshot
from asyncjob.client.snapshot import JobSnapshot

__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "AsyncScheduleHandle",
    "AwaitedJobCanceled",
    "Client",
    "ClientError",
    "JobFailed",
    "JobHandle",
    "JobSnapshot",
    "LoggedLine",
    "NotFound",
    "Refused",
    "ScheduleHandle",
    "ScheduleSnapshot",
    "Unreachable",
    "WaitTimeout",
]
