"""The options of a submission: when a job runs, before what, and who is told of its end.

They have one name beside a function's parameters, `options`, so that no further name is ever taken away from functions.
Which of them an engine can keep is part of its contract; what it cannot keep, it refuses by name.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from asyncjob import durations
from asyncjob.job import milliseconds, timestamp

LOWEST_PRIORITY, HIGHEST_PRIORITY = -10, 10
PRIORITY_RULE = f"a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
MAX_NOTIFY_CHARACTERS = 2_048
MAX_NAME_CHARACTERS = 100  # of an unknown one, in what is said of it


class InvalidOptions(ValueError):
    """An option is unknown or has no such value; the message says which, and what to write."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a submission says beside the parameters. All of it may be left out.

    Attributes:
        delay: run the job this long after its submission, at the earliest: seconds, text such as `"1h30m"`, or a
            timedelta. It is kept as seconds.
        run_at: run the job at this time, at the earliest: an aware datetime, or text of RFC 3339. It is kept as the
            contract writes times.
        priority: from -10 to 10. A job with a higher priority runs before others, which rise while they wait. By
            default it is the function's, and 0 there.
        start_by: if the job has not begun by this time, it is a Failure of type `Expired`. Kept as `run_at` is.
        notify: a URL that is told how the job ended.
        job_id: the job's id, for a client's `submit`; a type checker knows it here, beside a function's own parameters.
            It is sent as `jobId`, and is no part of `options` there.

    Raises:
        InvalidOptions: one of them has no such value.
    """

    delay: float | str | timedelta | None = None
    run_at: datetime | str | None = None
    priority: int | None = None
    start_by: datetime | str | None = None
    notify: str | None = None
    job_id: str | None = None

    def __post_init__(self) -> None:
        if self.delay is not None:
            object.__setattr__(self, "delay", _delay(self.delay))
        for name, wire_name in (("run_at", "runAt"), ("start_by", "startBy")):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _time(wire_name, getattr(self, name)))
        if self.delay is not None and self.run_at is not None:
            raise InvalidOptions("options.delay and options.runAt contradict each other: give one of them")
        if self.priority is not None and not is_priority(self.priority):
            raise InvalidOptions(f"options.priority must be {PRIORITY_RULE}")
        if self.notify is not None and not (isinstance(self.notify, str) and len(self.notify) <= MAX_NOTIFY_CHARACTERS):
            raise InvalidOptions("options.notify must be a URL")

    def as_json(self) -> dict[str, Any]:
        """The options that were given, by their names in JSON; the same options give the same object."""
        return {WIRE_NAMES[name]: value for name in WIRE_NAMES if (value := getattr(self, name)) is not None}

    @property
    def pause_ms(self) -> int:
        """The delay in milliseconds."""
        return 0 if self.delay is None else round(self.delay * 1000)  # type: ignore[arg-type]

    @property
    def run_at_ms(self) -> int | None:
        """`run_at` in milliseconds since 1970."""
        return None if self.run_at is None else milliseconds(self.run_at)  # type: ignore[arg-type]

    @property
    def start_by_ms(self) -> int | None:
        """`start_by` in milliseconds since 1970."""
        return None if self.start_by is None else milliseconds(self.start_by)  # type: ignore[arg-type]


WIRE_NAMES = {"delay": "delay", "run_at": "runAt", "priority": "priority", "start_by": "startBy", "notify": "notify"}
NONE = Options()


def parse_options(value: object, known: Collection[str]) -> Options:
    """The options of a request.

    Args:
        value: the JSON value of `options`.
        known: the names, as in JSON, of those that the engine can keep.

    Raises:
        InvalidOptions: as `Options` does, or one is not known.
    """
    if not isinstance(value, Mapping):
        raise InvalidOptions("options must be a JSON object")
    for name in value:
        if name not in known:
            offered = f"known here: {', '.join(known)}" if known else "this API knows none"
            shown = name if len(name) <= MAX_NAME_CHARACTERS else f"{name[:MAX_NAME_CHARACTERS]}..."
            raise InvalidOptions(f"unknown option {shown!r}; {offered}")
    given = {name: value[wire_name] for name, wire_name in WIRE_NAMES.items() if wire_name in value}
    for name, option in given.items():
        if option is None:
            raise InvalidOptions(f"options.{WIRE_NAMES[name]} must not be null: leave it out")
    return Options(**given)


def misplaced(name: str) -> str:
    """What to say to whoever sent an option among the parameters; empty if it is none."""
    for python_name, wire_name in WIRE_NAMES.items():
        if name in (python_name, wire_name):
            return f'; it is an option: send "options": {{"{wire_name}": ...}}, or Options({python_name}=...) in Python'
    return "; the job's id is jobId, or Options(job_id=...) in Python" if name in ("job_id", "jobID", "jobid") else ""


def _delay(value: object) -> float:
    try:
        return durations.seconds(value)
    except ValueError:
        raise InvalidOptions(f"options.delay must be {durations.RULE}") from None


def _time(name: str, value: object) -> str:
    """The time as the contract writes it."""
    try:
        time = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidOptions(f'options.{name} must be a time with its offset from UTC, such as "2026-12-24T18:00:00Z"')
    if not 1970 < time.year < 9999:
        raise InvalidOptions(f"options.{name} must be in one of the years 1971 to 9998")
    return timestamp(round(time.astimezone(UTC).timestamp() * 1000))


def is_priority(value: object) -> bool:
    """Whether it is a priority."""
    return isinstance(value, int) and not isinstance(value, bool) and LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY
