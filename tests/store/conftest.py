"""Runs each test of the suite on every store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.store.opened import PLACES, Opened

Test = Callable[[Opened], Awaitable[None]]
Run = Callable[[Test], None]


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
