"""Places: how many more jobs may run, and what becomes of the place of a job that waits for another one.

Such a job gives its place up, so that the job that it waits for has one. Its function goes on only when it has a place
again, and takes it before any job that has not begun: its place is taken off the slots that the store has, even below
zero, and the next one that is free is its own.

A worker runs other people's code. So an attempt says that it waits, and that it has waited, once each until it is
answered, the number of those that wait has a bound, and a worker that does not read is answered later.
"""

import asyncio
import logging

from asyncjob.server.logs import log
from asyncjob.server.workers.channel import Awaited, Resume, Yielded
from asyncjob.server.workers.running import RunningAttempt, Wait, Worker
from asyncjob.store import Store

MAX_AWAITING = 10_000  # jobs that have given their place up; beyond that they keep it
UNREAD_SECONDS = 0.1  # until a worker that does not read is looked at again


class Places:
    """The places of one server's jobs.

    Args:
        store: claims a job for each slot that it is offered.

    Attributes:
        awaiting: how many jobs have given their place up.
    """

    def __init__(self, store: Store) -> None:
        self.awaiting = 0
        self._store = store
        self._wanting: dict[RunningAttempt, Worker] = {}  # each has taken a slot of the store's
        self._stopping = False
        self._said_full = False

    def give(self, count: int) -> None:
        """That many more places are free."""
        self._store.offer(count)
        if self._wanting:
            self._resume(count)

    def withdraw(self, worker: Worker) -> None:
        """A worker with places of its own offers no places any more: those of its attempts are not counted."""
        for attempt in worker.attempts.values():
            wants = attempt.wait is not None and attempt.wait.wants
            self.end_wait(worker, attempt)
            if wants:
                self._go_on(worker, attempt)
        self._store.offer(-worker.free)

    def hear(self, worker: Worker, attempt: RunningAttempt, message: Yielded | Awaited) -> bool:
        """A worker says that this attempt waits, or has waited. Returns whether that can be so."""
        if isinstance(message, Yielded):
            return self._yield(worker, attempt)
        if attempt.wait is None or attempt.wait.wants:
            return False
        attempt.wait.wants = True
        self._want(worker, attempt)
        return True

    def end_wait(self, worker: Worker, attempt: RunningAttempt) -> None:
        """The attempt is about to end, or its worker is: it counts as one that has a place, as all others do."""
        if attempt.wait is not None and attempt.wait.aside:
            self._count(worker, attempt.wait, -1)
            if self._wanting.pop(attempt, None) is None:
                self._store.offer(-1)

    def stop(self) -> None:
        """No job is claimed any more: whoever has waited, or will have, goes on at once."""
        self._stopping = True
        for attempt, worker in list(self._wanting.items()):
            self._go_on(worker, attempt)

    def _yield(self, worker: Worker, attempt: RunningAttempt) -> bool:
        if attempt.wait is not None:
            return False
        attempt.wait = Wait()
        if attempt.recorded or (worker.retired and worker.capacity):
            return True  # its place is not counted
        if self.awaiting >= MAX_AWAITING:
            self._say_full()
            return True
        self._count(worker, attempt.wait, 1)
        self.give(1)
        self._store.wake()
        return True

    def _want(self, worker: Worker, attempt: RunningAttempt) -> None:
        if worker.attempts.get(attempt.key) is not attempt or attempt.wait is None or attempt.recorded:
            return  # it has ended, or is told to
        if worker.process.is_unread:
            asyncio.get_running_loop().call_later(UNREAD_SECONDS, self._want, worker, attempt)
        elif self._stopping or not attempt.wait.aside:
            self._go_on(worker, attempt)
        else:
            self._wanting[attempt] = worker
            self._store.offer(-1)
            # A transaction that began before may claim a job for the slot that is taken here: wait for it.
            self._store.admit(()).add_done_callback(self._counted)

    def _counted(self, done: "asyncio.Future[list[bool]]") -> None:
        if done.exception() is None:
            self._resume(1)

    def _resume(self, most: int) -> None:
        while most and self._wanting and self._store.slots + len(self._wanting) > 0:
            attempt, worker = next(iter(self._wanting.items()))
            self._go_on(worker, attempt)
            most -= 1

    def _go_on(self, worker: Worker, attempt: RunningAttempt) -> None:
        """Its place has been taken off the store's slots, or none is counted."""
        self._wanting.pop(attempt, None)
        if attempt.wait is not None and attempt.wait.aside:
            self._count(worker, attempt.wait, -1)
        attempt.wait = None
        worker.process.send([Resume(*attempt.key)])

    def _count(self, worker: Worker, wait: Wait, change: int) -> None:
        wait.aside = change > 0
        worker.aside += change
        self.awaiting += change

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            log(logging.WARNING, "so many jobs wait for jobs that more of them keep their place", limit=MAX_AWAITING)
