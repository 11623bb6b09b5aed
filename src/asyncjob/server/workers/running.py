"""What the server keeps of each worker process, and of each attempt that runs."""

import asyncio
import time
from dataclasses import dataclass, field

import msgspec

from asyncjob.job import Status
from asyncjob.server.events import JobEvent
from asyncjob.server.workers.attempt_log import Allowance, AttemptLog
from asyncjob.server.workers.channel import Advanced, AttemptKey
from asyncjob.server.workers.process import WorkerProcess
from asyncjob.server.workers.quarantine import Group
from asyncjob.store import Suspect


@dataclass(slots=True)
class Wait:
    """An attempt's wait for another job.

    Attributes:
        aside: whether its place is another's meanwhile.
        wants: whether it has waited and wants to go on.
    """

    aside: bool = False
    wants: bool = False


class RunningAttempt(msgspec.Struct, eq=False):
    """One attempt that is Running in the store: in a worker, or lost with one.

    Attributes:
        key: what identifies it.
        suspect: what it is in quarantine as; None for all other attempts.
        started: when it was handed to its worker, by the monotonic clock.
        deadline: calls when its timeout is over.
        recorded: True once its outcome is saved or decided; whatever its worker still says of it comes too late.
        over: True once nothing of it runs any more, as far as its worker says.
        saving: whether a write of its progress is under way.
        newest: the progress to save after that one.
        wait: for another job, from when its worker said so until it was told to go on.
        log: its lines; None while there are none.
    """

    job_id: str
    attempt: int
    type: str
    losses: int
    suspect: Suspect | None = None
    started: float = msgspec.field(default_factory=time.monotonic)
    deadline: asyncio.TimerHandle | None = None
    recorded: bool = False
    over: bool = False
    saving: bool = False
    newest: Advanced | None = None
    wait: Wait | None = None
    log: AttemptLog | None = None
    key: AttemptKey = ("", 0)

    def __post_init__(self) -> None:
        self.key = self.job_id, self.attempt

    @property
    def fields(self) -> dict[str, object]:
        """What a log line says of it."""
        return {"job_id": self.job_id, "attempt": self.attempt}

    @property
    def group_limit(self) -> int | None:
        """How many jobs may share a process with it; None for any number."""
        return None if self.suspect is None else self.suspect.group_limit

    @property
    def interruptions(self) -> int:
        """How many attempts of its job are known to have ended with a server."""
        return 0 if self.suspect is None else self.suspect.interruptions

    def becomes(self, status: Status) -> JobEvent:
        """What listeners are told once its job has that status. Pending is the status of the next attempt."""
        return JobEvent(self.job_id, self.type, status, self.attempt + (status is Status.PENDING))


@dataclass(slots=True)
class OwnProcess:
    """What a process for isolated jobs is.

    Attributes:
        type: of its jobs; empty before the first one.
        left: how many more jobs it may begin, from the first one on.
        is_full: it has needed nearly all the memory that it may have.
        is_surplus: it is about to be ended, since nobody needs it.
    """

    type: str = ""
    left: int = 0
    is_full: bool = False
    is_surplus: bool = False


@dataclass(eq=False)
class Worker:
    """A worker process and what it runs.

    Attributes:
        capacity: how many jobs it may run at once; 0 for a process of suspects or for isolated jobs, which offers no
            slots.
        group: the suspects that it is for; None for all other workers.
        own: given for a process for isolated jobs.
        ready: it has imported the functions, and its slots are offered.
        retired: it gets no new job, and is killed once what it still runs is recorded.
        stuck: an attempt beyond its deadline kept it from answering, so it was killed.
        gone: its process has ended or its socket is closed; what it ran is about to be recorded as lost.
        noticed: how many cancels it has answered.
        aside: how many of its attempts have given their place up.
        number: of its place among the workers; see `Processes`.
        stopping: it was told to end.
        allowance: for lines that are no attempt's.
    """

    process: WorkerProcess
    capacity: int
    group: Group | None = None
    own: OwnProcess | None = None
    ready: bool = False
    retired: bool = False
    stuck: bool = False
    gone: bool = False
    noticed: int = 0
    aside: int = 0
    number: int = 0
    stopping: bool = False
    allowance: Allowance = field(default_factory=Allowance)
    attempts: dict[AttemptKey, RunningAttempt] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """How many more jobs it may run."""
        return self.capacity - len(self.attempts) + self.aside

    @property
    def takes_jobs(self) -> bool:
        """Whether it may be given jobs that are neither suspects nor isolated."""
        return self.ready and self.capacity > 0 and not self.retired and not self.gone

    @property
    def is_idle(self) -> bool:
        """Whether it is ready and runs nothing."""
        return self.ready and not (self.attempts or self.retired or self.gone or self.stopping)
