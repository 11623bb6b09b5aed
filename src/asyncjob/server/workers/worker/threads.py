"""The threads that run sync jobs: a new one when none is idle, since all jobs that were sent are to run at once.

A job function can throw an exception into any thread, and those that stop others by it may come too late: the thread
is idle by then, or runs another job. So a call is put where its thread finds it again, and is called until it returns.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

Call = Callable[[], None]


class _Place:
    """One thread: what it runs, and how it is woken."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self.woken: queue.SimpleQueue[None] = queue.SimpleQueue()


class Threads:
    """Runs calls in threads.

    Args:
        prepare: called first in each of them.
    """

    def __init__(self, prepare: Callable[[], None] = lambda: None) -> None:
        self._prepare = prepare
        self._lock = threading.Lock()
        self._idle: list[_Place] = []
        self._waiting: deque[Call] = deque()
        self._count = 0

    def start(self, call: Call) -> None:
        """Run the call in a thread: at once, or when one is idle if the system gives no more of them.

        Args:
            call: called again when an exception from elsewhere comes out of it; it returns once it has done its work.

        Raises:
            RuntimeError: the system gives not a single thread.
        """
        with self._lock:
            place = self._idle.pop() if self._idle else None
            if place is not None:
                place.call = call
                place.woken.put(None)
                return
        place = _Place()
        place.call = call
        try:
            threading.Thread(target=self._work, args=[place], daemon=True).start()
            self._count += 1
        except RuntimeError:
            if not self._count:
                raise
            with self._lock:
                self._waiting.append(call)

    def _work(self, place: _Place) -> None:
        try:
            self._prepare()
            while True:
                with suppress(BaseException):  # thrown into this thread from elsewhere; place.call is still there
                    self._serve(place)
        finally:
            os._exit(1)  # one more, within the few instructions that are left: the server notices

    def _serve(self, place: _Place) -> None:
        while True:
            while place.call is None:
                place.woken.get()
            place.call()
            with self._lock:
                place.call = self._waiting.popleft() if self._waiting else None
                if place.call is None:
                    self._idle.append(place)
