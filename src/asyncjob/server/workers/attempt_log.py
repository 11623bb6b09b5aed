"""What the server knows of the lines of one attempt: which are kept, and how many more may go into its own log."""

import time
from collections import deque
from dataclasses import dataclass, field

from asyncjob.server.workers.lines import MAX_CHARACTERS, MAX_LINES

AT_ONCE, EACH_SECOND = 1_000, 10  # lines of one attempt, or of one worker, in the server's log


class Allowance:
    """How many lines one attempt, or one worker, may write to the server's log.

    Attributes:
        left_out: how many lines had none since `take` was last asked with success.
    """

    __slots__ = ("_at", "_left", "left_out")

    def __init__(self) -> None:
        self.left_out = 0
        self._left = float(AT_ONCE)
        self._at = time.monotonic()

    def take(self) -> int | None:
        """Whether one more may be written: if so, how many were left out before it; if not, None."""
        if self._left < 1:
            now = time.monotonic()
            self._left = min(AT_ONCE, self._left + (now - self._at) * EACH_SECOND)
            self._at = now
        if self._left < 1:
            self.left_out += 1
            return None
        self._left -= 1
        left_out, self.left_out = self.left_out, 0
        return left_out


@dataclass(slots=True, eq=False)
class AttemptLog:
    """What the server knows of the lines of one attempt.

    Attributes:
        began: milliseconds since 1970; no line is older.
        last: the number of the last line.
        room: characters for more first lines; 0 once one had none.
        first: the number of the last of the first lines.
        newest: the numbers and sizes of the later ones that are kept.
        newest_size: the sum of those sizes.
        allowance: for the server's log.
    """

    began: int
    last: int = 0
    room: int = MAX_CHARACTERS
    first: int = 0
    newest: deque[tuple[int, int]] = field(default_factory=deque)
    newest_size: int = 0
    allowance: Allowance = field(default_factory=Allowance)

    def keep(self, number: int, size: int) -> bool:
        """Count a line as kept; whether an earlier one is to be deleted for it."""
        self.last = number
        if not self.newest and self.first < MAX_LINES and size <= self.room:
            self.first = number
            self.room -= size
            return False
        self.room = 0
        self.newest.append((number, size))
        self.newest_size += size
        cuts = False
        while len(self.newest) > MAX_LINES or self.newest_size > MAX_CHARACTERS:
            self.newest_size -= self.newest.popleft()[1]
            cuts = True
        return cuts
