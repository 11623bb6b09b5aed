"""What the code schedules, EventBridge Scheduler begins at the same times, or the build says why it would not."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncjob.aws.build.expressions import MAX_CHARACTERS, Inexact, expressions
from asyncjob.schedules import Timing, times_of
from tests.aws.double.schedule_times import times

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo"),
    *("Australia/Lord_Howe", "Pacific/Auckland", "Africa/Cairo", "America/St_Johns"),
]
CHANGES = [
    *("2027-03-14T07:00", "2027-03-28T01:00", "2027-10-31T01:00", "2027-11-07T06:00", "2027-04-03T15:00"),
    *("2027-10-02T15:30", "2027-04-29T22:00", "2027-10-28T21:00", "2027-02-28T00:00", "2026-12-31T12:00"),
]

_minutes = st.sampled_from(["0", "30", "*", "*/15", "*/7", "5,35", "1-59", "0-20/5", "10-50"])
_hours = st.sampled_from(["*", "0", "2", "1-3", "*/2", "9", "8-18", "0,12", "23", "1,2"])
_days = st.sampled_from(["*", "1", "L", "28-31", "*/2", "1,15", "29", "1-31"])
_months = st.sampled_from(["*", "2", "3-4", "*/2", "10,11", "1-12"])
_weekdays = st.sampled_from(["*", "0", "7", "1-5", "6,0", "5#2", "1#5", "0-6", "*/2", "SUN"])
crons = st.tuples(_minutes, _hours, _days, _months, _weekdays).map(" ".join)
timings = st.builds(Timing, cron=crons, tz=st.sampled_from(ZONES)) | st.builds(
    Timing, every=st.sampled_from([60, 120, 420, 900, 2_700, 3_600, 5_400, 43_200, 86_400, 604_800])
)


def _named(timing: Timing, start: float, end: float) -> list[float]:
    named, at = [], times_of(timing).after(int(start))
    while at is not None and at < end:
        named.append(float(at))
        at = times_of(timing).after(at)
    return named


def _amazons(timing: Timing, start: float, end: float) -> list[float]:
    found, zone = expressions(timing, NOW)
    assert max(map(len, found)) <= MAX_CHARACTERS
    return sorted({at for each in found for at in takewhile(lambda at: at < end, times(each, start, zone))})


@settings(max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(timings, st.sampled_from(CHANGES))
def test_the_times_are_the_same_where_there_is_an_expression(timing: Timing, around: str) -> None:
    try:
        expressions(timing, NOW)
    except Inexact:
        return
    middle = datetime.fromisoformat(around).replace(tzinfo=UTC)
    start, end = (middle + timedelta(days=days) for days in (-1, 2))
    shown = _amazons(timing, start.timestamp(), end.timestamp())
    assert shown == _named(timing, start.timestamp(), end.timestamp())


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("0 9 * * 1-5", "Europe/Berlin", (["cron(0 9 ? * 2-6 *)"], "Europe/Berlin")),
        ("*/15 * * * *", "Europe/Berlin", (["cron(0,15,30,45 * * * ? *)"], "UTC")),
        ("*/30 8-18 * * 1-5", "Europe/Berlin", (["cron(0,30 8-18 ? * 2-6 *)"], "Europe/Berlin")),
        ("0 0 1 * 1", "UTC", (["cron(0 0 1 * ? *)", "cron(0 0 ? * 2 *)"], "UTC")),
        ("0 0 L * *", "UTC", (["cron(0 0 L * ? *)"], "UTC")),
        ("0 0 * * 5#2", "Asia/Tokyo", (["cron(0 0 ? * 6#2 *)"], "Asia/Tokyo")),
        ("30 2 * * 0", "Europe/Berlin", (["cron(30 2 ? * 1 *)"], "Europe/Berlin")),
    ],
)
def test_a_cron_expression_becomes_amazons(cron: str, zone: str, expected: tuple[list[str], str]) -> None:
    assert expressions(Timing(cron=cron, tz=zone), NOW) == expected


@pytest.mark.parametrize(
    ("timing", "why"),
    [
        (Timing(cron="*/30 * * * 1-5", tz="Europe/Berlin"), "twice in autumn"),
        (Timing(cron="0 0-23 * * *", tz="Europe/Berlin"), ""),
        (Timing(cron="*/15 * * * *", tz="Australia/Lord_Howe"), "twice in autumn"),
        (Timing(cron="0 0 */2 * 1", tz="UTC"), "both of its fields"),
        (Timing(cron="0 0 LW * *", tz="UTC"), "last days"),
        (Timing(cron="0 0 L,15 * *", tz="UTC"), "last days"),
        (Timing(cron="0 0 * * 5L", tz="UTC"), "n-th weekday"),
        (Timing(cron="0 0 * * 1,5#2", tz="UTC"), "n-th weekday"),
        (Timing(every=30), "minute"),
        (Timing(every=420), "part of a day"),
        (Timing(every=172_800), "part of a day"),
    ],
)
def test_what_amazon_cannot_say_exactly_is_refused_with_the_reason(timing: Timing, why: str) -> None:
    if not why:
        assert expressions(timing, NOW)
        return
    with pytest.raises(Inexact, match=why):
        expressions(timing, NOW)


def test_the_zones_have_changes_where_the_tests_look() -> None:
    for around in CHANGES[:8]:
        at = datetime.fromisoformat(around).replace(tzinfo=UTC)
        before, after = at - timedelta(hours=30), at + timedelta(hours=30)
        zones = [
            zone
            for zone in ZONES
            if before.astimezone(ZoneInfo(zone)).utcoffset() != after.astimezone(ZoneInfo(zone)).utcoffset()
        ]
        assert zones, around
