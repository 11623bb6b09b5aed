"""Schedules of job functions in the words of EventBridge Scheduler, where these can say exactly the same.

A cron expression of Debian's becomes one of Amazon's, or two: there, one field of the two for days is always `?`, and
days by both of them, which Debian takes as "either", are two schedules. A time that both name is still one job, since
its id is made of the time. What differs is where a clock is changed: Amazon's skips what the clock passes over in
spring and runs once what it shows twice in autumn, as ours does for times of day; but an expression with a period goes
on in real time here. It is told apart by asking whether it names a time that is ever shown twice.

A period of ours is a multiple of seconds since 1970. Those that divide an hour, a day or a week are times of day.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from asyncjob.schedules import Timing

MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800
THURSDAY = 5  # to Amazon, whose week begins with 1, a Sunday; 1970 began on one
MAX_CHARACTERS = 256  # of an expression
YEARS = 10  # for which the changes of a clock are looked at
_ALL = {"minute": range(60), "hour": range(24), "day": range(1, 32), "month": range(1, 13), "weekday": range(7)}


class Inexact(ValueError):
    """EventBridge Scheduler cannot say exactly this; the message says why."""


def expressions(timing: Timing, now: datetime) -> tuple[list[str], str]:
    """What is due when this is: expressions such as `cron(0 9 ? * 2-6 *)`, and their time zone.

    Args:
        timing: of a schedule.
        now: from when on the two must be the same.

    Raises:
        Inexact: there are no such.
    """
    if timing.every is not None:
        return list(_of_period(timing.every)), "UTC"
    expression, zone = timing.cron or "", timing.tz or "UTC"
    cron = CronSim(expression, datetime(2024, 1, 1))
    if _is_periodic(expression) and (doubled := _doubled(cron, ZoneInfo(zone), now)):
        if not _is_hourly(cron) or any(minutes % 60 for minutes in _offsets(ZoneInfo(zone), now)):
            raise Inexact(
                f"it has a period (its minute or hour begins with *), and names {doubled}, which the clock of {zone} "
                'shows twice in autumn: name the minutes and hours one by one, or use tz="UTC"'
            )
        zone = "UTC"  # the same minutes of each hour, wherever
    found = [f"cron({_times(cron)} {days} *)" for days in _days(cron)]
    if max(map(len, found)) > MAX_CHARACTERS:
        raise Inexact(f"written out, it has more than the {MAX_CHARACTERS} characters of an expression")
    return found, zone


def _of_period(seconds: int) -> Iterator[str]:
    if seconds % MINUTE:
        raise Inexact("its period is no whole number of minutes, the least that there is")
    if seconds == WEEK:
        yield f"cron(0 0 ? * {THURSDAY} *)"
    elif DAY % seconds:
        raise Inexact("its period is no part of a day, nor a week: use Cron, with times of day")
    else:
        by_minute = defaultdict(list)
        for time in range(0, DAY, seconds):
            by_minute[time % HOUR // MINUTE].append(time // HOUR)
        by_hours = defaultdict(list)
        for minute, hours in by_minute.items():
            by_hours[tuple(hours)].append(minute)
        for of_hours, minutes in by_hours.items():
            yield f"cron({_set(minutes, _ALL['minute'])} {_set(of_hours, _ALL['hour'])} * * ? *)"


def _times(cron: CronSim) -> str:
    return f"{_set(cron.minutes, _ALL['minute'])} {_set(cron.hours, _ALL['hour'])}"


def _days(cron: CronSim) -> Iterator[str]:
    """The fields for days and months: one or the other field for days, or each by itself."""
    month = _set(cron.months, _ALL["month"])
    every_day, every_weekday = cron.days >= {*_ALL["day"]}, cron.weekdays >= {*_ALL["weekday"]}
    if every_day and every_weekday:
        yield f"* {month} ?"
        return
    if cron.day_and and not (every_day or every_weekday):
        raise Inexact(
            "a day must match both of its fields for days, of which EventBridge Scheduler knows one at a time"
        )
    if not cron.day_and and (every_day or every_weekday):  # either, and one of them is always so
        yield f"* {month} ?"
        return
    if not every_day:
        yield f"{_days_of_month(cron)} {month} ?"
    if not every_weekday:
        yield f"? {month} {_weekdays(cron)}"


def _days_of_month(cron: CronSim) -> str:
    if CronSim.LAST in cron.days and len(cron.days) == 1:
        return "L"
    if min(cron.days) < 0:
        raise Inexact("of the last days of a month, EventBridge Scheduler knows L, and nothing beside it")
    return _set(cron.days, _ALL["day"])


def _weekdays(cron: CronSim) -> str:
    plain = {day % 7 + 1 for day in cron.weekdays if isinstance(day, int)}
    counted = {(day[0] % 7 + 1, day[1]) for day in cron.weekdays if isinstance(day, tuple)}
    if not counted:
        return _set(plain, range(1, 8))
    if len(counted) == 1 and not plain:
        ((day, number),) = counted
        if number != CronSim.LAST:
            return f"{day}#{number}"
    raise Inexact("EventBridge Scheduler knows one n-th weekday of a month, such as 5#2, and nothing beside it")


def _set(values: Iterable[int], whole: range) -> str:
    named = sorted(set(values))
    if named == [*whole]:
        return "*"
    runs: list[list[int]] = []
    for value in named:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def _is_periodic(expression: str) -> bool:
    minute, hour, *_ = expression.split()
    return minute.startswith("*") or hour.startswith("*")


def _is_hourly(cron: CronSim) -> bool:
    """Whether it is the same in each hour there is."""
    fields = ((cron.hours, "hour"), (cron.days, "day"), (cron.months, "month"), (cron.weekdays, "weekday"))
    return all(values >= {*_ALL[name]} for values, name in fields)


def _doubled(cron: CronSim, zone: ZoneInfo, now: datetime) -> str | None:
    """A time of day that it names and that is shown twice some day, or None."""
    for changed, before, after in _changes(zone, now):
        shown = changed.astimezone(UTC).replace(tzinfo=None) + timedelta(minutes=after)
        for minute in range(before - after):
            time = shown + timedelta(minutes=minute)
            if time.minute in cron.minutes and time.hour in cron.hours:
                return f"{time:%H:%M}"
    return None


def _offsets(zone: ZoneInfo, now: datetime) -> set[int]:
    """Minutes ahead of UTC, of whatever clock there will be."""
    return {_offset(zone, now), *(minutes for _, *both in _changes(zone, now) for minutes in both)}


def _changes(zone: ZoneInfo, now: datetime) -> Iterator[tuple[datetime, int, int]]:
    """When its clock is changed, in UTC, and the minutes that it is ahead of UTC before and after."""
    start = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for hour in range(0, YEARS * 366 * 24, 24):
        first, last = start + timedelta(hours=hour), start + timedelta(hours=hour + 24)
        if (before := _offset(zone, first)) != (after := _offset(zone, last)):
            while last - first > timedelta(minutes=1):
                middle = first + (last - first) / 2
                middle = middle.replace(second=0, microsecond=0)
                first, last = (middle, last) if _offset(zone, middle) == before else (first, middle)
            yield last, before, after


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds()) // 60
