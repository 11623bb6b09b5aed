"""Short reads, which the event loop makes itself, and long ones, each kind in a thread of its own.

A search among a million jobs takes a good part of a second. If nobody waits for it any more, because the client has
left or the time is up, it is taken out of the queue or, once it has begun, interrupted.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from asyncjob.sqlite.statements import SQL
from asyncjob.store import Unreadable

STEPS = 10_000  # of SQLite's machine (a fraction of a millisecond) between two checks that the read is still wanted

Result = TypeVar("Result")


class Lookup:
    """A connection for short reads. All of them raise Unreadable.

    Args:
        connection: only this object uses it, and closes it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._shares = False

    def one(self, name: str, **values: Any) -> Any:
        """The first row of a statement, or None."""
        return next(iter(self.all(name, **values)), None)

    def shared(self, name: str, values: dict[str, Any]) -> Any:
        """As `one`, in one transaction with all such reads of this turn of the event loop, which is half of their cost.

        They see the file as it was at the first of them, until `renew`.
        """
        try:
            if not self._shares:
                asyncio.get_running_loop().call_soon(self.renew)
                self._connection.execute("BEGIN")
                self._shares = True
            return self._connection.execute(SQL[name], values).fetchone()
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from error

    def renew(self) -> None:
        """Have reads see what was committed meanwhile. It never raises: who calls it has others to tell."""
        if self._shares:
            self._shares = False
            with suppress(sqlite3.Error):  # after some errors, such as a failed read, SQLite has already rolled back
                self._connection.execute("ROLLBACK")

    def all(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        try:
            return self._connection.execute(SQL[name], values).fetchall()
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from error

    def each(self, name: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement one by one, if they may be too many or too large to hold them all."""
        try:
            yield from self._connection.execute(SQL[name], values)
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._shares = False
        self._connection.close()


class Reader:
    """A connection, and the one thread that reads with it.

    Args:
        connection: only this object uses it, and closes it.
        name: the thread's.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.waiting = 0  # reads that were asked for and are not done
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._under_way: object = None
        self._over = False
        # Connection.interrupt would do nothing to a statement that is about to begin.
        connection.set_progress_handler(lambda: self._over, STEPS)

    async def read(self, call: Callable[[sqlite3.Connection], Result]) -> Result:
        """Make a call in the thread, in turn. To cancel this ends the read.

        Raises:
            Unreadable: the call raised an error of SQLite.
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
        with self._lock:  # so that it is never another read that ends
            if self._under_way is token:
                self._over = True

    def close(self) -> None:
        """End the thread and its read, and close the connection."""
        with self._lock:
            self._over = self._under_way is not None
        self._thread.shutdown(cancel_futures=True)
        self._connection.close()
