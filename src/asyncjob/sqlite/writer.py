"""The one thread that writes: group commit.

What is to be written gathers in a queue while a transaction is on its way to the disk; the next transaction takes all
of it. So one fsync serves many requests under load, and a lone request waits for nothing but its own. A future is
resolved only after the commit that it was part of.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from asyncjob.sqlite.transaction import Insisted, Item, Operation, Results, Row, Rows, RowsRefused
from asyncjob.store import NotSaved, Observer

MAX_BATCH = 1_000  # of what is to be written in one transaction
AGAIN_SECONDS = 0.5  # until a write that is not given up is tried again
Result = TypeVar("Result")
Claimed = TypeVar("Claimed")
Transact = Callable[[sqlite3.Connection, Sequence[Item], frozenset[str]], tuple[Results, Claimed]]


class Writer(Generic[Claimed]):
    """Writes in transactions, as much as there is in each.

    Args:
        connection: used by this thread alone from now on.
        transact: called inside each transaction, with the batch and the statements whose rows are to be written one by
            one; it runs again when the transaction is rolled back, so it has no other effect than on the database.
        committed: called in this thread after the commit, with what `transact` returned last.
        claimed: called in the event loop, with the same, after the futures of the transaction were resolved.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        transact: "Transact[Claimed]",
        committed: Callable[[Claimed], None],
        claimed: Callable[[Claimed], None],
    ) -> None:
        self._connection = connection
        self._transact = transact
        self._committed = committed
        self._claimed = claimed
        self._observer = Observer()
        self._gathered: list[Item] = []
        self._refused: dict[asyncio.Future[Any], asyncio.TimerHandle] = {}  # what is to be tried again
        self._closing = False
        self._queue: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self, observer: Observer) -> None:
        """Begin to write, and tell of each transaction and of each write that is tried again."""
        self._observer = observer
        self._thread.start()

    def do(
        self, call: Callable[[sqlite3.Connection], Result], insisted: Insisted | None = None
    ) -> "asyncio.Future[Result]":
        """Make a call in the next transaction, before all rows.

        Args:
            call: what to do; it is called again where it could not be saved with others.
            insisted: not None for a write that is tried again until it is saved.

        Returns:
            A future of what it returned, resolved once that is on the disk; it fails with NotSaved when it could not be
            saved, and then nothing of it was.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._gather(Operation(call, future, insisted))
        return future

    def write(
        self, statement: str, rows: Sequence[Row], insisted: Insisted | None = None
    ) -> "asyncio.Future[list[bool]]":
        """Write rows in the next transaction.

        Args:
            statement: the name of one that takes `:rows` and `:texts` and writes each row or refuses it.
            rows: at least one, as in `Rows`.
            insisted: as in `do`.

        Returns:
            A future that tells of each row whether it was written, as `do`.
        """
        future: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._gather(Rows(statement, rows, future, insisted))
        return future

    def _gather(self, item: Item) -> None:
        """Hand over what one iteration of the event loop gathers at once: it is one batch then, not many small ones."""
        self._gathered.append(item)
        if len(self._gathered) == 1:
            item.future.get_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Commit what was asked for, end the thread and close the connection. Nothing is tried again any more."""
        self._closing = True
        for future, timer in self._refused.items():
            timer.cancel()
            _fail(future, NotSaved("the store was closed before there was room"))
        self._refused.clear()
        self._hand_over()
        self._queue.put(None)
        if self._thread.ident is None:  # it was never started
            self._connection.close()
        else:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._take()
            for start in range(0, len(batch), MAX_BATCH):
                self._commit(batch[start : start + MAX_BATCH])
        self._connection.close()

    def _take(self) -> tuple[list[Item], bool]:
        """Wait for something to write, then take all there is; False once there will be no more."""
        batch: list[Item] = []
        try:
            items = self._queue.get()
            while items is not None:
                batch += items
                items = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: list[Item]) -> None:
        try:
            results, claimed = self._transaction(batch)
        except Exception as error:
            self._observer.not_saved()
            if len(batch) > 1:  # one that cannot be saved must not take its neighbours with it
                for item in batch:
                    self._commit([item])
            else:
                batch[0].future.get_loop().call_soon_threadsafe(self._refuse, batch[0], error)
        else:
            batch[0].future.get_loop().call_soon_threadsafe(self._deliver, results, claimed)

    def _transaction(self, batch: list[Item]) -> tuple[Results, Claimed]:
        singly: frozenset[str] = frozenset()
        while True:
            try:
                return self._try(batch, singly)
            except RowsRefused as refused:
                singly |= {refused.statement}

    def _try(self, batch: list[Item], singly: frozenset[str]) -> tuple[Results, Claimed]:
        connection = self._connection
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        try:
            results, claimed = self._transact(connection, batch, singly)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has already rolled back after some errors, a full disk among them
                connection.execute("ROLLBACK")
            raise
        self._committed(claimed)
        rows = sum(len(item.rows) if isinstance(item, Rows) else 1 for item in batch)
        self._observer.saved(time.perf_counter() - began, rows)
        return results, claimed

    def _deliver(self, results: Results, claimed: Claimed) -> None:
        for future, result in results:
            if not future.done():  # a request that was canceled has canceled its own
                future.set_result(result)
        self._claimed(claimed)

    def _refuse(self, item: Item, error: Exception) -> None:
        """Tell that it could not be saved, or try again in a while."""
        if isinstance(error, (sqlite3.Error, MemoryError)):
            error = NotSaved(str(error) or "out of memory")
        if item.insisted is None or self._closing or not isinstance(error, NotSaved):
            _fail(item.future, error)
        elif not item.future.done():
            self._observer.trying_again(item.insisted.verb, item.insisted.jobs, error)
            self._refused[item.future] = item.future.get_loop().call_later(AGAIN_SECONDS, self._try_again, item)

    def _try_again(self, item: Item) -> None:
        del self._refused[item.future]
        self._gather(item)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
