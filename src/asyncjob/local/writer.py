"""The one thread that writes: group commit.

Operations gather in a queue while a transaction is on its way to the disk; the next transaction takes all of them. So
one fsync serves many requests under load, and a lone request waits for nothing but its own. A future is resolved only
after the commit that it was part of.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

MAX_BATCH = 1_000

Operation = Callable[[sqlite3.Connection], Any]
Batch = list[tuple[Operation, "asyncio.Future[Any]"]]
Result = TypeVar("Result")
Claimed = TypeVar("Claimed")


class Writer(Generic[Claimed]):
    """Runs operations in transactions, several in one.

    Args:
        connection: used by this thread alone from now on.
        claim: called at the end of every transaction, inside it; it runs again when the transaction is retried, so it
            has no other effect than on the database.
        committed: called in this thread after the commit, with what `claim` returned.
        claimed: called in the event loop, with the same, after the futures of the transaction were resolved.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        claim: Callable[[sqlite3.Connection], Claimed],
        committed: Callable[[Claimed], None],
        claimed: Callable[[Claimed], None],
    ) -> None:
        self._connection = connection
        self._claim = claim
        self._committed = committed
        self._claimed = claimed
        self._queue: queue.SimpleQueue[tuple[Operation, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="writer")
        self._thread.start()

    def do(self, operation: Callable[[sqlite3.Connection], Result]) -> "asyncio.Future[Result]":
        """Run an operation in the next transaction.

        Returns:
            A future of what it returned, resolved once that is on the disk; it fails with sqlite3.Error when the
            operation could not be saved, and then nothing of it was.
        """
        future = self._loop.create_future()
        self._queue.put((operation, future))
        return future

    async def close(self) -> None:
        """Commit what was asked for, end the thread and close the connection."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._gather()
            self._commit(batch)
        self._connection.close()

    def _gather(self) -> tuple[Batch, bool]:
        """Wait for an operation, then take all there are; False once there will be no more."""
        batch: Batch = []
        try:
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) == MAX_BATCH:
                    return batch, True
                item = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: Batch) -> None:
        if not batch:
            return
        try:
            results, claimed = self._transaction([operation for operation, _ in batch])
        except Exception as error:
            if len(batch) > 1:  # one that cannot be saved must not take its neighbours with it
                for item in batch:
                    self._commit([item])
            else:
                self._loop.call_soon_threadsafe(_fail, batch[0][1], error)
        else:
            self._loop.call_soon_threadsafe(self._deliver, batch, results, claimed)

    def _transaction(self, operations: list[Operation]) -> tuple[list[Any], Claimed]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [operation(connection) for operation in operations]
            claimed = self._claim(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has already rolled back after some errors, a full disk among them
                connection.execute("ROLLBACK")
            raise
        self._committed(claimed)
        return results, claimed

    def _deliver(self, batch: Batch, results: list[Any], claimed: Claimed) -> None:
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():  # a client that left has canceled its own
                future.set_result(result)
        self._claimed(claimed)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
