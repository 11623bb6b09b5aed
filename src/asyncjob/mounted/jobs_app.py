"""`JobsApp`: the job API as an ASGI application, to be mounted in another one.

A module that makes one is imported by workers too, so to make it starts nothing, and imports little.
"""

import asyncio
import logging
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload
from weakref import WeakKeyDictionary

from asyncjob.mounted.target import search_path, target_of
from asyncjob.options import NONE, Options
from asyncjob.registry import Jobs
from asyncjob.server.logs import LogLevel, hand_to_logging, log
from asyncjob.server.settings import Settings, SettingsError, default_workers, parse_duration
from asyncjob.server.workers import guard

if TYPE_CHECKING:
    from asyncjob.client import AsyncClient, AsyncJobHandle, Client
    from asyncjob.client.functions import P, R, Takes, TakesContext
    from asyncjob.mounted.member import Member
    from asyncjob.server.http.requests import Receive, Scope, Send

ADVICE = "running jobs are cut off when this process ends: give the lifespan, as in FastAPI(lifespan=work.lifespan)"

IN_A_WORKER = "a worker has started this application: put what runs it below `if __name__ == '__main__':`"


class JobsApp:
    """The job API inside your ASGI application.

    >>> work = JobsApp(jobs, database="jobs.db")
    >>> app = FastAPI(lifespan=work.lifespan)
    >>> app.mount("/work", work)

    Of several processes with one database, the first runs the jobs, and the others hand their requests to it. If it
    ends, one of them goes on.

    Who may come in is your application's affair. This one alone refuses what changes something and comes from a page of
    another origin, and, with an `api_key`, what does not send it.

    Args:
        jobs: the registry.
        database: the SQLite file; it is created if it does not exist.
        target: what workers import to have the registry, as for `asyncjob serve`. It is found if the registry is a
            global variable of the module that makes this object, or that has all job functions.
        workers: how many worker processes there are; by default one a core.
        concurrency: how many jobs run at once, in all workers together.
        max_pending: how many jobs may wait before submissions are answered with 429.
        max_scheduled: the same for jobs that wait for a time.
        keep: how long final jobs are kept, such as "30d"; None for ever.
        grace: seconds that running jobs get when the application stops.
        backoff: the most seconds before the second attempt; each further one may wait twice as long.
        api_key: what clients must send as `x-api-key`; None to let in whom your application lets in.
        cors_origin: origins whose pages may use the API from a browser; `*` for all.
        notify_allow: hosts that may be notified when a job has ended.
        notify_secret: the key that signs notifications: `whsec_` and base64.
        log_level: the lowest level of what job functions log that is kept, and handed to this process's `logging`.

    Raises:
        SettingsError: a setting cannot be used.
    """

    def __init__(
        self,
        jobs: Jobs,
        *,
        database: str | Path = "jobs.db",
        target: str | None = None,
        workers: int | None = None,
        concurrency: int = Settings.concurrency,
        max_pending: int = Settings.max_pending,
        max_scheduled: int = Settings.max_scheduled,
        keep: str | None = None,
        grace: float = Settings.grace,
        backoff: float = Settings.backoff,
        api_key: str | None = None,
        cors_origin: Sequence[str] = (),
        notify_allow: Sequence[str] = (),
        notify_secret: str | None = None,
        log_level: str = LogLevel.INFO,
    ) -> None:
        self._jobs = jobs
        self._maker: str = sys._getframe(1).f_globals.get("__name__", "")
        try:
            self._settings = Settings(
                target=target,
                database=Path(database).absolute(),
                workers=default_workers() if workers is None else workers,
                concurrency=concurrency,
                max_pending=max_pending,
                max_scheduled=max_scheduled,
                keep=None if keep is None else parse_duration(keep),
                grace=grace,
                backoff=backoff,
                api_key=api_key,
                insecure=True,  # whoever has come here was let in
                cors_origin=cors_origin,
                notify_allow=notify_allow,
                notify_secret=notify_secret,
                log_level=LogLevel(log_level),
            )
        except SettingsError as error:
            raise SettingsError(_as_arguments(str(error))) from None
        self._loop: asyncio.AbstractEventLoop | None = None  # of a worker's own
        self._lock = threading.Lock()
        self._holding: set[asyncio.Task[None]] = set()
        self._members: WeakKeyDictionary[asyncio.AbstractEventLoop, Member] = WeakKeyDictionary()

    # -- its life ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run for as long as this lasts: the lifespan of the application that this one is mounted in.

        Args:
            app: that application; it is not used.

        Raises:
            RegistrationError: it cannot be found what workers must import.
            Unusable: the database cannot be used.
            RuntimeError: this is a worker.
        """
        if _is_worker():
            raise RuntimeError(IN_A_WORKER)
        member = self._member()
        member.users += 1
        try:
            await member.start()
            yield
        finally:
            member.users -= 1
            if not member.users:
                self._members.pop(member.loop, None)
                await member.stop()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """ASGI."""
        if scope["type"] == "http":
            from asyncjob.mounted.answering import answer

            await answer(self._started(), scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._speak_lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _member(self) -> "Member":
        """What this event loop has of the application, which may not have started yet."""
        loop = asyncio.get_running_loop()
        member = self._members.get(loop)
        if member is None:
            from asyncjob.mounted.member import Member

            settings = self._settings
            if not _is_worker():
                hand_to_logging()
                target = settings.target or target_of(self._jobs, self._maker)
                settings = replace(settings, target=target, path=search_path())
            member = Member(self._jobs, settings, may_own=not _is_worker())
            self._members[loop] = member
        return member

    def _started(self) -> "Member":
        """The same, to be started by a request if no lifespan has done it."""
        member = self._members.get(asyncio.get_running_loop())
        if member is None:
            member = self._member()
            if not _is_worker():
                log(logging.WARNING, "the job API starts with its first request", advice=ADVICE)
            holding = asyncio.ensure_future(self._hold(member))
            self._holding.add(holding)
            holding.add_done_callback(self._holding.discard)
        return member

    async def _hold(self, member: "Member") -> None:
        """Stop it with its event loop, which cancels this."""
        try:
            await member.loop.create_future()
        finally:
            if self._members.get(member.loop) is member:
                del self._members[member.loop]  # which it would keep alive
            await member.stop(at_once=True)

    async def _speak_lifespan(self, receive: "Receive", send: "Send") -> None:
        """ASGI's lifespan, for when this is the root application."""
        async with AsyncExitStack() as life:
            await receive()
            try:
                await life.enter_async_context(self.lifespan())
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    # -- from the application's own code -----------------------------------------------------------------------------

    @overload
    async def submit(
        self,
        function: "TakesContext[P, Awaitable[R]]",
        options: Options = ...,
        /,
        *_: "P.args",
        **parameters: "P.kwargs",
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, function: "TakesContext[P, R]", options: Options = ..., /, *_: "P.args", **parameters: "P.kwargs"
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, function: "Takes[P, Awaitable[R]]", options: Options = ..., /, *_: "P.args", **parameters: "P.kwargs"
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, function: "Takes[P, R]", options: Options = ..., /, *_: "P.args", **parameters: "P.kwargs"
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, type: str | None = None, options: Options = ..., /, **parameters: Any
    ) -> "AsyncJobHandle[Any]": ...

    async def submit(
        self, job: Any = None, options: Options = NONE, /, *_: Any, **parameters: Any
    ) -> "AsyncJobHandle[Any]":
        """Submit a job from a coroutine of the application; see `Client.submit`."""
        return await self.client.submit(job, options, **parameters)

    @cached_property
    def client(self) -> "AsyncClient":
        """A client of this API for coroutines of the application, and async job functions. It needs no address."""
        from asyncjob.mounted.clients import async_client

        return async_client(self, self._settings.api_key, self._is_stopping)

    @cached_property
    def blocking_client(self) -> "Client":
        """The same for threads, such as those in which FastAPI runs a `def` route, and other job functions."""
        from asyncjob.mounted.clients import blocking_client

        return blocking_client(self, self._settings.api_key, self._is_stopping, self._running_loop)

    def _is_stopping(self) -> bool:
        """Whether what this event loop has of the application is about to end."""
        member = self._members.get(asyncio.get_running_loop())
        return member is not None and member.is_stopping

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that answers the blocking client."""
        if _is_worker():
            with self._lock:
                if self._loop is None:
                    self._loop = asyncio.new_event_loop()
                    threading.Thread(target=self._loop.run_forever, daemon=True).start()
                return self._loop
        loops = [loop for loop in self._members if loop.is_running()]
        if not loops:
            raise RuntimeError("the job API is not running: it starts with the application's lifespan")
        return loops[-1]


def _is_worker() -> bool:
    """Whether this process is one of the owner's workers, or was started by one of their jobs."""
    return guard.VARIABLE in os.environ


def _as_arguments(message: str) -> str:
    """What is said of the command's options, said of arguments."""
    message = re.sub(r" \(ASYNCJOB_\w+\)", "", message)
    return re.sub(r"(?:--|ASYNCJOB_)(\w[\w-]+)", lambda name: f"{name[1].replace('-', '_').lower()}=", message)
