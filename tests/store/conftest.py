"""Runs each test of the suite on every store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.store.opened import PLACES, Opened

Test = Callable[[Opened], Awaitable[None]]
Run = Callable[[Test], None]


class Clock:
    """The time that the stores go by, which a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now * 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Takes the place of the machine's clock."""
    clock = Clock()
    monkeypatch.setattr("time.time_ns", clock)
    return clock


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a coroutine function on a new store."""
    place = PLACES[request.param](tmp_path)

    async def run(test: Test) -> None:
        opened = Opened(place)
        await opened.start()
        try:
            await test(opened)
        finally:
            await opened.store.close()

    return lambda test: asyncio.run(run(test))
