"""Options of submissions, right ones and nearly right ones, and what the mapping template makes of them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from asyncjob import Jobs
from asyncjob.aws.build.durable import OPTIONS, mapping_template
from asyncjob.durations import MAX_SECONDS
from asyncjob.job import milliseconds, timestamp
from asyncjob.options import InvalidOptions, parse_options
from tests.aws.velocity.agreement import Given

NOW = 1_717_677_296_789
_jobs = Jobs()


@_jobs.job
def add(a: int) -> int:
    """What the options are given to."""
    return a


TEMPLATE = mapping_template("post_request", _jobs)

_counts = st.integers(0, 10**10 - 1) | st.integers(0, 99)
_units = st.lists(st.sampled_from("wdhms"), min_size=1, max_size=5).map(lambda units: sorted(units, key="wdhms".index))
_spaces = st.sampled_from(["", " ", "  "])
_texts = _units.flatmap(
    lambda units: st.lists(st.tuples(_counts, _spaces, _spaces), min_size=len(units), max_size=len(units)).map(
        lambda parts: "".join(
            f"{count}{before}{unit}{after}" for (count, before, after), unit in zip(parts, units, strict=True)
        )
    )
)
_wrong: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, "", "5", "x", "1s1m", "-1s", "1.5s", [], {}, -1, -0.5, "tomorrow", "1h 5 ", "é1s"]
)
delays = (
    st.integers(0, round(MAX_SECONDS) + 9)
    | st.integers(0, 9_999_999_999).map(lambda thousandths: thousandths % 10**10 / 1_000)
    | _texts
    | _wrong
)
_zones = st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_moments = st.datetimes(datetime(1969, 12, 31), datetime(9999, 12, 31, 23), timezones=_zones | st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
)
_written = st.tuples(
    _moments,
    st.sampled_from(["T", "t", " "]),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
    st.booleans(),
).map(lambda parts: _text(*parts))
_nearly = st.from_regex(
    r"\A[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,3})?(Z|[+-][0-2][0-9]:[0-6][0-9])?\Z"
)
times = _written | _nearly | _wrong
options = st.fixed_dictionaries({}, optional={"delay": delays, "runAt": times, "startBy": times})


def _text(moment: datetime, between: str, precision: str, short: bool) -> str:
    text = moment.isoformat(sep="T", timespec=precision).replace("T", between)
    return text.replace("+00:00", "Z") if short else text


@dataclass(frozen=True)
class Understood:
    """What a submission's options come to: None for all if they were refused."""

    options: str | None
    run_at: str | None
    start_by: str | None
    due_at: int | None


REFUSED = Understood(None, None, None, None)


def given_options(value: Any) -> Given:
    """A submission with these options."""
    return Given(
        json.dumps({"a": 1, "options": value}, ensure_ascii=False),
        context={
            "extendedRequestId": "a",
            "requestTimeEpoch": NOW,
            "requestTime": "06/Jun/2024:12:34:56 +0000",
        },
        stage_variables={"table": "Jobs", "retentionDays": "0"},
    )


def understood(text: str) -> Understood:
    """What the request for DynamoDB says that the template has made."""
    request = json.loads(text)
    if "refused" in request["ConditionExpression"]:
        return REFUSED
    values = request["ExpressionAttributeValues"]
    first = values[":first"]["L"][0]["M"]
    return Understood(
        values.get(":options", {"S": ""})["S"],
        first.get("runAt", {"S": None})["S"],
        values.get(":startBy", {"S": None})["S"],
        int(values[":due"]["N"]),
    )


def expected(value: Any) -> Understood:
    """The same, by the rules that one machine keeps."""
    try:
        parsed = parse_options(value, OPTIONS)
    except InvalidOptions:
        return REFUSED
    delay = None if parsed.delay is None else round(float(str(parsed.delay)) * 1_000_000) // 1_000
    run_at = parsed.run_at_ms if delay is None else NOW + delay
    waits = run_at is not None and run_at > NOW
    said = {"delay": delay, "runAt": parsed.run_at_ms, "startBy": parsed.start_by_ms}
    start_by = parsed.start_by_ms
    return Understood(
        "".join(f"{name}={ms} " for name, ms in said.items() if ms is not None),
        timestamp(run_at) if waits and run_at is not None else None,
        None if start_by is None else timestamp(start_by),
        (run_at if waits and run_at is not None else NOW) + 120_000,
    )


assert milliseconds(timestamp(NOW)) == NOW
