"""The one writer: group commit.

While a transaction is on its way to the disk, further writes gather; the next transaction takes all of them. So one
fsync serves many requests under load, and a lone request waits only for its own. A future resolves only after the
commit that it was part of.

The writer has a thread, so that the event loop waits for no disk. But to hand a batch over and be told of it takes two
threads to wake and wait for Python's lock, which under load is a sixth of what a job costs. So what is short is
written in the event loop itself as long as the disk is quicker than that, and all else in the thread: what is long, or
unusual, or has to wait for another process.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from asyncjob.sqlite.database import BUSY_TIMEOUT_MS
from asyncjob.sqlite.rows import Row, RowsRefused
from asyncjob.sqlite.transaction import Insisted, Item, Operation, Results, Rows
from asyncjob.store import NotSaved, Observer, Told

MAX_BATCH = 1_000  # writes in one transaction
AGAIN_SECONDS = 0.5  # the pause before a write that must not be given up is tried again
QUICK_SECONDS = 0.0005  # that the event loop may wait for the disk; the thread costs about as much
COPYING_SECONDS = 0.02  # that it may take a quick one to copy SQLite's log into the file
MOST_TIMES = 100  # as long as an answer took, the thread writes before the event loop tries again
HARMLESS_SECONDS = 0.002  # that it may wait for one that is quick again with the next answer
SELDOM_TIMES = 3  # as long as a longer answer took, until the next slow one is again one of now and then
Result = TypeVar("Result")
Claimed = TypeVar("Claimed")
Transact = Callable[[sqlite3.Connection, Sequence[Item], frozenset[str]], tuple[Results, Claimed]]
Short = Callable[[sqlite3.Connection, Sequence[Item]], tuple[Results, Claimed] | None]


class Disk:
    """Whether the disk is so quick that the event loop may wait for it, judged by how long it had to.

    After a slow answer the thread writes for as long as that took, since now and then SQLite copies its log into the
    file; if the next slow one follows soon, for twice as many times as long, up to a hundred. So the event loop spends
    a hundredth of its time at most on a disk that is slow. On one that is now quick, now slow, it spends a fifth
    at most on answers that others would notice. After an answer that was no mere copying it is a hundred times at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slow_until = 0.0
        self._soon_until = 0.0
        self._times = 1

    def is_quick(self) -> bool:
        """Whether the event loop may write the next batch."""
        return self._clock() >= self._slow_until

    def waited(self, seconds: float) -> None:
        """The event loop has written a batch, and waited that long for the disk."""
        now = self._clock()
        if seconds <= QUICK_SECONDS:
            if now >= self._soon_until:
                self._times = 1
            return
        times = MOST_TIMES if seconds > COPYING_SECONDS else self._times
        self._slow_until = now + times * seconds
        if seconds > HARMLESS_SECONDS:
            self._soon_until = max(self._soon_until, self._slow_until + SELDOM_TIMES * seconds)
        self._times = min(2 * times, MOST_TIMES)


