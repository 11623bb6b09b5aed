"""Short reads, done at once; and long ones, each kind in a thread of its own, and none of them for nobody.

A search among a million jobs takes a good part of a second. What nobody waits for any more, since its client has left
or its time is over, is taken out of the queue or, if it has begun, interrupted.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from asyncjob.sqlite.statements import SQL
from asyncjob.store import Unreadable

STEPS = 10_000  # of SQLite's machine, a fraction of a millisecond, between two looks whether the read is still wanted

Result = TypeVar("Result")


class Lookup:
    """A connection for short reads by the event loop. All of them raise Unreadable.

    Args:
        connection: used by this object alone, which closes it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def one(self, name: str, **values: Any) -> Any:
        """The first row of a statement; None if there is none."""
        return next(iter(self.all(name, **values)), None)

    def all(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        try:
            return self._connection.execute(SQL[name], values).fetchall()
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from error

    def each(self, name: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement one by one, where they may be too many or too large to hold them all."""
        try:
            yield from self._connection.execute(SQL[name], values)
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Reader:
    """A connection, and the one thread that reads by it.

    Args:
        connection: used by this object alone, which closes it.
        name: of the thread.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.waiting = 0  # reads that are asked for and not done
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._under_way: object = None
        self._over = False
        # Not by Connection.interrupt, which does nothing to a statement that is about to begin.
        connection.set_progress_handler(lambda: self._over, STEPS)

    async def read(self, call: Callable[[sqlite3.Connection], Result]) -> Result:
        """Call it in the thread, in turn. Whoever cancels this ends the read.

        Raises:
            Unreadable: the call has raised an error of SQLite.
        """
        token = object()
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, token, call)
        except asyncio.CancelledError:
            self._interrupt(token)
            raise
        finally:
            self.waiting -= 1

    def _call(self, token: object, call: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._lock:
            self._under_way, self._over = token, False
        try:
            return call(self._connection)
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from error
        finally:
            with self._lock:
                self._under_way = None

    def _interrupt(self, token: object) -> None:
        with self._lock:  # so that it never is another's read that ends
            if self._under_way is token:
                self._over = True

    def close(self) -> None:
        """End the thread, and what it does, and close the connection."""
        with self._lock:
            self._over = self._under_way is not None
        self._thread.shutdown(cancel_futures=True)
        self._connection.close()
