"""What an application has in one process: it owns the database, or follows the process that does, and takes over.

Nobody is told to take over. Whoever loses the owner tries to get the file's lock, which the system gives to one of
them, and until the winner listens, the others ask again. Requests wait meanwhile.
"""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import Context
from typing import Any

from asyncjob import life
from asyncjob.mounted import address, host
from asyncjob.mounted.follower import Follower, follow
from asyncjob.mounted.identity import identity
from asyncjob.mounted.owner import Owner
from asyncjob.registry import Jobs
from asyncjob.server.logs import log, logger
from asyncjob.server.settings import Settings
from asyncjob.store import InUse, Store, Unusable

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25  # seconds between two tries to get the lock or to reach who has it
FAULT_PAUSE = 2.0  # seconds until a database that cannot be used is tried again
START_SECONDS = 30.0  # for the owner to be there, when the application starts
SILENT_SECONDS = 1.0  # of them, before the log says what it waits for

Role = Owner | Follower


class Member:
    """One event loop's part in an application.

    Attributes:
        loop: the one in which it runs.
        users: how many lifespans have begun and not ended.
        problem: why there is no role.

    Args:
        jobs: the registry.
        settings: of the application.
        may_own: whether it may become the owner; a worker, which is the owner's, only ever follows.
    """

    def __init__(self, jobs: Jobs, settings: Settings, *, may_own: bool = True) -> None:
        self.loop = asyncio.get_running_loop()
        self.users = 0
        self.problem = "the job API is starting"
        self._jobs = jobs
        self._settings = settings
        self._may_own = may_own
        self._address = address.address_of(settings.database)
        self._identity = identity(jobs, settings)
        self._role: Role | None = None
        self._has_role = asyncio.Event()
        self._has_started = False
        self._told = asyncio.Event()  # that the end has come, or will come
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._going: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start, unless that has been done, and wait until requests are answered.

        Raises:
            Unusable: the database cannot be used.
        """
        if not self.is_going:
            # Nothing of the request or the test that happens to be the first is to be found in what runs from now on.
            self._going = self.loop.create_task(self._go(), context=Context())
        assert self._going is not None
        await _either(asyncio.shield(self._going), self._has_role.wait())

    @property
    def is_going(self) -> bool:
        """Whether it has started, and not come to an end."""
        return self._going is not None and not self._going.done()

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to come to an end."""
        return self._told.is_set()

    async def stop(self, *, at_once: bool = False) -> None:
        """Let running jobs end, unless it has to be at once, and leave the database to others."""
        self._told.set()
        self._stop.set()
        if at_once:
            self._hurry.set()
        if self._going is not None:
            with suppress(Exception):  # `start` has raised it
                await self._going

    async def role(self, patience: float) -> Role | None:
        """What this process is at the moment; None if it is nothing for so many seconds."""
        if self._role is not None:
            return self._role
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._told.is_set() else patience):
                await self._has_role.wait()
        return self._role

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _go(self) -> None:
        """Own the database or follow who owns it, until stopped; whatever happens to the jobs once it has started."""
        heeding = asyncio.ensure_future(self._heed_host())
        try:
            while not self._told.is_set():
                try:
                    await self._have_role()
                except Exception as error:
                    is_new, self.problem = str(error) != self.problem, str(error)
                    if not self._has_started:
                        raise
                    if is_new:
                        unexpected = None if isinstance(error, Unusable) else error
                        logger.error("the job API is not available, trying again: %s", error, exc_info=unexpected)
                    await self._pause(FAULT_PAUSE)
        finally:
            heeding.cancel()
        self.problem = "the application is stopping"

    async def _heed_host(self) -> None:
        """Begin to stop when the server that runs the application is told to, which waits for open streams to end."""
        await host.stopping()
        self._told.set()
        await host.hurrying()
        self._hurry.set()

    async def _have_role(self) -> None:
        """Get one, and have it until it ends.

        Raises:
            Unusable: the database cannot be used.
        """
        pause, since, said = FIRST_PAUSE, self.loop.time(), ""
        while not self._told.is_set():
            in_use = f"no process serves {self._settings.database}"
            # Who has lost the file still listens: it is missed, and no new one is made.
            follower = await self._follow() if self._is_missing else None
            try:
                if self._may_own and follower is None:
                    return await self._be_owner(await self._open())
            except InUse as error:
                in_use = str(error)
            if (follower := follower or await self._follow()) is not None:
                return await self._be_follower(follower)
            reason = f"{in_use}: {self.problem}"
            if self.loop.time() > since + START_SECONDS:
                raise Unusable(reason)
            if reason != said and self.loop.time() > since + SILENT_SECONDS:
                said = reason
                log(logging.WARNING, "waiting for the database", reason=reason, most=f"{START_SECONDS:g}s")
            await self._pause(pause * random.uniform(0.5, 1))
            pause = min(LONGEST_PAUSE, pause * 1.5)
        return None

    async def _open(self) -> Store:
        """The store, opened beside the event loop, which may have others to serve: it may have much to read first.

        A file that has served once, and is gone, is missed until it is back, when a new one would be lost.
        """
        opening = self.loop.run_in_executor(None, lambda: life.open_store(self._settings, create=not self._has_started))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(Unusable):
                await (await opening).close()
            raise

    async def _follow(self) -> Follower | None:
        follower = await follow(self._address, self._identity)
        if follower is None:
            self.problem = "it is no process of this application, or has not started yet"
        elif not follower.is_same:
            self.problem = f"process {follower.owner} serves it with other job functions or settings"
            follower.close()
            return None
        return follower

    async def _be_follower(self, follower: Follower) -> None:
        level = logging.INFO if self._may_own else logging.DEBUG
        log(level, "following the owner of the database", owner=follower.owner)
        self._take(follower)
        try:
            await _either(follower.lost(), self._told.wait())
            follower.end_streams()
            if self._told.is_set():
                await _either(follower.lost(), self._stop.wait(), asyncio.sleep(self._settings.grace))
        finally:
            self._leave()
            follower.close()

    async def _be_owner(self, store: Store) -> None:
        try:
            owner = Owner(self._jobs, self._settings, store)
        except BaseException:
            await store.close()
            raise
        fault = None
        try:
            await owner.start()
            log(logging.INFO, "owning the database", database=store.place)
            self._take(owner)
            fault = await _either(owner.lost(), self._told.wait())
        except BaseException:
            self._hurry.set()
            raise
        finally:
            try:
                await owner.stop(self._hurry)
                if isinstance(fault, str):
                    await owner.close_store(fault)
                    await _either(self._is_back(), self._told.wait())
            finally:
                self._leave()
                await owner.close()
        if isinstance(fault, str):
            raise Unusable(fault)

    @property
    def _is_missing(self) -> bool:
        return not os.path.exists(self._settings.database)

    async def _is_back(self) -> None:
        """Wait until there is a file again where the database was."""
        while self._is_missing:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(FAULT_PAUSE)

    def _take(self, role: Role) -> None:
        self._role = role
        self._has_started = True
        self._has_role.set()

    def _leave(self) -> None:
        self._role = None
        self._has_role.clear()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()


async def _either(*works: Awaitable[Any]) -> Any:
    """Wait for the first of them to end, and give up the others; its result."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
