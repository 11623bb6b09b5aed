"""What schedules name, against the library's own iterator and a search of every minute; and mistakes of users."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncjob import Cron, Every, Jobs, Options, RegistrationError
from asyncjob.cron import CronTimes
from asyncjob.plans import declared_plans
from asyncjob.schedules import Timing, newest, occurrence_id, times_of

# Both hemispheres; changes at midnight, of half an hour, of two hours, in Ramadan, and at a quarter to an hour.
ZONES = (
    *("Europe/Berlin", "America/New_York", "America/Santiago", "America/Havana", "Australia/Lord_Howe"),
    *("Antarctica/Troll", "Africa/Casablanca", "Africa/Cairo", "Pacific/Chatham", "Asia/Beirut"),
)
# Where the clock is changed by half an hour, at a quarter to, or at midnight, so that a day begins at 01:00, the
# library passes times of an expression with a period over. Those are compared with a search of every minute alone.
LOSES_TIMES = (
    *("Australia/Lord_Howe", "Pacific/Chatham", "America/Santiago", "America/Havana", "Asia/Beirut", "Africa/Cairo"),
)
MINUTE = timedelta(minutes=1)


@cache
def _changes(zone: str) -> list[datetime]:
    """When the clock is changed, from 2025 to 2027, to the minute."""
    tz, found = ZoneInfo(zone), []
    at = datetime(2025, 1, 1, tzinfo=UTC)
    while at < datetime(2028, 1, 1, tzinfo=UTC):
        after = at + timedelta(hours=6)
        if at.astimezone(tz).utcoffset() != after.astimezone(tz).utcoffset():
            while at.astimezone(tz).utcoffset() == (at + MINUTE).astimezone(tz).utcoffset():
                at += MINUTE
            found.append(at + MINUTE)
        at = after
    return found


def test_every_zone_changes_its_clock_in_both_directions() -> None:
    for zone in ZONES:
        shifts = [
            change.astimezone(ZoneInfo(zone)).utcoffset() - (change - MINUTE).astimezone(ZoneInfo(zone)).utcoffset()  # type: ignore[operator]
            for change in _changes(zone)
        ]
        assert min(shifts) < timedelta(0) < max(shifts), zone


def _field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    return st.one_of(
        st.just("*"),
        st.integers(2, 30).map(lambda step: f"*/{step}"),
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.lists(number, min_size=2, max_size=3).map(lambda several: ",".join(map(str, several))),
    )


EXPRESSIONS = st.tuples(
    _field(0, 59),
    st.one_of(_field(0, 23), st.integers(0, 4).map(str)),
    st.one_of(st.just("*"), _field(1, 28)),
    st.just("*"),
    st.one_of(st.just("*"), _field(0, 6)),
).map(" ".join)


@st.composite
def around_changes(draw: st.DrawFn) -> tuple[str, str, datetime, datetime]:
    """An expression, a zone, and a time from shortly before a change of its clock until after it."""
    zone = draw(st.sampled_from(ZONES))
    change = draw(st.sampled_from(_changes(zone)))
    before = draw(st.integers(1, 30 * 60))
    return draw(EXPRESSIONS), zone, change - before * MINUTE, change + timedelta(hours=draw(st.integers(3, 30)))


def _named(expression: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    found, at = [], CronTimes(expression, zone).after(int(after.timestamp()))
    while at is not None and at <= until.timestamp():
        found.append(datetime.fromtimestamp(at, UTC))
        at = CronTimes(expression, zone).after(at)
    return found


def _has_period(expression: str) -> bool:
    minute, hour, *_ = expression.split()
    return minute.startswith("*") or hour.startswith("*")


@settings(max_examples=400, deadline=None)
@given(around_changes())
@example(("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)))
@example(("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)))
@example(("58 * * * *", "Australia/Lord_Howe", datetime(2024, 10, 4, 9, tzinfo=UTC), datetime(2024, 10, 6, tzinfo=UTC)))
@example(
    ("* 1 * * 0", "Antarctica/Troll", datetime(2025, 10, 25, 23, tzinfo=UTC), datetime(2025, 10, 26, 5, tzinfo=UTC))
)
def test_times_are_those_of_a_search_of_every_minute(case: tuple[str, str, datetime, datetime]) -> None:
    expression, zone, after, until = case
    rule, tz, found = CronSim(expression, datetime(2024, 1, 1)), ZoneInfo(zone), []
    at = after.replace(second=0) + MINUTE
    while at <= until:
        wall = at.astimezone(tz)
        fits = rule.match_day(wall.date()) and wall.hour in rule.hours and wall.minute in rule.minutes
        if fits and (_has_period(expression) or wall.fold == 0):
            found.append(at)
        at += MINUTE
    assert _named(expression, zone, after, until) == found


def _of_the_library(expression: str, zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    for local in CronSim(expression, after.astimezone(ZoneInfo(zone))):
        if local.astimezone(UTC) > until:
            return
        yield local


@settings(max_examples=400, deadline=None)
@given(around_changes().filter(lambda case: not (_has_period(case[0]) and case[1] in LOSES_TIMES)))
def test_times_are_the_librarys_own_but_for_those_that_the_clock_passes_over(
    case: tuple[str, str, datetime, datetime],
) -> None:
    expression, zone, after, until = case
    rule, own = CronSim(expression, datetime(2024, 1, 1)), _named(*case)
    expected = []
    for local in _of_the_library(expression, zone, after, until):
        at, wall = local.astimezone(UTC), local.astimezone(UTC).astimezone(ZoneInfo(zone))
        is_there = wall.replace(tzinfo=None) == local.replace(tzinfo=None)
        fits = rule.match_day(wall.date()) and wall.hour in rule.hours and wall.minute in rule.minutes
        if at > after and (fits if _has_period(expression) else is_there and fits):
            expected.append(at)
    assert sorted(set(expected)) == own


def test_a_daily_time_that_the_clock_passes_over_is_skipped_and_one_that_comes_twice_counts_once() -> None:
    spring = _named(
        "30 2 * * *", "Europe/Berlin", datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    )
    assert [f"{at:%d %H:%M}" for at in spring] == ["28 01:30", "30 00:30"]
    autumn = _named(
        "30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
    )
    assert [f"{at:%d %H:%M}" for at in autumn] == ["25 00:30", "26 01:30"]


def test_an_hourly_time_goes_on_through_both_changes() -> None:
    for day in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
        hours = _named("0 * * * *", "Europe/Berlin", day, day + timedelta(days=1))
        assert hours == [day + timedelta(hours=number) for number in range(1, 25)]


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.tuples(EXPRESSIONS, st.sampled_from(ZONES)).map(lambda pair: Timing(cron=pair[0], tz=pair[1])),
        st.integers(1, 10_000).map(lambda seconds: Timing(every=seconds)),
    ),
    st.integers(1_700_000_000, 1_900_000_000),
    st.integers(0, 90 * 86_400),
    st.integers(1, 40),
)
def test_the_newest_times_are_the_last_of_all(timing: Timing, after: int, length: int, most: int) -> None:
    times, until = times_of(timing), after + min(length, 20_000 * times_of(timing).least_period)
    every: list[int] = []
    at = times.after(after)
    while at is not None and at <= until:
        every.append(at)
        at = times.after(at)
    assert newest(times, after, until, most) == every[-most:]


def test_a_month_of_minutes_is_looked_through_from_its_end() -> None:
    asked = 0

    class Counted(CronTimes):
        def after(self, at: int) -> int | None:
            nonlocal asked
            asked += 1
            return super().after(at)

    until = 1_800_000_000
    assert len(newest(Counted("* * * * *", "UTC"), until - 30 * 86_400, until, 1_000)) == 1_000
    assert asked < 1_200
    asked = 0
    assert newest(Counted("0 9 1 1 *", "UTC"), 0, until, 1) == [1_798_794_000]
    assert asked < 200


def test_a_period_is_counted_from_1970_whatever_else() -> None:
    times = times_of(Every("15m").timing)
    assert [times.after(at) for at in (0, 1, 899, 900)] == [900, 900, 900, 1_800]
    assert Every(900).timing == Every("15m").timing == Every(900.0).timing


def test_an_occurrence_has_its_own_id() -> None:
    at = int(datetime(2026, 11, 30, 9, tzinfo=UTC).timestamp())
    assert occurrence_id("report", at) == "report~20261130T090000Z"


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40), st.text(max_size=20))
def test_whatever_is_written_is_read_or_refused_in_one_line(expression: str, tz: str) -> None:
    for arguments in [(expression, "UTC"), ("0 9 * * *", tz), (f"{expression} * * * *", "UTC")]:
        try:
            Cron(*arguments)
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 1_000


@pytest.mark.parametrize("seed", range(20))
def test_what_fields_may_hold_is_read_or_refused_in_one_line(seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(200):
        fields = ["".join(chosen.choices("0123456789*/,-L#W", k=chosen.randint(1, 6))) for _ in range(5)]
        try:
            Cron(" ".join(fields))
        except ValueError as error:
            assert "\n" not in str(error)


def _register(**arguments: object) -> Jobs:
    jobs = Jobs()

    @jobs.job(**arguments)  # type: ignore[call-overload,untyped-decorator]
    def report(day: str, size: int = 1) -> None: ...

    return jobs


DAY = {"day": "x"}


def test_schedules_are_declared_with_a_function() -> None:
    jobs = _register(
        schedule=[Every("1m", parameters=DAY), Cron("0 9 * * 1-5", tz="Asia/Tokyo", parameters=DAY, id="x")]
    )
    plans = declared_plans(jobs)
    assert list(plans) == ["report", "x"]
    assert plans["report"].timing == Timing(every=60)
    assert (plans["x"].timing, plans["x"].parameters) == (Timing("0 9 * * 1-5", "Asia/Tokyo"), b'{"day":"x"}')
    assert all(plan.declared and plan.type == "report" for plan in plans.values())


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (Every("1m"), "missing required field `day`"),
        (Every("1m", parameters={"day": 3}), r"\$\.day"),
        (Every("1m", parameters={"day": "x", "night": 1}), "night"),
        ([Every("1m", parameters=DAY), Every("2m", parameters=DAY)], "give one another id="),
        ("0 9 * * *", "schedule must be such as"),
        ([Every("1m", parameters=DAY), 5], "schedule must be such as"),
    ],
)
def test_a_schedule_that_does_not_fit_its_function_is_refused(schedule: object, says: str) -> None:
    with pytest.raises(RegistrationError, match=f"^report: .*{says}"):
        _register(schedule=schedule)


def test_two_functions_cannot_have_schedules_of_one_name() -> None:
    jobs = _register(schedule=Every("1m", parameters=DAY, id="same"))
    with pytest.raises(RegistrationError, match="two schedules are called 'same'"):
        jobs.job(schedule=Every("1m", id="same"), name="other")(lambda: None)
    assert jobs.names == ["report"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"missed": "some"}, "missed must be"),
        ({"overlap": "never"}, "overlap must be"),
        ({"missed": "all", "overlap": "skip"}, "choose one"),
        ({"id": "a~b"}, "id must be"),
        ({"id": 5}, "id must be"),
        ({"parameters": [1]}, "must be a mapping"),
        ({"parameters": {"a": object()}}, "cannot be written as JSON"),
        ({"options": {"priority": 1}}, "must be such as Options"),
        ({"options": Options(run_at="2030-01-01T00:00:00Z")}, "options.runAt is one time"),
        ({"options": Options(start_by="2030-01-01T00:00:00Z")}, "options.startBy is one time"),
    ],
)
def test_a_mistake_in_a_schedule_is_found_where_it_is_written(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Every("1m", **arguments)  # type: ignore[arg-type]
