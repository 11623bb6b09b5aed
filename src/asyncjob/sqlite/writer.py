"""The one thread that writes: group commit.

While a transaction is on its way to the disk, further writes gather in a queue; the next transaction takes all of them.
So one fsync serves many requests under load, and a lone request waits only for its own. A future resolves only after
the commit that it was part of.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from asyncjob.sqlite.rows import Row, RowsRefused
from asyncjob.sqlite.transaction import Insisted, Item, Operation, Results, Rows
from asyncjob.store import NotSaved, Observer, Told

MAX_BATCH = 1_000  # writes in one transaction
AGAIN_SECONDS = 0.5  # the pause before a write that must not be given up is tried again
Result = TypeVar("Result")
Claimed = TypeVar("Claimed")
Transact = Callable[[sqlite3.Connection, Sequence[Item], frozenset[str]], tuple[Results, Claimed]]


class Writer(Generic[Claimed]):
    """Writes in transactions, each as large as what has gathered.

    Args:
        connection: only the writer's thread uses it from now on.
        transact: makes a transaction, of a batch and the statements whose rows must be written one by one. If it
            raises, what it has begun is rolled back and it is called again, so it must change nothing but the database.
        committed: called in the writer's thread after a commit, with what `transact` returned last.
        told: called in the event loop before the transaction's futures resolve.
        claimed: called in the event loop with the same, after the transaction's futures have resolved.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        transact: "Transact[Claimed]",
        committed: Callable[[Claimed], None],
        told: Callable[[], None],
        claimed: Callable[[Claimed], None],
    ) -> None:
        self._connection = connection
        self._transact = transact
        self._committed = committed
        self._told = told
        self._claimed = claimed
        self._observer = Observer()
        self._gathered: list[Item] = []
        self._refused: dict[Told, asyncio.TimerHandle] = {}  # writes that will be tried again
        self._closing = False
        self._queue: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self, observer: Observer) -> None:
        """Start to write, and tell the observer of each transaction and of each write that is tried again."""
        self._observer = observer
        self._thread.start()

    def do(
        self, call: Callable[[sqlite3.Connection], Result], insisted: Insisted | None = None, *, moves: bool = True
    ) -> "asyncio.Future[Result]":
        """Make a call in the next transaction, before all rows.

        Args:
            call: it is called again if it could not be saved together with others.
            insisted: given for a write that is tried again until it is saved.
            moves: whether the call may change where a job waits.

        Returns:
            A future of the call's result, which resolves once that is on the disk. It fails with NotSaved if nothing of
            the call was saved.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._gather(Operation(call, future, insisted, moves))
        return future

    def ask(self, told: Told, call: Callable[[sqlite3.Connection], Any], insisted: Insisted | None = None) -> None:
        """Make a call in the next transaction, as `do` does, and tell its result."""
        self._gather(Operation(call, told, insisted))

    def write(
        self, statement: str, rows: Sequence[Row], insisted: Insisted | None = None
    ) -> "asyncio.Future[list[bool]]":
        """Write rows in the next transaction; see `tell`.

        Returns:
            A future of what is told.
        """
        future: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self.tell(future, statement, rows, insisted)
        return future

    def tell(self, told: Told, statement: str, rows: Sequence[Row], insisted: Insisted | None = None) -> None:
        """Write rows in the next transaction, and tell of each whether it was written.

        Args:
            told: fails as the future of `do` does.
            statement: the name of a statement that takes `:rows` and `:texts`, and writes each row or refuses it.
            rows: at least one, as in `Rows`.
            insisted: as in `do`.
        """
        self._gather(Rows(statement, rows, told, insisted))

    def _gather(self, item: Item) -> None:
        """Hand over all writes of one iteration of the event loop together: one batch instead of many small ones."""
        self._gathered.append(item)
        if len(self._gathered) == 1:
            item.future.get_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Commit all writes so far, end the thread and close the connection. No write is tried again after this."""
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
        """Wait for something to write, then take everything; False once the writer is closed."""
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
            if len(batch) > 1:  # a write that cannot be saved must not take the others with it
                for item in batch:
                    self._commit([item])
            else:
                batch[0].future.get_loop().call_soon_threadsafe(self._refuse, batch[0], error)
        else:
            batch[0].future.get_loop().call_soon_threadsafe(self._resolve, results, claimed)

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
        try:
            results, claimed = self._transact(connection, batch, singly)
        except BaseException:
            if connection.in_transaction:  # after some errors, such as a full disk, SQLite has already rolled back
                connection.execute("ROLLBACK")
            raise
        self._committed(claimed)
        rows = sum([len(item.rows) if isinstance(item, Rows) else 1 for item in batch])
        self._observer.saved(time.perf_counter() - began, rows)
        return results, claimed

    def _resolve(self, results: Results, claimed: Claimed) -> None:
        self._told()
        for future, result in results:
            if not future.done():  # a request that was canceled has canceled its future
                try:
                    future.set_result(result)
                except Exception as error:  # from what is no future; the others must be told all the same
                    future.get_loop().call_exception_handler({"message": "not told", "exception": error})
        self._claimed(claimed)

    def _refuse(self, item: Item, error: Exception) -> None:
        """Fail the write's future, or try again after a pause."""
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


def _fail(future: Told, error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
