"""When jobs begin by themselves: `Cron` and `Every`, as users write them, and the times that they name.

A time that is named is an occurrence. It is one job, whose id is made of the schedule's and of that time, so it is
there once, whatever restarts.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.util import find_spec
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from asyncjob import durations
from asyncjob.encoding import encode
from asyncjob.job import now_ms
from asyncjob.options import Options

if TYPE_CHECKING:
    from asyncjob.cron import CronTimes

SCHEDULE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")  # the id of a job that it begins has a ~ after it
SCHEDULE_ID_RULE = "1 to 64 of A-Z a-z 0-9 - . _, not beginning with a dot"
LEAST_CRON_SECONDS = 60  # between two occurrences
NEVER_OPTIONS = ("runAt", "startBy")  # one time, for jobs that come again and again


class Times(Protocol):
    """The times that a schedule names."""

    def after(self, at: int) -> int | None:
        """The first one after `at`, in whole seconds since 1970; None if no more come."""

    @property
    def least_period(self) -> int:
        """The fewest seconds between two of them."""


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """What `Cron` and `Every` have in common.

    Attributes:
        parameters: of each job.
        missed: what becomes of times that nobody was there for, because the server was down or the queue full: `last`
            runs the last of them, `all` runs all, but no more than the last 1,000, and `none` runs only one that is at
            most a minute late.
        overlap: `skip` begins no job while the last one has not ended; `run` begins one all the same.
        options: of each job: a priority, a delay, who is told of its end.
        id: the schedule's; by default the function's name.
    """

    parameters: Mapping[str, Any] | None = None
    missed: Literal["last", "all", "none"] = "last"
    overlap: Literal["run", "skip"] = "run"
    options: Options | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        if self.missed not in ("last", "all", "none"):
            raise ValueError(f'missed must be "last", "all" or "none", not {self.missed!r}')
        if self.overlap not in ("run", "skip"):
            raise ValueError(f'overlap must be "run" or "skip", not {self.overlap!r}')
        if self.missed == "all" and self.overlap == "skip":
            raise ValueError('missed="all" begins several jobs at once, and overlap="skip" forbids that: choose one')
        if self.id is not None and not is_schedule_id(self.id):
            raise ValueError(f"a schedule's id must be {SCHEDULE_ID_RULE}, not {self.id!r}")
        if not isinstance(self.parameters, Mapping | None):
            raise ValueError(f"a schedule's parameters must be a mapping of names to values, not {self.parameters!r}")
        if not isinstance(self.options, Options | None):
            raise ValueError(f"a schedule's options must be such as Options(priority=5), not {self.options!r}")
        if self.options is not None and self.options.job_id is not None:
            raise ValueError("the jobs of a schedule get their ids from it: leave job_id out of its options")
        for name in NEVER_OPTIONS:
            if self.options is not None and name in self.options.as_json():
                raise ValueError(f"options.{name} is one time: the jobs of a schedule cannot all have it")

        try:
            len(self.parameters_json)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"a schedule's parameters cannot be written as JSON: {error}") from None

    @property
    @abstractmethod
    def timing(self) -> "Timing":
        """When it is due, as it is saved."""

    @property
    def parameters_json(self) -> bytes:
        """The parameters as JSON."""
        return encode({} if self.parameters is None else dict(self.parameters))


@dataclass(frozen=True)
class Cron(Schedule):
    """Begins a job whenever a cron expression says so.

    >>> @jobs.job(schedule=Cron("0 9 * * 1-5", tz="Europe/Berlin"))
    ... def report() -> dict: ...

    Attributes:
        expression: five fields: minute, hour, day of the month, month, day of the week. cron.py says what becomes of it
            when the clock is changed.
        tz: the time zone, such as `Europe/Berlin`; UTC by default.

    Raises:
        ValueError: one of them cannot be read, or no time is ever named.
    """

    expression: str = field(kw_only=False)
    tz: str = field(default="UTC", kw_only=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(map(find_spec, ("asyncjob.cron", "cronsim"))):  # as on Lambda, whose build has read the expression
            return
        if times_of(self.timing).after(now_ms() // 1_000) is None:
            raise ValueError(f"the cron expression {self.expression!r} names a time that never comes")

    @property
    def timing(self) -> "Timing":
        """When it is due, as it is saved."""
        return Timing(cron=self.expression, tz=self.tz)


@dataclass(frozen=True)
class Every(Schedule):
    """Begins a job every so many seconds: at the multiples of the period since 1970, in UTC.

    So the times stay the same whenever the server was started and whatever else is changed: `"15m"` is on the quarter
    hour, `"1d"` at midnight UTC, `"7d"` on Thursdays. For a time of day, use Cron.

    Attributes:
        period: whole seconds, at least 1, or text such as `"15m"`. It is kept as seconds.

    Raises:
        ValueError: it is neither.
    """

    period: int | float | str = field(kw_only=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        seconds = durations.seconds(self.period)
        if seconds < 1 or seconds != int(seconds):
            raise ValueError(f"a period must be whole seconds, 1 or more, not {self.period!r}")
        object.__setattr__(self, "period", int(seconds))

    @property
    def timing(self) -> "Timing":
        """When it is due, as it is saved."""
        return Timing(every=int(self.period))


class Timing(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a schedule is due, as it is saved and shown: `cron` and `tz`, or `every` so many seconds."""

    cron: str | None = None
    tz: str | None = None
    every: int | None = None


