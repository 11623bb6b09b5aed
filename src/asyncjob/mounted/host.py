"""Whether the server that runs the application has been told to stop.

ASGI says so only once all requests are answered; an open event stream would then hold up the stop for ever. uvicorn,
alone or below gunicorn, handles signals with a method of its server, which has the answer: it is looked at, and nothing
of it is changed.
"""

import asyncio
import signal

LOOK_SECONDS = 0.25


def _server() -> object:
    return getattr(signal.getsignal(signal.SIGTERM), "__self__", None)


async def stopping() -> None:
    """Wait until the server has been told to stop; for ever where it cannot be known."""
    await _has("should_exit")


async def hurrying() -> None:
    """Wait until it has been told to stop at once."""
    await _has("force_exit")


async def _has(mark: str) -> None:
    while getattr(_server(), mark, False) is not True:  # noqa: ASYNC110  # the server sets a flag, and tells nobody
        await asyncio.sleep(LOOK_SECONDS)
