"""What a job function asks for beside its parameters: how it is retried, what it may run beside, and what is the same.

These are values that a user writes in `@jobs.job(...)`. Each checks itself, so that a mistake is found at the import.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from asyncjob import durations

MAX_LIMIT = 1_000_000  # jobs at once, or starts in a period
MIN_MEMORY = 64 << 20  # bytes: Python and a few modules, before the function does anything
MAX_JOBS = 1_000_000  # in one isolated process
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15}) *([KMGT])(?:i?B)?", re.IGNORECASE)
_RATE = re.compile(r"([0-9]{1,7}) */ *(?:([0-9]{1,5}) *)?([smhdw])")


@dataclass(frozen=True)
class Backoff:
    """The pauses between the attempts of a job: the first, and each further one so many times as long.

    Attributes:
        first: seconds before the second attempt.
        factor: how many times as long each further pause is.
        most: seconds that no pause exceeds.
        jitter: which part of a pause is left to chance, from 0 to 1, so that jobs that failed together do not all come
            back together. A pause is never longer than it would be without.

    Raises:
        ValueError: a value is out of range.
    """

    first: float = 1.0
    factor: float = 2.0
    most: float = 300.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.first <= durations.MAX_SECONDS and 0 <= self.most <= durations.MAX_SECONDS):
            raise ValueError("Backoff: first and most must be seconds, 0 or more")
        if not 1 <= self.factor <= 1_000:
            raise ValueError("Backoff: factor must be from 1 to 1000")
        if not 0 <= self.jitter <= 1:
            raise ValueError("Backoff: jitter must be from 0 to 1")

    def longest(self, losses: int) -> float:
        """The longest pause, in seconds, after an attempt that followed so many lost ones."""
        try:
            return min(self.most, self.first * self.factor**losses)
        except OverflowError:
            return self.most

    def pause(self, losses: int) -> float:
        """A pause, in seconds, after an attempt that followed so many lost ones."""
        return self.longest(losses) * (1 - self.jitter * random.random())


@dataclass(frozen=True)
class Pauses(Backoff):
    """The pauses between attempts, one by one; the last one is repeated.

    Attributes:
        seconds: at least one, each 0 or more.
    """

    seconds: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.seconds or not all(0 <= pause <= durations.MAX_SECONDS for pause in self.seconds):
            raise ValueError("backoff must be pauses in seconds, each 0 or more, such as (10, 60, 600)")

    def longest(self, losses: int) -> float:
        """The pause after an attempt that followed so many lost ones."""
        return self.seconds[min(losses, len(self.seconds) - 1)]


@dataclass(frozen=True)
class Limit:
    """How many jobs of a function run at once.

    Attributes:
        count: at most.
        per: a parameter's name, if it counts for each value of that parameter by itself; None for all jobs together.

    Raises:
        ValueError: the count is out of range.
    """

    count: int
    per: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not (isinstance(self.count, int) and 1 <= self.count <= MAX_LIMIT):
            raise ValueError(f"concurrency must be a whole number from 1 to {MAX_LIMIT:,}, not {self.count!r}")


@dataclass(frozen=True)
class Rate:
    """How many jobs of a function start within a period, whenever the period begins.

    Attributes:
        text: such as `"60/m"`, `"10/s"` or `"5/30s"`: a number, and a period.
        per: as in `Limit`.

    Raises:
        ValueError: the text is not a rate.
    """

    text: str
    per: str | None = None

    def __post_init__(self) -> None:
        match = _RATE.fullmatch(self.text) if isinstance(self.text, str) else None
        if match is None or not 1 <= int(match[1]) <= MAX_LIMIT or match[2] == "0":
            raise ValueError(f'rate must be such as "60/m", "10/s" or "5/30s", not {self.text!r}')

    @property
    def count(self) -> int:
        """How many starts there may be in one period."""
        return int(self.text.partition("/")[0])

    @property
    def seconds(self) -> int:
        """How long the period is."""
        match = _RATE.fullmatch(self.text)
        assert match is not None
        return int(match[2] or 1) * durations.UNITS[match[3]]


@dataclass(frozen=True, init=False)
class Unique:
    """Which jobs of a function are the same, so that a second one is not wanted: the submission names the first one.

    Attributes:
        parameters: names of the parameters whose values are compared; all of them if none is named.
        while_: `waiting`: as long as the first one has not begun, so that one more may wait behind the one that runs;
            `unfinished`: as long as the first one has not ended.
        within: seconds from the submission of the first one, whether or not it runs or has succeeded; None if `while_`
            decides. One that failed or was canceled is in nobody's way.

    Raises:
        ValueError: both, or a value that there is not.
    """

    parameters: tuple[str, ...]
    while_: Literal["waiting", "unfinished"] | None
    within: float | None

    def __init__(
        self,
        *parameters: str,
        while_: Literal["waiting", "unfinished"] | None = None,
        within: float | str | None = None,
    ) -> None:
        if not all(isinstance(name, str) for name in parameters):
            raise ValueError("Unique takes names of parameters, such as Unique('accountId')")
        if while_ is not None and within is not None:
            raise ValueError("Unique: give while_ or within, not both")
        if while_ not in (None, "waiting", "unfinished"):
            raise ValueError(f'Unique: while_ must be "waiting" or "unfinished", not {while_!r}')
        period = None if within is None else durations.seconds(within)
        if period == 0:
            raise ValueError("Unique: within must be longer than 0 seconds")
        object.__setattr__(self, "parameters", parameters)
        object.__setattr__(self, "while_", "unfinished" if while_ is None and within is None else while_)
        object.__setattr__(self, "within", period)


@dataclass(frozen=True)
class Limits:
    """All limits of one function: of all its jobs together, and for each value of one parameter.

    Attributes:
        concurrency: how many run at once, of all.
        rate: how many start within a period, of all.
        per: the parameter whose values have limits of their own; None if there are no such limits.
        concurrency_per_key: how many run at once, for each value.
        rate_per_key: how many start within a period, for each value.
    """

    concurrency: Limit | None = None
    rate: Rate | None = None
    per: str | None = None
    concurrency_per_key: Limit | None = None
    rate_per_key: Rate | None = None

    def __bool__(self) -> bool:
        return self != NO_LIMITS


NO_LIMITS = Limits()
One = TypeVar("One", Limit, Rate)


@dataclass(frozen=True)
class OwnProcess:
    """How the jobs of one function run in processes of their own.

    Attributes:
        memory: bytes of data that such a process may have; None for no limit.
        max_jobs: how many jobs it runs, one after the other, before it ends.
    """

    memory: int | None = None
    max_jobs: int = 1


def own_process_of(isolate: bool, memory: str | int | None, max_jobs: int | None) -> OwnProcess | None:
    """What a user wrote of processes; None if the function shares those of all others.

    Raises:
        ValueError: there is no such value, or it says nothing without `isolate=True`.
    """
    if not isinstance(isolate, bool):
        raise ValueError(f"isolate must be True or False, not {isolate!r}")
    for name, value in (("memory", memory), ("max_jobs", max_jobs)):
        if value is not None and not isolate:
            raise ValueError(f"{name} is of a process that the function has to itself: add isolate=True")
    if not isolate:
        return None
    jobs = 1 if max_jobs is None else max_jobs
    if isinstance(jobs, bool) or not (isinstance(jobs, int) and 1 <= jobs <= MAX_JOBS):
        raise ValueError(f"max_jobs must be a whole number from 1 to {MAX_JOBS:,}, not {max_jobs!r}")
    return OwnProcess(None if memory is None else _bytes(memory), jobs)


def _bytes(size: str | int) -> int:
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    found = int(match[1]) * _UNITS[match[2].upper()] if match else size
    if isinstance(found, bool) or not isinstance(found, int):
        raise ValueError(f'memory must be such as "512M" or "2G", or a number of bytes, not {size!r}')
    if not MIN_MEMORY <= found < 1 << 60:
        raise ValueError(f"memory must be at least {MIN_MEMORY >> 20}M, which Python itself needs, not {size!r}")
    return found


def backoff_of(value: Backoff | float | str | Sequence[float | str] | None) -> Backoff | None:
    """The backoff that a user wrote: a Backoff, or the pauses one by one, or one for all.

    Raises:
        ValueError: it is none of them.
    """
    if value is None or isinstance(value, Backoff):
        return value
    try:
        return Pauses(seconds=tuple(map(durations.seconds, value if isinstance(value, (list, tuple)) else [value])))
    except ValueError:
        said = f"backoff must be a Backoff or pauses, such as (10, 60, '10m'), not {value!r}"
        raise ValueError(said) from None


def limits_of(
    concurrency: int | Limit | Sequence[int | Limit] | None, rate: str | Rate | Sequence[str | Rate] | None
) -> Limits:
    """The limits that a user wrote.

    Raises:
        ValueError: two of a kind, or for two parameters.
    """
    limits: list[Limit] = [one if isinstance(one, Limit) else Limit(one) for one in _each(concurrency)]
    rates: list[Rate] = [one if isinstance(one, Rate) else Rate(one) for one in _each(rate)]
    keys = {per for per in [*(one.per for one in limits), *(one.per for one in rates)] if per is not None}
    if len(keys) > 1:
        raise ValueError(f"the limits of one function must all be per the same parameter, not {sorted(keys)}")
    concurrency_of_all, concurrency_per_key = _split("concurrency", limits)
    rate_of_all, rate_per_key = _split("rate", rates)
    return Limits(concurrency_of_all, rate_of_all, keys.pop() if keys else None, concurrency_per_key, rate_per_key)


def _split(kind: str, given: list[One]) -> tuple[One | None, One | None]:
    """The one for all jobs, and the one for each value of a parameter."""
    if len({one.per for one in given}) < len(given):
        raise ValueError(f"{kind}: give one for all jobs, and one per value of a parameter, at most")
    of_all = next((one for one in given if one.per is None), None)
    return of_all, next((one for one in given if one.per is not None), None)


def _each(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
