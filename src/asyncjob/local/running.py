"""What the supervisor knows of each worker process, and of each attempt that one of them runs."""

import asyncio
import time
from dataclasses import dataclass, field

from asyncjob.job import Status
from asyncjob.local.events import JobEvent
from asyncjob.local.process import WorkerProcess

Key = tuple[str, int]


@dataclass(eq=False, slots=True)
class Attempt:
    """One attempt of a job that a worker runs.

    Attributes:
        started: when it was handed to its worker, by the monotonic clock.
        recorded: True once what became of it is saved or decided; what the worker still says of it comes too late.
    """

    job_id: str
    attempt: int
    type: str
    losses: int
    started: float = field(default_factory=time.monotonic)
    deadline: asyncio.TimerHandle | None = None
    recorded: bool = False

    @property
    def fields(self) -> dict[str, object]:
        """What a log line says of it."""
        return {"job_id": self.job_id, "attempt": self.attempt}

    def becomes(self, status: Status) -> JobEvent:
        """What listeners are told once its job has that status: Pending is the status of the next attempt."""
        return JobEvent(self.job_id, self.type, status, self.attempt + (status is Status.PENDING))


@dataclass(eq=False)
class Worker:
    """A worker process and what it runs.

    Attributes:
        ready: it has imported the functions, and its slots are offered.
        retired: it gets no new job; it is killed when what it still runs is recorded.
        noticed: how many cancels it has answered.
        gone: its process has ended, or its socket is closed; what it ran is about to be recorded as lost.
    """

    process: WorkerProcess
    capacity: int
    ready: bool = False
    retired: bool = False
    gone: bool = False
    noticed: int = 0
    attempts: dict[Key, Attempt] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """How many more jobs it may run."""
        return self.capacity - len(self.attempts)
