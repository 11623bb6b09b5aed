"""When a schedule is due: the expressions of EventBridge, `rate(...)`, `cron(...)` and `at(...)`; cron in any zone.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html. A rate counts from the schedule's creation.
Where a clock is changed, what it passes over is skipped, and what it shows twice comes once: here the first time, since
the page does not say which.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from tests.aws.double.cloudformation import TemplateError

UNITS = {"minute": 60, "hour": 3_600, "day": 86_400}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
LONGEST_SEARCH = timedelta(days=4 * 366)


def times(expression: str, created: float, zone: str = "UTC") -> Iterator[float]:
    """The times of a schedule, in seconds since 1970, in order.

    Args:
        expression: such as `rate(5 minutes)`.
        created: when the schedule was made; `cron` has no time before it, `at` may have.
        zone: of `cron`; the double knows UTC alone for `at`.

    Raises:
        TemplateError: it is no expression, or one that the double does not know.
    """
    if zone != "UTC" and not expression.startswith("cron("):
        raise TemplateError(f"{expression}: this double knows it in UTC alone")
    if found := re.fullmatch(r"rate\(([1-9]\d*) (minute|hour|day)(s?)\)", expression):
        number, unit, plural = int(found[1]), found[2], bool(found[3])
        if plural == (number == 1):
            raise TemplateError(f"{expression}: one {unit}, more {unit}s")
        return _rate(created, number * UNITS[unit])
    if found := re.fullmatch(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", expression):
        return iter([datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()])
    if found := re.fullmatch(r"cron\((.+)\)", expression):
        return _cron(found[1].split(" "), expression, created, zone)
    raise TemplateError(f"{expression!r} is no rate, cron or at")


def _rate(created: float, seconds: float) -> Iterator[float]:
    while True:
        created += seconds
        yield created


def _cron(fields: list[str], expression: str, created: float, zone: str) -> Iterator[float]:
    if len(fields) != len(FIELDS) or (fields[2] == "?") == (fields[4] == "?"):
        raise TemplateError(f"{expression}: six fields, and ? for one of the two kinds of days")
    try:
        shown_in = ZoneInfo(zone)
    except (KeyError, ValueError):
        raise TemplateError(f"{expression}: {zone!r} is no time zone") from None
    days, weekdays = _DAY.get(fields[2]), _NTH.fullmatch(fields[4])
    plain = ["*" if days else fields[2], "*" if weekdays else fields[4]]
    texts = [*fields[:2], plain[0], fields[3], plain[1], fields[5]]
    allowed = [_allowed(text, *limits, expression) for text, limits in zip(texts, FIELDS, strict=True)]

    def is_day(day: date) -> bool:
        return (days is None or days(day)) and (weekdays is None or _is_nth(day, int(weekdays[1]), int(weekdays[2])))

    return _minutes(allowed, is_day, datetime.fromtimestamp(created, UTC), shown_in)


_DAY = {"L": lambda day: (day + timedelta(days=1)).day == 1}
_NTH = re.compile(r"([1-7])#([1-5])")


def _is_nth(day: date, weekday: int, number: int) -> bool:
    return day.isoweekday() % 7 + 1 == weekday and (day.day - 1) // 7 + 1 == number


def _minutes(
    allowed: list[set[int]], is_day: Callable[[date], bool], created: datetime, zone: ZoneInfo
) -> Iterator[float]:
    minutes, hours, *dates = allowed
    day = created.astimezone(zone).date()
    latest = day + LONGEST_SEARCH
    while day < latest:
        parts = (day.day, day.month, day.isoweekday() % 7 + 1, day.year)
        if all(part in values for part, values in zip(parts, dates, strict=True)) and is_day(day):
            for hour, minute in product(sorted(hours), sorted(minutes)):
                shown = datetime.combine(day, time(hour, minute), zone)
                at = shown.astimezone(UTC)
                if at > created and at.astimezone(zone) == shown:  # no clock shows what it passes over
                    latest = day + LONGEST_SEARCH
                    yield at.timestamp()
        day += timedelta(days=1)


def _allowed(text: str, least: int, most: int, expression: str) -> set[int]:
    names = {name: str(number) for names in (MONTHS, DAYS) for number, name in enumerate(names, 1)}
    values: set[int] = set()
    for part in text.split(","):
        plain = re.sub("[A-Z]{3}", lambda name: names.get(name[0], name[0]), part)
        found = re.fullmatch(r"(\*|\?|(\d+)(?:-(\d+))?)(?:/(\d+))?", plain)
        if found is None:
            raise TemplateError(f"{expression}: this double knows no {part!r}")
        first = int(found[2] or least)
        last = int(found[3] or (first if found[2] and not found[4] else most))
        if not least <= first <= last <= most:
            raise TemplateError(f"{expression}: {part!r} is not from {least} to {most}")
        values |= set(range(first, last + 1, int(found[4] or 1)))
    return values
