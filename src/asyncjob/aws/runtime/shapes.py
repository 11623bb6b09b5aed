"""The shapes of what the functions are handed and of what the table keeps. Nothing here outlives a type checker."""

from typing import Any, NotRequired, Protocol, TypedDict


class Event(TypedDict):
    """What API Gateway makes of a POST /jobs, and a processor is invoked with."""

    jobId: str
    requestId: str
    createdAt: int  # milliseconds since 1970
    request: dict[str, Any]  # the body


class DurableEvent(TypedDict):
    """What the durable edition's dispatcher invokes its processor with; the claim hands over the rest."""

    jobId: str
    attempt: int
    createdAt: NotRequired[str]  # of the job, since another may have its id once it was deleted


class Start(TypedDict):
    """An attempt that the dispatcher is to start."""

    jobId: str
    type: str
    attempt: int
    createdAt: NotRequired[str]
    runAt: str  # not before; empty for at once


class Occurrence(TypedDict):
    """What EventBridge Scheduler calls with when a schedule of the code is due."""

    schedule: str
    time: str  # that was named, as Scheduler writes it
    overlap: str
    latest: int  # seconds after which it is not begun any more; 0 for never
    job: dict[
        str, Any
    ]  # what an item says of its function: `type`, `parameters`, `retries`, ..., and the `delay` in ms


class Item(TypedDict, total=False):
    """A job in the inline edition's table. Parameters, results and error are JSON text, times as in the contract."""

    jobId: str
    type: str
    status: str
    parameters: str
    results: str
    error: str
    attempt: int
    createdAt: str
    startedAt: str
    finishedAt: str
    requestId: str  # which POST made it: another one with the same id is not its own
    claimId: str  # which write made its attempt, in case the answer to that write is lost
    deadline: int  # milliseconds since 1970; from then on its attempt is lost
    expiresAt: int  # seconds since 1970


class FailedCondition(TypedDict):
    """Why Lambda has given an event up."""

    condition: str


class FailedAnswer(TypedDict, total=False):
    """What the processor's last invocation ended with."""

    errorType: str
    errorMessage: str


class FailedEvent(TypedDict):
    """Lambda's record of an asynchronous invocation that failed for good."""

    requestContext: FailedCondition
    requestPayload: Event
    responsePayload: NotRequired[FailedAnswer | None]


class Context(Protocol):
    """Lambda's context of an invocation."""

    def get_remaining_time_in_millis(self) -> int: ...
