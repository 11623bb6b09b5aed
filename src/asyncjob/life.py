"""The life of an engine on its store, as `asyncjob serve` and `JobsApp` both lead it: open, start, watch.

This is the one place that puts the engine and a store together.
"""

import asyncio
import logging

from asyncjob.server.engine import Engine
from asyncjob.server.logs import log
from asyncjob.server.settings import Settings
from asyncjob.sqlite.store import SqliteStore
from asyncjob.store import NotSaved, Store, Unreadable, Unusable

LOOK_SECONDS = 1.0  # between looks at whether the file is still there


def open_store(settings: Settings, *, create: bool = True) -> Store:
    """Where the jobs are kept. This is the one place that chooses a store.

    Args:
        settings: name it.
        create: whether to make it if it does not exist.

    Raises:
        InUse: another server has it.
        Unusable: it cannot be opened.
    """
    return SqliteStore(settings.database, create=create)


async def start(engine: Engine, store: Store) -> None:
    """Start the engine on its store.

    Raises:
        Unusable: the store cannot be read or written.
    """
    try:
        await engine.start()
    except Unreadable as error:
        raise Unusable(f"cannot read {store.place}: {error}") from error
    except NotSaved as error:
        raise Unusable(f"cannot write to {store.place}: {error}") from error


async def watch(store: Store, engine: Engine) -> str:
    """Wait until something happens to the store, and say what.

    The engine is then to be stopped, which loses least. Jobs accepted later would be gone, but running jobs can still
    end, and what was saved reaches the file, wherever it is now, when it is closed. If the engine went on once the
    file is back, it would trust that nothing else has written to it.
    """
    while True:
        fault = store.fault()
        if fault is not None:
            log(logging.ERROR, "the database is lost", error=fault)
            engine.refuse(fault)
            return fault
        await asyncio.sleep(LOOK_SECONDS)
