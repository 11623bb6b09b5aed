"""Reads cron expressions in a time zone, by Debian's rules: the library cronsim, corrected where the clock is changed.

An expression whose minute or hour begins with `*` has a period. It goes on in real time, so it runs in both of two
hours that the clock shows alike. Any other expression has times of day. One that the clock passes over in spring does
not come on that day (cronsim, as Debian's cron, would run it right after the change), and one that comes twice in
autumn counts the first time.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MAX_CHARACTERS = 256
MAX_YEARS = 50  # without an occurrence: cronsim looks no further, either
ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
LONGEST_CHANGE = timedelta(hours=26)  # of a clock; islands have gone over the date line
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class CronTimes:
    """The times that an expression names in a zone.

    Args:
        expression: five fields: minute, hour, day of the month, month, day of the week.
        zone: a name of the IANA's database.

    Raises:
        ValueError: one of them cannot be read; the message says why.
    """

    least_period = 60  # seconds between two times

    def __init__(self, expression: str, zone: str) -> None:
        self._expression = expression
        self._zone = _zone(zone)
        _check(expression)
        minute, hour, *_ = expression.split()
        self._is_periodic = minute.startswith("*") or hour.startswith("*")

    def after(self, at: int) -> int | None:
        """The first time after `at`, both in whole seconds since 1970; None if none comes within 50 years."""
        start = _EPOCH + timedelta(seconds=at)
        try:
            found = self._in_period(start) if self._is_periodic else self._of_day(start)
        except (OverflowError, ValueError):  # beyond the last year that there is
            return None
        return None if found is None else (found - _EPOCH) // _SECOND

    def _of_day(self, start: datetime) -> datetime | None:
        """The next time of day that there is; of two the first."""
        for naive in CronSim(self._expression, self._wall(start)):
            found = naive.replace(tzinfo=self._zone).astimezone(UTC)
            if self._wall(found) == naive and found > start:
                return found
            if naive.year > start.year + MAX_YEARS:
                break
        return None

    def _in_period(self, start: datetime) -> datetime | None:
        """The next time by a clock that is changed as the zone's is: by a fixed one until then, and on by the new one.

        cronsim's own way through a change goes in whole hours, and loses times where it is half an hour.
        """
        after, offset = start, self._offset(start + _SECOND)  # of the first second that counts
        while after.year <= start.year + MAX_YEARS:
            naive = next(CronSim(self._expression, (after + offset).replace(tzinfo=None)), None)
            if naive is None:
                break
            found = naive.replace(tzinfo=UTC) - offset
            # What another clock names until then is near `found`, or near `after`, where hours may come twice.
            for first in (after + _SECOND, max(after + _SECOND, found - LONGEST_CHANGE)):
                last = min(found, first + LONGEST_CHANGE)
                if self._offset(first) != offset or self._offset(last) != offset:
                    changed = self._change(first, last, offset)
                    after, offset = changed - _SECOND, self._offset(changed)
                    break
            else:
                return found
        return None

    def _change(self, first: datetime, last: datetime, offset: timedelta) -> datetime:
        """The first second in which the clock has another offset."""
        if self._offset(first) != offset:
            return first
        while last - first > _SECOND:
            middle = first + (last - first) // _SECOND // 2 * _SECOND
            first, last = (middle, last) if self._offset(middle) == offset else (first, middle)
        return last

    def _wall(self, at: datetime) -> datetime:
        """What the clock on the wall shows."""
        return at.astimezone(self._zone).replace(tzinfo=None)

    def _offset(self, at: datetime) -> timedelta:
        return self._wall(at) - at.replace(tzinfo=None)


def _check(expression: str) -> None:
    if not isinstance(expression, str) or len(expression) > MAX_CHARACTERS or len(expression.split()) != len(_FIELDS):
        raise ValueError(
            f'a cron expression has five fields ({", ".join(_FIELDS)}), such as "0 9 * * 1-5", not {_cut(expression)}'
        )
    try:
        CronSim(expression, datetime(2024, 1, 1))
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ").replace("-", " ")
        raise ValueError(f"the {wrong} of the cron expression {_cut(expression)} is wrong, or never comes") from None


_FIELDS = ("minute", "hour", "day of month", "month", "day of week")


def _cut(value: object) -> str:
    return repr(value if len(str(value)) <= MAX_CHARACTERS else f"{str(value)[:MAX_CHARACTERS]}…")


def _zone(name: str) -> ZoneInfo:
    try:
        if ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):  # unknown, a folder, or a file that is no zone
        pass
    raise ValueError(f'tz must be the name of a time zone, such as "Europe/Berlin", not {_cut(name)}')
