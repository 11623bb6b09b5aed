"""An open file, for tests of what only SQLite promises."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from asyncjob.sqlite.store import SqliteStore
from tests.store.opened import Opened


class OpenedFile(Opened):
    """An open file."""

    store: SqliteStore


def with_store(
    path: Path, test: Callable[[OpenedFile], Awaitable[None]], open: Callable[[Path], SqliteStore] = SqliteStore
) -> None:
    async def run() -> None:
        opened = OpenedFile(lambda: open(path))
        await opened.start()
        try:
            await test(opened)
        finally:
            await opened.store.close()

    asyncio.run(run())
