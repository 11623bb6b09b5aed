"""The options of a submission, and the lengths of time and policies that people write."""

import random
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob import durations
from asyncjob.contract import ApiError, parse_submission
from asyncjob.options import NONE, WIRE_NAMES, InvalidOptions, Options, parse_options
from asyncjob.policies import Backoff, Limit, Rate, Unique, backoff_of, limits_of
from asyncjob.sleep import jobs as sleep_jobs

KNOWN = tuple(WIRE_NAMES.values())
NAMED = st.tuples(*(st.integers(0, 99) for _ in durations.UNITS)).filter(any)


@given(NAMED)
def test_a_length_of_time_is_the_sum_of_its_parts(parts: tuple[int, ...]) -> None:
    text = "".join(f"{part}{unit}" for part, unit in zip(parts, durations.UNITS, strict=True) if part)
    assert durations.seconds(text) == sum(
        part * unit for part, unit in zip(parts, durations.UNITS.values(), strict=True)
    )


@pytest.mark.parametrize(
    "length",
    ["", "5", "m", "1m1h", "-1s", "1.5h", "1e3s", "٣s", -1, float("nan"), float("inf"), True, None, [], "36501d"],
)
def test_what_is_no_length_of_time_is_refused_with_how_to_write_one(length: object) -> None:
    with pytest.raises(ValueError, match='"1h30m"'):
        durations.seconds(length)


def test_the_same_options_are_equal_however_they_are_written() -> None:
    by_hand = parse_options({"delay": "1h30m", "startBy": "2026-12-24T18:00:00+01:00", "priority": 3}, KNOWN)
    noon = datetime(2026, 12, 24, 17, tzinfo=UTC)
    assert (
        by_hand
        == Options(delay=timedelta(minutes=90), start_by=noon, priority=3)
        == Options(delay=5_400, start_by=noon.astimezone(timezone(timedelta(hours=-3))), priority=3)
    )
    assert by_hand.as_json() == {"delay": 5_400.0, "priority": 3, "startBy": "2026-12-24T17:00:00.000Z"}
    assert parse_options(by_hand.as_json(), KNOWN) == by_hand
    assert NONE.as_json() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "options must be a JSON object"),
        ({"dealy": 3}, "unknown option 'dealy'; known here: delay, runAt, priority, startBy, notify"),
        ({"delay": "soon"}, "options.delay must be a number of seconds"),
        ({"delay": -1}, "options.delay must be"),
        ({"delay": True}, "options.delay must be"),
        ({"delay": None}, "options.delay must not be null: leave it out"),
        ({"runAt": "2026-12-24T18:00:00"}, "options.runAt must be a time with its offset"),
        ({"runAt": 1_766_000_000}, "options.runAt must be a time"),
        ({"runAt": "9999-12-31T23:59:59Z"}, "options.runAt must be in one of the years 1971 to 9998"),
        ({"startBy": "tomorrow"}, "options.startBy must be a time"),
        ({"delay": 1, "runAt": "2026-12-24T18:00:00Z"}, "contradict each other"),
        ({"priority": 11}, "options.priority must be a whole number from -10 to 10"),
        ({"priority": 1.0}, "options.priority must be"),
        ({"priority": True}, "options.priority must be"),
        ({"notify": 3}, "options.notify must be a URL"),
    ],
)
def test_a_wrong_option_is_named(options: object, message: str) -> None:
    with pytest.raises(InvalidOptions) as raised:
        parse_options(options, KNOWN)
    assert message in str(raised.value)


def test_an_engine_refuses_by_name_what_it_cannot_keep() -> None:
    with pytest.raises(InvalidOptions, match="unknown option 'delay'; known here: notify"):
        parse_options({"delay": 3}, ("notify",))
    with pytest.raises(InvalidOptions, match="this API knows none"):
        parse_options({"delay": 3}, ())


@given(st.integers(0, 2_000), st.floats(0, 1e6), st.floats(1, 1_000), st.floats(0, 1e6), st.floats(0, 1))
def test_a_pause_never_exceeds_what_was_said(
    losses: int, first: float, factor: float, most: float, jitter: float
) -> None:
    backoff = Backoff(first, factor, most, jitter)
    assert 0 <= backoff.pause(losses) <= backoff.longest(losses) <= most
    assert backoff.longest(losses) <= backoff.longest(losses + 1)


def test_pauses_are_taken_one_by_one_and_the_last_is_repeated() -> None:
    backoff = backoff_of((10, 60, 600))
    assert backoff is not None
    assert [backoff.longest(losses) for losses in range(5)] == [10, 60, 600, 600, 600]
    assert backoff_of(10) == backoff_of(["10s"]) == backoff_of((10,))
    random.seed(1)
    assert 9 <= backoff.pause(0) <= 10


def test_limits_are_of_all_jobs_and_of_each_value_of_one_parameter() -> None:
    limits = limits_of((4, Limit(1, per="customer")), Rate("5/30s", per="customer"))
    assert (limits.concurrency, limits.concurrency_per_key) == (Limit(4), Limit(1, "customer"))
    assert (limits.rate, limits.per) == (None, "customer")
    assert limits.rate_per_key is not None
    assert (limits.rate_per_key.count, limits.rate_per_key.seconds) == (5, 30)
    assert limits and not limits_of(None, None)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: Limit(0), "concurrency must be"),
        (lambda: Limit(True), "concurrency must be"),
        (lambda: Rate("60"), "rate must be such as"),
        (lambda: Rate("0/s"), "rate must be such as"),
        (lambda: Rate("5/0s"), "rate must be such as"),
        (lambda: limits_of((Limit(1, "a"), Limit(2, "b")), None), "per the same parameter"),
        (lambda: limits_of((1, 2), None), "concurrency: give one for all jobs"),
        (lambda: backoff_of("soon"), "backoff must be"),
        (lambda: backoff_of(()), "backoff must be"),
        (lambda: Backoff(factor=0.5), "factor"),
        (lambda: Unique("a", while_="running"), 'while_ must be "waiting" or "unfinished"'),  # type: ignore[arg-type]
        (lambda: Unique("a", while_="waiting", within=3), "not both"),
        (lambda: Unique("a", within=0), "within must be longer"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(write: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("delay", 'it is an option: send "options": {"delay": ...}, or Options(delay=...) in Python'),
        ("run_at", '"options": {"runAt": ...}, or Options(run_at=...)'),
        ("startBy", '"options": {"startBy": ...}, or Options(start_by=...)'),
        ("job_id", "the job's id is jobId, or Options(job_id=...) in Python"),
    ],
)
def test_an_option_among_the_parameters_is_refused_with_where_it_belongs(name: str, said: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_submission(sleep_jobs, msgspec.json.encode({"seconds": 1, name: 1}), ())
    assert (
        refused.value.message.startswith(f"Object contains unknown field `{name}`; ") and said in refused.value.message
    )
    with pytest.raises(ApiError) as other:
        parse_submission(sleep_jobs, b'{"seconds": 1, "second": 1}', ())
    assert other.value.message == "Object contains unknown field `second`"
