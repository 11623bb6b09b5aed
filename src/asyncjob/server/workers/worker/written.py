"""What functions have logged and printed and the server does not have yet: of each attempt, and of none.

A thread of its own sends it. It starts with the first line: a worker whose functions log nothing has none. As long as
that is not too often, each line is sent at once and its function waits for that: if it is the last thing that happens
before the process dies, it should be there. When more is written, it is sent fifty times a second.

However much is written, little waits here: an attempt's first lines, which are all sent, and of those that follow the
newest, which are sent once a second. What is left out shows in the numbers of the lines.
"""

import threading
import time
from collections import deque
from collections.abc import Container
from contextlib import suppress

from asyncjob.job import now_ms
from asyncjob.server.workers.channel import AttemptKey, Line, Logged
from asyncjob.server.workers.lines import MAX_CHARACTERS, MAX_LINE_CHARACTERS, MAX_LINES, STREAMS, readable
from asyncjob.server.workers.worker.outbox import Outbox

SENDS_A_SECOND = 50
PAUSE_SECONDS = 0.02  # once it were more
NEWEST_SECONDS = 1.0
SENT_AT_ONCE = 64 << 10  # characters, until the next time
MAX_WAITING = 8 << 20  # characters, of all attempts
SENT_SECONDS = 0.05  # that who writes waits at most
MAX_BEGUN = 1_000  # lines

NOBODY: AttemptKey = ("", 0)


class _Lines:
    """Of one attempt."""

    def __init__(self) -> None:
        self.number = 0
        self.begun: dict[tuple[str, int], str] = {}  # lines that are not whole, by their stream and thread
        self.first: list[Line] = []
        self.room = MAX_CHARACTERS  # for more first lines; 0 once one had none
        self.newest: deque[Line] = deque()
        self.newest_size = 0

    def add(self, line: Line) -> int:
        """Keep a line; returns by how much what waits has grown."""
        if line.number <= MAX_LINES and line.size <= self.room:
            self.first.append(line)
            self.room -= line.size
            return line.size
        self.room = 0
        before = self.newest_size
        self.newest.append(line)
        self.newest_size += line.size
        while len(self.newest) > MAX_LINES or self.newest_size > MAX_CHARACTERS:
            self.newest_size -= self.newest.popleft().size
        return self.newest_size - before

    def take(self, *, all_of_them: bool) -> tuple[list[Line], int]:
        """Those to send now, and their size."""
        lines, self.first = self.first, []
        if all_of_them:
            lines += self.newest
            self.newest.clear()
            self.newest_size = 0
        return lines, sum([line.size for line in lines])


