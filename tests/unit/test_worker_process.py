"""A real worker process, by the server's end of its socket."""

import asyncio

from asyncjob.server.settings import Settings
from asyncjob.server.workers.channel import FromWorker, Ready
from asyncjob.server.workers.process import WorkerProcess


def test_what_a_worker_says_before_it_is_listened_to_is_kept_for_then() -> None:
    async def run() -> None:
        received: list[FromWorker] = []
        heard, ended = asyncio.Event(), asyncio.Event()

        def receive(messages: list[FromWorker]) -> None:
            received.extend(messages)
            heard.set()

        process = await WorkerProcess.start(Settings(), "test.1.", receive, ended.set, lambda *_: None)
        try:
            said = asyncio.Event()
            asyncio.get_running_loop().add_reader(process._connection, said.set)
            await asyncio.wait_for(said.wait(), 60)
            asyncio.get_running_loop().remove_reader(process._connection)
            assert received == []
            await process.connect()
            await asyncio.wait_for(heard.wait(), 60)
            assert received == [Ready()]
        finally:
            process.kill()
            assert await process.wait() == -9
        await asyncio.wait_for(ended.wait(), 60)

    asyncio.run(run())
