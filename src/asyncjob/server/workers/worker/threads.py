"""The threads that run sync jobs: every job that was sent runs at once, and a thread is woken only if it is needed.

A thread that takes a call first has another one come, if more calls wait. If its own call takes long, that one takes
the next, and so on. If it is short, the first thread has run many before the other is awake. To wake one for each call
would cost more than twice what a short job does.

A job function can throw an exception into any thread, for instance to stop another function, and it may arrive too
late, when the thread is idle or runs another job. So a call stays where its thread finds it again, and is repeated
until it returns; and whatever was broken off, each turn of a thread puts it right.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

Call = Callable[[], None]


class _Place:
    """What one thread runs, at most one call, and what wakes it."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()
        self.woken: queue.SimpleQueue[None] = queue.SimpleQueue()


class Threads:
    """Runs calls in threads.

    Args:
        prepare: called first in each thread.
        between: called by a thread after each call, and before the next if there is one: with False if it is the last
            to do so for the time being.
    """

    def __init__(self, prepare: Callable[[], None], between: Callable[[bool], None]) -> None:
        self._prepare = prepare
        self._between = between
        self._lock = threading.Lock()
        self._waiting: deque[Call] = deque()
        self._next = iter(self._waiting.popleft, None)
        self._idle: dict[_Place, None] = {}
        self._coming: _Place | None = None  # whose thread was woken, or made, and has not looked for a call yet
        self._count = 0

    def start(self, call: Call) -> None:
        """Run the call in a thread: at once, or when one is idle if the system allows no more threads.

        Args:
            call: repeated if an exception from elsewhere ends it; it returns once its work is done.

        Raises:
            RuntimeError: the system does not allow a single thread.
        """
        with self._lock:
            self._waiting.append(call)
            self._bring()

    def _bring(self) -> bool:
        """Have a thread come, unless one does or no call waits; whether one does then."""
        if self._coming is not None or not self._waiting:
            return self._coming is not None
        if self._idle:
            place = next(reversed(self._idle))  # the one that has run last; it leaves by itself
            place.woken.put(None)
        else:
            place = _Place()
            try:
                threading.Thread(target=self._work, args=[place], daemon=True).start()
            except RuntimeError:
                if not self._count:
                    raise
                return False
            self._count += 1
        self._coming = place
        return True

    def _work(self, place: _Place) -> None:
        try:
            self._prepare()
            while True:
                with suppress(BaseException):  # it came from elsewhere; place.calls still has the call
                    self._serve(place)
        finally:
            os._exit(1)  # another one, in the few instructions outside the loop: the server notices

    def _serve(self, place: _Place) -> None:
        while True:
            self._take(place)
            if place.calls:
                place.calls[0]()
                place.calls.clear()
            else:
                place.woken.get()

    def _take(self, place: _Place) -> None:
        """Take the next call if there is one, and have another thread come for those behind it."""
        with self._lock:
            self._idle.pop(place, None)
            if self._coming is place:
                self._coming = None
            if not place.calls:
                if self._waiting:
                    place.calls.extend(islice(self._next, 1))  # one step, so that no exception can come in between
                else:
                    self._idle[place] = None
            is_followed = self._bring()
        self._between(is_followed)
