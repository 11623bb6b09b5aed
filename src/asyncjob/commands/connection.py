"""How a command talks to an API: with which client, and how it ends when the answer is no, or there is none."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from asyncjob.commands.output import complain, fail

if TYPE_CHECKING:  # the client and its libraries are imported by the commands that need them
    from asyncjob.client import Client, JobHandle, Refused, ScheduleHandle

    Handle = TypeVar("Handle", JobHandle[Any], ScheduleHandle[JobHandle[Any]])

FAILED, USAGE, UNREACHABLE, TIMED_OUT, INTERRUPTED = 1, 2, 3, 124, 130  # the last two as timeout(1) and shells do


@contextmanager
def connected(url: str, api_key: str | None, aws_iam: bool) -> "Iterator[Client]":
    """A client, and what it raises as a line and an exit status."""
    from asyncjob.commands.client import TerminalClient

    with reported(), TerminalClient(url, api_key=api_key, aws_iam=aws_iam) as client:
        yield client


@contextmanager
def reported() -> Iterator[None]:
    """What the client raises, as a line and an exit status."""
    from asyncjob.client import ClientError, Refused, Unreachable, WaitTimeout

    try:
        yield
    except WaitTimeout as error:
        fail(error if error.__cause__ is None else f"{error}; {error.__cause__}", TIMED_OUT)
    except Unreachable as error:
        fail(f"{error}. `asyncjob serve` starts a server here; --url names another", UNREACHABLE)
    except Refused as error:
        fail(_said(error), _status(error))
    except (ClientError, ValueError, OverflowError) as error:
        fail(error, USAGE)
    except RecursionError:
        fail("the API's answer is nested too deeply for this Python to write", UNREACHABLE)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)


def with_each(handles: "Iterable[Handle]", act: "Callable[[Handle], None]") -> int:
    """Do something with each job or schedule. What the API refuses for one is said at once, and the others are done.

    Returns:
        The exit status: 0, or that of the worst refusal.
    """
    from asyncjob.client import NotFound, Refused

    worst = 0
    for handle in handles:
        try:
            act(handle)
        except Refused as error:
            complain(error if isinstance(error, NotFound) else f"{handle.id}: {_said(error)}")
            worst = max(worst, _status(error))
    return worst


def _said(error: "Refused") -> str:
    """What the API said, and how a command sends the key that it asks for."""
    return f"{error}: --api-key or ASYNCJOB_API_KEY" if error.status == 401 else str(error)


def _status(error: "Refused") -> int:
    return UNREACHABLE if error.status >= 500 or error.status == 429 else USAGE