class Written:
    """The lines of one worker.

    Args:
        outbox: to the server.
        level: the lowest at which what is printed is kept.

    Attributes:
        closed: whether nothing more is kept, because this process is a fork of the worker.
        running: the attempts that run; what another writes belongs to none.
    """

    def __init__(self, outbox: Outbox, level: int = 0) -> None:
        self.closed = False
        self.running: Container[AttemptKey] = ()
        self._outbox = outbox
        self._level = level
        self._of: dict[AttemptKey, _Lines] = {}
        self._ready: dict[AttemptKey, None] = {}  # in this order: those of which something waits
        self._size = 0  # of all that waits
        self._lock = threading.RLock()  # a destructor may log wherever it is called
        self._told = threading.Event()
        self._sent = threading.Event()
        self._is_quiet = True
        self._newest_at = 0.0
        self._sends: float = SENDS_A_SECOND  # that it may make without a pause
        self._sent_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Keep nothing more."""
        self.closed = True

    def log(self, key: AttemptKey, level: int, logger: str, message: str, traceback: str) -> None:
        """Keep a line, of which every part is readable and within its bounds."""
        with self._lock:
            self._add(self._owner(key), level, logger, message, traceback)
        self._wake()

    def write(self, key: AttemptKey, stream: str, text: str) -> None:
        """Keep what was printed: a line once it is whole.

        What follows a carriage return replaces what was before it, as on a terminal: of a progress bar, only the last
        state is kept.
        """
        if STREAMS[stream] < self._level:
            return
        place = stream, threading.get_ident()
        with self._lock:
            key = self._owner(key)
            begun = self._lines(key).begun
            *whole, rest = (begun.pop(place, "") + text).split("\n")
            rest = rest[rest.rfind("\r", 0, len(rest) - 1) + 1 :]
            if rest:
                begun[place] = rest[: 2 * MAX_LINE_CHARACTERS]
            for line in whole:
                self._add_printed(key, stream, line)
            if len(begun) > MAX_BEGUN:
                self._end_begun(key)
        if whole:
            self._wake()

    def end(self, key: AttemptKey) -> None:
        """The attempt runs no more: what is left of it goes with what is sent next."""
        with self._lock:
            if key in self._of:
                self._end_begun(key)
                self._put(key, all_of_them=True)
                del self._of[key]

    def send_rest(self) -> None:
        """Send everything, since the process ends."""
        if not self.closed and self._lock.acquire(timeout=SENT_SECONDS):
            try:
                for key in self._of:
                    self._end_begun(key)
                    self._put(key, all_of_them=True)
            finally:
                self._lock.release()
            self._outbox.send_waiting()

    # -- inside, under the lock ----------------------------------------------------------------------------------

    def _owner(self, key: AttemptKey) -> AttemptKey:
        return key if key in self.running else NOBODY

    def _lines(self, key: AttemptKey) -> _Lines:
        lines = self._of.get(key)
        if lines is None:
            lines = self._of[key] = _Lines()
        return lines

    def _add_printed(self, key: AttemptKey, stream: str, text: str) -> None:
        message = readable(text.rstrip("\r").rpartition("\r")[2], MAX_LINE_CHARACTERS).rstrip()
        if message:
            self._add(key, STREAMS[stream], stream, message)

    def _add(self, key: AttemptKey, level: int, logger: str, message: str, traceback: str = "") -> None:
        lines = self._lines(key)
        lines.number += 1
        line = Line(lines.number, now_ms(), level, logger, message, traceback)
        if self._size + line.size <= MAX_WAITING:
            self._size += lines.add(line)
            self._ready[key] = None

    def _end_begun(self, key: AttemptKey) -> None:
        lines = self._lines(key)
        begun, lines.begun = lines.begun, {}
        for (stream, _), text in begun.items():
            self._add_printed(key, stream, text)

    def _put(self, key: AttemptKey, *, all_of_them: bool) -> int:
        taken, size = self._of[key].take(all_of_them=all_of_them)
        self._size -= size
        if taken:
            self._outbox.put(Logged(*key, taken))
        if not self._of[key].newest:
            self._ready.pop(key, None)
        return size

    # -- sending -------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._is_quiet:
            return
        self._is_quiet = False
        self._sent.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            with suppress(RuntimeError):  # no more threads are allowed: it leaves with the outcome
                self._thread.start()
        self._told.set()
        self._sent.wait(SENT_SECONDS)

    def _run(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            while self._send_all():
                time.sleep(PAUSE_SECONDS)

    def _send_all(self) -> bool:
        """Send until nothing is left; True if there is a pause to make first."""
        while True:
            sent = self._put_some()
            self._outbox.send_waiting()
            self._sent.set()
            with self._lock:
                may_send = not sent or self._may_send_again()
                if not (may_send and sent and self._ready):
                    self._is_quiet = may_send and not self._ready
                    return not self._is_quiet

    def _put_some(self) -> int:
        now = time.monotonic()
        with self._lock:
            all_of_them = now >= self._newest_at + NEWEST_SECONDS
            size = 0
            for key in list(self._ready):
                if size >= SENT_AT_ONCE:
                    return size
                size += self._put(key, all_of_them=all_of_them)
                if self._ready.pop(key, 0) is None:
                    self._ready[key] = None  # behind the others
            if all_of_them:
                self._newest_at = now
            return size

    def _may_send_again(self) -> bool:
        """Whether there was not much to send lately."""
        now = time.monotonic()
        self._sends = min(SENDS_A_SECOND, self._sends + (now - self._sent_at) * SENDS_A_SECOND) - 1
        self._sent_at = now
        return self._sends >= 0
