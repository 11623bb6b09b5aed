"""What the server's own parts are told of a change beside its event: why an attempt ended that was no answer.

Whoever has a change saved tells of it, once: the engine of what clients ask for, workers/outcomes.py of what becomes of
attempts. Metrics, listeners, webhooks and the counts of the last minutes all read this one stream.
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from asyncjob.server.events import JobEvent


class Reason(StrEnum):
    """Why an attempt ended."""

    ANSWER = "answer"  # its function has answered, or somebody who may has asked for it
    LOST = "lost"  # it counts against its job's retries: a lost worker, a timeout, an exception to be retried
    POSTPONED = "postponed"  # its function asked for it
    WORKER_DIED = "worker_died"  # with several attempts in it, of which this one may be innocent
    WORKER_STUCK = "worker_stuck"  # because of another attempt
    SERVER_ENDED = "server_ended"


class Ending(NamedTuple):
    """How an attempt ended.

    Attributes:
        error: the type of its error; empty if it has none.
        reason: why.
    """

    error: str = ""
    reason: Reason = Reason.ANSWER


BY_ITSELF = Ending()


class Tell(Protocol):
    """Takes what became of a job, after it was saved."""

    def __call__(self, event: JobEvent, ending: Ending = BY_ITSELF) -> None:
        """Take one change."""
