"""The client: submits jobs to any API that keeps the contract, and waits for what becomes of them.

What is asked, when it is asked again and what an answer means is in core.py, which does no I/O; blocking.py and
asynchronous.py carry its requests out, the one with threads in mind and the other with an event loop.
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
from asyncjob.client.snapshot import JobSnapshot

__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "AwaitedJobCanceled",
    "Client",
    "ClientError",
    "JobFailed",
    "JobHandle",
    "JobSnapshot",
    "NotFound",
    "Refused",
    "Unreachable",
    "WaitTimeout",
]
