"""The model that API Gateway validates by says no more than the job functions' own signatures do."""

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from asyncjob import Jobs
from asyncjob.aws.build.model import submission_model
from asyncjob.contract import ApiError, parse_submission
from asyncjob.loading import load
from tests.aws.double.schema import check_model, validate

jobs = Jobs()


@dataclass
class Point:
    x: float
    y: float = 0.0


@jobs.job
def bounds(
    low: Annotated[int, Meta(ge=1)],
    high: Annotated[float, Meta(lt=10)] = 1.0,
    step: Annotated[int, Meta(multiple_of=5)] = 5,
) -> None: ...


@jobs.job
def texts(name: Annotated[str, Meta(min_length=1, max_length=3)], kind: Literal["a", "b"] = "a") -> None: ...


@jobs.job
def shapes(points: list[Point], pair: tuple[int, str] | None = None, by_name: dict[str, int] | None = None) -> None: ...


@jobs.job
def nothing(at: datetime | None = None, anything: Any = None) -> None: ...


@jobs.job
def texts_for_more(
    day: date | None = None,
    at: Annotated[datetime, Meta(tz=True)] | None = None,
    moment: datetime | None = None,
    hour: time | None = None,
    zoned: Annotated[time, Meta(tz=True)] | None = None,
    span: timedelta | None = None,
    key: UUID | None = None,
    content: bytes | None = None,
    price: Decimal | None = None,
    code: Annotated[str, Meta(pattern=r"^[A-Z]{2}[$.]?$")] | None = None,
    free: Annotated[str, Meta(pattern=r"(?i)^a.\d")] | None = None,
    more: Annotated[int, Meta(gt=0, lt=3)] | None = None,
) -> None: ...


SCALARS = (
    st.none() | st.booleans() | st.integers(-20, 20) | st.floats(allow_nan=False) | st.sampled_from(["", "a", "b"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
)
FIELDS = ["low", "high", "step", "name", "kind", "points", "pair", "by_name", "at", "anything", "jobId"]
BODIES = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(["bounds", "texts", "shapes", "nothing", "other"]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
)
POINT = st.fixed_dictionaries({"x": st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)})
VALID = st.one_of(
    st.builds(lambda low: {"type": "bounds", "low": low}, st.integers(1, 10**30)),
    st.builds(lambda name: {"type": "texts", "name": name}, st.text("aé😀", min_size=1, max_size=3)),
    st.builds(lambda points: {"type": "shapes", "points": points}, st.lists(POINT)),
    st.just({"type": "shapes", "points": [], "pair": [1, "a"], "by_name": {"a": 1}}),
    st.just({"type": "nothing", "at": "2024-06-06T12:34:56Z", "jobId": "a.b"}),
)


def _accepted(registry: Jobs, body: bytes) -> bool:
    try:
        parse_submission(registry, body)
    except ApiError:
        return False
    return True


@given(BODIES | VALID)
def test_what_a_function_accepts_its_model_accepts(body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    if _accepted(jobs, text):
        assert validate(submission_model(jobs), text) is None


@given(st.dictionaries(st.sampled_from(["seconds", "jobId", "type", "more"]), VALUES, max_size=3))
def test_for_the_built_in_job_both_engines_refuse_the_same_bodies(body: dict[str, Any]) -> None:
    registry, text = load(None), json.dumps(body).encode()
    assert _accepted(registry, text) is (validate(submission_model(registry), text) is None)


@jobs.job
def far(
    near: Annotated[float, Meta(ge=-1e15, le=2**53)] = 0.0,
    away: Annotated[float, Meta(ge=-1e300, le=1e300)] = 0.0,
    whole: Annotated[int, Meta(ge=0, lt=2**60)] = 0,
    grain: Annotated[float, Meta(multiple_of=1e-7)] = 0.0,
) -> None: ...


def test_no_bound_is_in_the_model_that_cloudformation_may_make_a_text_of() -> None:
    assert not re.search(r"[0-9][eE]|[0-9]{17}", json.dumps(submission_model(load(None))))
    (model,) = [each for each in submission_model(jobs)["anyOf"] if each["properties"]["type"]["enum"] == ["far"]]
    properties = model["properties"]
    assert properties["near"] == {"type": "number", "minimum": -1e15, "maximum": 2**53}
    assert (properties["away"], properties["grain"]) == ({"type": "number"}, {"type": "number"})
    assert properties["whole"] == {"type": "integer", "minimum": 0}


TEXTS = {
    "day": st.dates().map(str) | st.text("0123456789-", max_size=11),
    "at": st.datetimes().map(str)
    | st.from_regex(r"\A2024-0[1-9]-1[0-9][Tt_ ]1[0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]01:?00)?\Z"),
    "moment": st.datetimes().map(str)
    | st.from_regex(r"\A2024-0[1-9]-1[0-9][Tt_ ]1[0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]01:?00)?\Z"),
    "zoned": st.from_regex(r"\A1[0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?([Zz]|[+-]01:?(00)?)?\Z"),
    "hour": st.times().map(str) | st.text("0123456789:Zz", max_size=11),
    "span": st.from_regex(r"\A[+-]?[Pp]([1-9][DdHhMmSs.,]?)*([Tt]([1-9][DdHhMmSs.,]?)*)?\n?\Z"),
    "key": st.uuids().map(str)
    | st.uuids().map(lambda key: key.hex.upper())
    | st.text("0123456789abcdef-", min_size=30),
    "content": st.binary(max_size=5).map(b64encode).map(bytes.decode) | st.text("aA0+/=_-\n", max_size=5),
    "price": st.decimals().map(str) | st.integers() | st.text("1.eE_ "),  # with a fraction it is refused
    "code": st.text("AZa$.\n", max_size=5),
    "free": st.text("aA1٣\n😀", max_size=5),
    "more": st.integers(-1, 4) | st.floats(0, 3),
}


@pytest.mark.parametrize("name", TEXTS)
@given(st.data())
def test_what_stands_for_something_else_is_never_refused_before_its_function_would(name: str, data: Any) -> None:
    value = data.draw(TEXTS[name])
    text = json.dumps({"type": "texts_for_more", name: value}).encode()
    if _accepted(jobs, text):
        assert validate(submission_model(jobs), text) is None, value


def test_a_model_has_only_what_api_gateway_knows() -> None:
    check_model(submission_model(jobs))
    check_model(submission_model(load(None)))


@pytest.mark.parametrize(
    "body",
    [
        {"low": 1},
        {"type": "other"},
        {"type": "bounds"},
        {"type": "bounds", "low": 0},
        {"type": "texts", "name": "abcd"},
        {"type": "texts", "name": "a", "kind": "c"},
        {"type": "shapes", "points": [{"y": 1}]},
        {"type": "nothing", "more": 1},
        {"type": "texts_for_more", "day": "2024-6-6"},
        {"type": "texts_for_more", "at": "yesterday"},
        {"type": "texts_for_more", "moment": "yesterday"},
        {"type": "texts_for_more", "hour": "noon"},
        {"type": "texts_for_more", "span": "1 hour"},
        {"type": "texts_for_more", "key": "1"},
        {"type": "texts_for_more", "content": "?"},
        {"type": "texts_for_more", "code": "A$"},
        {"type": "texts_for_more", "code": "AB\n\n"},
        {"type": "texts_for_more", "more": 0},
        {"type": "texts_for_more", "more": 3},
    ],
    ids=repr,
)
def test_what_a_signature_forbids_and_draft_4_can_say_is_refused(body: dict[str, Any]) -> None:
    assert validate(submission_model(jobs), json.dumps(body).encode()) is not None
