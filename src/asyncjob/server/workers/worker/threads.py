"""The threads that run sync jobs: a new one when none is idle, since every job that was sent must run at once.

A job function can throw an exception into any thread, for instance to stop another function, and it may arrive too
late, when the thread is idle or runs another job. So a call stays where its thread finds it again, and is repeated
until it returns.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

Call = Callable[[], None]


class _Place:
    """What one thread runs, and what wakes it."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self.woken: queue.SimpleQueue[None] = queue.SimpleQueue()


class Threads:
    """Runs calls in threads.

    Args:
        prepare: called first in each thread.
    """

    def __init__(self, prepare: Callable[[], None] = lambda: None) -> None:
        self._prepare = prepare
        self._lock = threading.Lock()
        self._idle: list[_Place] = []
        self._waiting: deque[Call] = deque()
        self._count = 0

    def start(self, call: Call) -> None:
        """Run the call in a thread: at once, or when one is idle if the system allows no more threads.

        Args:
            call: repeated if an exception from elsewhere ends it; it returns once its work is done.

        Raises:
            RuntimeError: the system does not allow a single thread.
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
                with suppress(BaseException):  # it came from elsewhere; place.call is still there
                    self._serve(place)
        finally:
            os._exit(1)  # another one, in the few instructions outside the loop: the server notices

    def _serve(self, place: _Place) -> None:
        while True:
            while place.call is None:
                place.woken.get()
            place.call()
            with self._lock:
                place.call = self._waiting.popleft() if self._waiting else None
                if place.call is None:
                    self._idle.append(place)
