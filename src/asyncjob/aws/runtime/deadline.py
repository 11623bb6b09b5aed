"""When what must be over: the function, its invocation's writes, its attempt in the eyes of everybody else.

claimed ── function ──┤ its timeout, or what the invocation has left
                      ├── outcome, a second to stop ──┤ the attempt is lost for others
                      └── last write ─────────────────┼──┤ Lambda ends the invocation
"""

import time
from dataclasses import dataclass

from asyncjob.aws.runtime.dynamodb import LAST_WRITE_SECONDS
from asyncjob.aws.runtime.record import now_ms

STOP_SECONDS = 1.0  # what a function gets, after its deadline, to notice it before its process ends
OUTCOME_SECONDS = 1.0  # of the invocation, for the outcome
CLAIM_SECONDS = 1.0  # that a claim may take before it costs the function of its timeout
CLOCK_SKEW_MS = 1_500


@dataclass(frozen=True)
class Deadline:
    """The ends of an attempt, each in the clock of whoever keeps it.

    Attributes:
        function: of the monotonic clock; the function has no longer than this.
        writes: seconds since 1970; until then the table may be written.
        attempt: milliseconds since 1970; from then on another attempt may begin.
    """

    function: float
    writes: float
    attempt: int


def deadline(available: float, timeout: float | None) -> Deadline:
    """The deadline of an attempt that begins now.

    Args:
        available: seconds that the invocation has left.
        timeout: the function's own, in seconds; None if it has none.
    """
    longest = available - LAST_WRITE_SECONDS - OUTCOME_SECONDS
    if timeout is not None:
        longest = min(longest, CLAIM_SECONDS + timeout)
    lasts = min(available, longest + OUTCOME_SECONDS + STOP_SECONDS)
    return Deadline(
        function=time.monotonic() + longest,
        writes=time.time() + available - LAST_WRITE_SECONDS,
        attempt=now_ms() + int(lasts * 1_000) + CLOCK_SKEW_MS,
    )