class Writer(Generic[Claimed]):
    """Writes in transactions, each as large as what has gathered.

    Args:
        connection: only the writer uses it from now on.
        transact: makes a transaction, of a batch and the statements whose rows must be written one by one. If it
            raises, what it has begun is rolled back and it is called again, so it must change nothing but the database.
        short: the same in the event loop, if the batch is a short one; None for any other. If it raises, `transact` is
            called.
        committed: called after a commit, in the same thread, with what `transact` or `short` returned last.
        told: called in the event loop before the transaction's futures resolve.
        claimed: called in the event loop with the same, after the transaction's futures have resolved.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        transact: "Transact[Claimed]",
        short: "Short[Claimed]",
        committed: Callable[[Claimed], None],
        told: Callable[[], None],
        claimed: Callable[[Claimed], None],
    ) -> None:
        self._connection = connection
        self._transact = transact
        self._short = short
        self._committed = committed
        self._told = told
        self._claimed = claimed
        self._observer = Observer()
        self._gathered: list[Item] = []
        self._refused: dict[Told, asyncio.TimerHandle] = {}  # writes that will be tried again
        self._closing = False
        self._disk = Disk()
        self._waits_for_locks = True  # as a new connection does
        self._in_thread = 0  # writes that the thread has, which uses the connection as long as there are any
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
        """Write what gathers in one turn of the event loop together, or while the thread writes."""
        loop = item.future.get_loop()
        if self._closing:
            loop.call_soon(_fail, item.future, NotSaved("the store is closed"))
            return
        self._gathered.append(item)
        if len(self._gathered) == 1 and not self._in_thread:
            loop.call_soon(self._write_gathered)

    def _write_gathered(self) -> None:
        batch, self._gathered = self._gathered, []
        if batch and not self._write_here(batch):
            self._in_thread += len(batch)
            self._queue.put(batch)

    def _write_here(self, batch: list[Item]) -> bool:
        """Write a short batch in the event loop; False if that is for the thread."""
        if self._closing or self._thread.ident is None or not self._disk.is_quick():
            return False
        began, idle = time.perf_counter(), _idle()
        try:
            self._wait_for_locks(False)
            with self._undoing():
                done = self._short(self._connection, batch)
        except Exception:  # whatever it is, nothing was written, and the thread meets it again
            self._disk.waited(_idle() - idle)
            return False
        if done is None:
            return False
        results, claimed = done
        seconds = time.perf_counter() - began
        self._disk.waited(_idle() - idle)
        self._saved(batch, seconds, claimed)
        self._resolve(results, claimed)
        return True

    def _wait_for_locks(self, waits: bool) -> None:
        """Whether to wait if another process has locked the file."""
        if waits != self._waits_for_locks:
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS if waits else 0}")
            self._waits_for_locks = waits

    async def close(self) -> None:
        """Commit all writes so far, end the thread and close the connection. None is taken or tried after this."""
        self._closing = True
        for future, timer in self._refused.items():
            timer.cancel()
            _fail(future, NotSaved("the store was closed before there was room"))
        self._refused.clear()
        self._write_gathered()
        self._queue.put(None)
        if self._thread.ident is None:  # it was never started, but may have something to write all the same
            self._thread.start()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            for start in range(0, len(batch), MAX_BATCH):
                self._commit(batch[start : start + MAX_BATCH])
        self._connection.close()

    def _commit(self, batch: list[Item]) -> None:
        try:
            self._wait_for_locks(True)
            results, claimed = self._transaction(batch)
        except Exception as error:
            self._observer.not_saved()
            if len(batch) > 1 and not _is_locked(error):  # a write that cannot be saved must not take others with it
                for item in batch:
                    self._commit([item])
            else:
                batch[0].future.get_loop().call_soon_threadsafe(self._refuse, batch, error)
        else:
            batch[0].future.get_loop().call_soon_threadsafe(self._written, len(batch), results, claimed)

    def _transaction(self, batch: list[Item]) -> tuple[Results, Claimed]:
        singly: frozenset[str] = frozenset()
        while True:
            try:
                return self._try(batch, singly)
            except RowsRefused as refused:
                singly |= {refused.statement}

    def _try(self, batch: list[Item], singly: frozenset[str]) -> tuple[Results, Claimed]:
        began = time.perf_counter()
        with self._undoing():
            results, claimed = self._transact(self._connection, batch, singly)
        self._saved(batch, time.perf_counter() - began, claimed)
        return results, claimed

    @contextmanager
    def _undoing(self) -> Iterator[None]:
        """Roll back a transaction that fails."""
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # after some, such as a full disk, SQLite has done so already
                self._connection.execute("ROLLBACK")
            raise

    def _saved(self, batch: list[Item], seconds: float, claimed: Claimed) -> None:
        self._committed(claimed)
        self._observer.saved(seconds, sum([len(item.rows) if isinstance(item, Rows) else 1 for item in batch]))

    def _written(self, count: int, results: Results, claimed: Claimed) -> None:
        """The thread has written so many."""
        self._leave_thread(count)
        self._resolve(results, claimed)

    def _leave_thread(self, count: int) -> None:
        self._in_thread -= count
        if self._gathered and not self._in_thread:
            self._gathered[0].future.get_loop().call_soon(self._write_gathered)

    def _resolve(self, results: Results, claimed: Claimed) -> None:
        self._told()
        for future, result in results:
            if not future.done():  # a request that was canceled has canceled its future
                try:
                    future.set_result(result)
                except Exception as error:  # from what is no future; the others must be told all the same
                    future.get_loop().call_exception_handler({"message": "not told", "exception": error})
        self._claimed(claimed)

    def _refuse(self, batch: list[Item], error: Exception) -> None:
        """The thread could not write these."""
        self._leave_thread(len(batch))
        if isinstance(error, (sqlite3.Error, MemoryError)):
            error = NotSaved(str(error) or "out of memory")
        for item in batch:
            self._refuse_one(item, error)

    def _refuse_one(self, item: Item, error: Exception) -> None:
        """Fail the write's future, or try again after a pause."""
        if item.insisted is None or self._closing or not isinstance(error, NotSaved):
            _fail(item.future, error)
        elif not item.future.done():
            self._observer.trying_again(item.insisted.verb, item.insisted.jobs, error)
            self._refused[item.future] = item.future.get_loop().call_later(AGAIN_SECONDS, self._try_again, item)

    def _try_again(self, item: Item) -> None:
        del self._refused[item.future]
        self._gather(item)


def _idle() -> float:
    """A clock that stands still while this thread works, in seconds."""
    return time.perf_counter() - time.thread_time()


def _is_locked(error: Exception) -> bool:
    """Whether another process has locked the file, so that each further write would wait as long and in vain."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY  # the bits above say why


def _fail(future: Told, error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
