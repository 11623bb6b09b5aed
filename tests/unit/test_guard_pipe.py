"""The process beside the server, as the server starts it."""

import asyncio
from typing import Any

import pytest

from asyncjob.server.workers.guard_pipe import GuardPipe


def test_an_event_loop_that_ends_during_the_start_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    spawn = asyncio.create_subprocess_exec

    async def start() -> None:
        waits = asyncio.Event()

        async def spawn_and_say(*command: Any, **options: Any) -> asyncio.subprocess.Process:
            started.append(await spawn(*command, **options))
            waits.set()
            return started[0]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn_and_say)
        guard = GuardPipe("mark.")
        starting = asyncio.create_task(guard.start())
        await waits.wait()
        starting.cancel()
        await asyncio.wait([starting])
        guard.close()

    asyncio.run(start())
    assert started[0].returncode is not None
