"""The process that owns the database: it has the engine, and answers what it is asked, by itself or by the others."""

import asyncio
import logging
import os
import resource
import sys
from contextlib import suppress
from typing import Any

from asyncjob import forked, life
from asyncjob.mounted import address
from asyncjob.mounted.connection import Ask, Begin, Body, Connection, Hello, Part, Welcome, chunks
from asyncjob.mounted.identity import identity
from asyncjob.registry import Jobs
from asyncjob.server.engine import Engine
from asyncjob.server.http.access import Access
from asyncjob.server.http.answers import refused
from asyncjob.server.http.application import Application
from asyncjob.server.http.requests import Message, Receive, Scope, Send
from asyncjob.server.logs import log
from asyncjob.server.refusals import Unavailable
from asyncjob.server.settings import Settings
from asyncjob.store import Store, Unusable

CLOSE_SECONDS = 5.0  # for open requests to finish when the owner stops
LOOK_SECONDS = 1.0  # between looks at whether the socket is still there


class Owner:
    """The engine of one application, behind its socket.

    Args:
        jobs: the registry.
        settings: of the application.
        store: where the jobs are, opened.

    Raises:
        Unusable: it cannot listen beside the store.
    """

    def __init__(self, jobs: Jobs, settings: Settings, store: Store) -> None:
        self._address = address.address_of(settings.database)
        self._listener = address.listen(self._address)
        self._socket = address.look(self._address)
        self.engine = Engine(jobs, settings, store)
        self._store = store
        self._application = Application(self.engine, Access(settings, any_host=True))
        self._identity = identity(jobs, settings)
        self._fault: str | None = None
        self._server: asyncio.Server | None = None
        self._looking: asyncio.Task[None] | None = None
        self._connections: set[Connection] = set()
        self._most = max(32, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._serving: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the engine, then answer.

        Raises:
            Unusable: the store cannot be read or written.
        """
        await life.start(self.engine, self._store)
        await self._serve_others()
        self._looking = asyncio.create_task(self._look_after_socket())

    async def lost(self) -> str:
        """Wait until something happens to the file, and say what."""
        return await life.watch(self._store, self.engine)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of this process; ASGI's arguments."""
        if self._fault is not None:
            return await refused(Unavailable(self._fault)).send(send)
        answering = asyncio.current_task()
        assert answering is not None
        self._answering.add(answering)
        try:
            await self._application(scope, receive, send)
        finally:
            self._answering.discard(answering)

    async def stop(self, hurry: asyncio.Event) -> None:
        """Let running jobs end within the grace period, or until `hurry` is set, and then the open requests."""
        await self.engine.stop(hurry)
        if self._answering:
            await asyncio.wait(self._answering, timeout=CLOSE_SECONDS)

    async def close_store(self, fault: str) -> None:
        """Close the store, which is lost, and tell everybody that until `close`.

        As long as somebody listens, a process that comes makes no new file in its place.

        Raises:
            Unusable: it must not be closed; see `Store.close`.
        """
        self._fault = fault
        await self.engine.close()

    async def close(self) -> None:
        """Leave the others to themselves, and close the store.

        Raises:
            Unusable: as above.
        """
        if self._looking is not None:
            self._looking.cancel()
        self._close_listener()
        with suppress(OSError):  # as long as the file is locked, it is ours
            address.remove(self._address)
        for connection in list(self._connections):
            connection.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._fault is None:
            await self.engine.close()

    # -- what the others ask -----------------------------------------------------------------------------------------

    async def _serve_others(self) -> None:
        loop = asyncio.get_running_loop()
        # Since 3.13 loops look for the socket's file, by the path that `address` has only passed through.
        own: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        self._server = await loop.create_unix_server(lambda: Connection(self._accept), sock=self._listener, **own)

    def _close_listener(self) -> None:
        forked.forget(self._listener.fileno())
        if self._server is not None:
            self._server.close()
        self._listener.close()

    async def _look_after_socket(self) -> None:
        """Listen anew if the socket was taken away, such as by a program that tidies up; who is connected stays so."""
        said = ""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if address.look(self._address) == self._socket:
                continue
            try:
                listener = address.listen(self._address)
            except Unusable as error:
                if str(error) != said:
                    log(logging.ERROR, "the other processes cannot connect", error=error)
                said = str(error)
                continue
            self._close_listener()
            self._listener, self._socket, said = listener, address.look(self._address), ""
            await self._serve_others()
            log(logging.WARNING, "the socket was taken away: listening anew", socket=self._address)

    def _accept(self, connection: Connection) -> None:
        self._connections.add(connection)
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, connection: Connection) -> None:
        """Answer the requests of a connection, one after the other."""
        try:
            hello = await connection.next()
            if not isinstance(hello, Hello):
                return
            is_same = hello.application == self._identity
            await connection.send(Welcome(os.getpid(), is_same, len(self._connections) > self._most))
            while is_same and isinstance(ask := await connection.next(), Ask):
                exchange = Exchange(connection, ask)
                await self.answer(exchange.scope, exchange.receive, exchange.send)
                if not await exchange.finish():
                    return
            await connection.is_over.wait()
        finally:
            self._connections.discard(connection)
            connection.close()


class Exchange:
    """A request that another process has handed over, as ASGI has it.

    Attributes:
        scope: ASGI's.

    Args:
        connection: where it came from, and where the answer goes.
        ask: what came.
    """

    def __init__(self, connection: Connection, ask: Ask) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": ask.method,
            "path": ask.path,
            "root_path": ask.root_path,
            "query_string": ask.query_string,
            "headers": ask.headers,
            "client": ask.client,
            "asyncjob.job_id": ask.job_id,
        }
        if ask.raw_path is not None:
            self.scope["raw_path"] = ask.raw_path
        self._connection = connection
        self._is_received = self._is_answered = False
        self._begin: Begin | None = None

    async def receive(self) -> Message:
        """ASGI's: the next part of the body, or that the client has left."""
        if not self._is_received:
            body = await self._connection.next()
            if isinstance(body, Body):
                self._is_received = not body.more
                return {"type": "http.request", "body": body.data, "more_body": body.more}
        else:
            await self._connection.is_over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's. The head leaves with the first part of the body: an answer is there as a whole, or not at all."""
        if message["type"] == "http.response.start":
            self._begin = Begin(message["status"], list(message["headers"]))
            return
        more = message.get("more_body", False)
        parts = [Part(*chunk) for chunk in chunks(message.get("body", b""), more)]
        await self._connection.send(*([self._begin] if self._begin else []), *parts)
        self._begin = None
        self._is_answered = not more

    async def finish(self) -> bool:
        """Read what is left of the body; whether another request may follow."""
        while self._is_answered and not self._is_received:
            body = await self._connection.next()
            if not isinstance(body, Body):
                return False
            self._is_received = not body.more
        return self._is_answered