class Period:
    """The multiples of a number of seconds."""

    def __init__(self, seconds: int) -> None:
        self.least_period = seconds

    def after(self, at: int) -> int:
        """The first multiple after `at`."""
        return (at // self.least_period + 1) * self.least_period


@lru_cache(maxsize=4_096)
def times_of(timing: Timing) -> Times:
    """The times that are named.

    Raises:
        ValueError: they cannot be read: a time zone may have gone since they were saved.
    """
    if timing.every is not None:
        return Period(timing.every)
    return _cron()(timing.cron or "", timing.tz or "")


@cache
def _cron() -> "type[CronTimes]":
    from asyncjob.cron import CronTimes  # most functions have no schedule

    return CronTimes


def newest(times: Times, after: int, until: int, most: int) -> list[int]:
    """The last `most` of the times after one and until another, the oldest first; all in seconds since 1970.

    It goes back from the end in steps that hold `most` times at most, and in larger ones where there are none.
    """
    least = most * times.least_period
    found: list[int] = []
    step = least
    while len(found) < most and until > after:
        start = max(after, until - step)
        first = times.after(start)
        if first is None or first > until:
            until, step = start, step * 2
        elif step > least:
            step = max(least, step // 2)
        else:
            found = [*_between(times, first, until), *found]
            until = start
    return found[-most:]


def _between(times: Times, first: int | None, until: int) -> list[int]:
    found = []
    while first is not None and first <= until:
        found.append(first)
        first = times.after(first)
    return found


def occurrence_id(schedule_id: str, at: int) -> str:
    """The id of the job of one occurrence, `report~20261130T090000Z`; `at` is in seconds since 1970."""
    return f"{schedule_id}~{strftime('%Y%m%dT%H%M%SZ', gmtime(at))}"


def is_schedule_id(value: object) -> bool:
    """Whether it can be a schedule's id."""
    return isinstance(value, str) and SCHEDULE_ID.fullmatch(value) is not None


def schedules_of(value: Schedule | Sequence[Schedule] | None, function: str) -> dict[str, Schedule]:
    """The schedules that a user wrote for a function, by their ids.

    Raises:
        ValueError: one is something else, or two have the same id.
    """
    found: dict[str, Schedule] = {}
    for one in [] if value is None else value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(one, (Cron, Every)):
            raise ValueError(f'schedule must be such as Cron("0 9 * * 1-5") or Every("15m"), not {one!r}')
        schedule_id = function if one.id is None else one.id
        if schedule_id in found:
            raise ValueError(f"two of its schedules are called {schedule_id!r}: give one another id=")
        found[schedule_id] = one
    return found
