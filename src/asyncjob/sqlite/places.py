"""Where a Pending job waits: in the queue, for its time, or before a gate of its function.

The queue holds what is ready and is claimed in the order of rank, so a claim looks at no clock. What waits for its time
is in an index of its own, which costs a claim nothing however many there are; promotion.py moves it on.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from asyncjob.contract import Submission
from asyncjob.options import NONE
from asyncjob.policies import NO_LIMITS, Limits
from asyncjob.registry import JobFunction
from asyncjob.store import LEVEL_MS

NEVER = 2**62  # a time after all others


class Place(NamedTuple):
    """The columns of a job that say where it waits; nowhere, if it is to wait for the server.

    Attributes:
        due_at: its rank in the queue.
        run_at: the time that it waits for, in milliseconds since 1970.
        pause: given if that is so many milliseconds after it was set.
        stage: before which gate it waits.
        turn: its rank there.
    """

    due_at: int | None = None
    run_at: int | None = None
    pause: int | None = None
    stage: int | None = None
    turn: int | None = None


NOWHERE = Place()


class Places:
    """Says where jobs wait, given the functions that the server runs; before it is told, any function without limits.

    Attributes:
        functions: by type; None before it is told.
        has_limits: whether any of them has limits.
        has_keys: whether any has limits for each value of a parameter.
        has_rates: whether any has a rate.
        longest_period_ms: of all rates.
    """

    def __init__(self) -> None:
        self.functions: Mapping[str, JobFunction] | None = None
        self.has_limits = self.has_keys = self.has_rates = False
        self.longest_period_ms = 0
        self._special: frozenset[str] = frozenset()  # types whose jobs are never plain

    def take_over(self, functions: Iterable[JobFunction]) -> None:
        """Know these functions and no others."""
        self.functions = {function.name: function for function in functions}
        self._special = frozenset(
            name for name, one in self.functions.items() if one.limits or one.unique is not None or one.priority
        )
        limits = [function.limits for function in self.functions.values() if function.limits]
        rates = [rate for one in limits for rate in (one.rate, one.rate_per_key) if rate is not None]
        self.has_limits, self.has_rates = bool(limits), bool(rates)
        self.has_keys = any(one.per is not None for one in limits)
        self.longest_period_ms = max((rate.seconds * 1000 for rate in rates), default=0)

    def is_plain(self, submission: Submission) -> bool:
        """Whether a new job is ready at once, and is like any other."""
        options = submission.options
        return submission.type not in self._special and (options is NONE or not options.as_json().keys() - {"notify"})

    def function(self, name: str) -> JobFunction | None:
        """The function of this type, if it is known."""
        return None if self.functions is None else self.functions.get(name)

    def limits(self, name: str) -> Limits:
        """The limits of this type."""
        function = self.function(name)
        return NO_LIMITS if function is None else function.limits

    def ready(self, name: str, priority: int, since: int) -> Place:
        """The place of a job that may run as soon as its turn comes.

        Args:
            name: its type.
            priority: its own.
            since: when it became ready, in milliseconds since 1970; FIRST if before all others.
        """
        if self.functions is not None and name not in self.functions:
            return NOWHERE
        rank = since and since - priority * LEVEL_MS
        limits = self.limits(name)
        if not limits:
            return Place(due_at=rank)
        return Place(stage=1 if limits.per is None else 0, turn=rank)

    def after(self, pause: int, name: str, priority: int, now: int) -> Place:
        """The place of a job that may run after so many milliseconds."""
        if pause <= 0:
            return self.ready(name, priority, now)
        return Place(run_at=now + pause, pause=pause)
