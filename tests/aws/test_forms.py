"""The forms by which the durable edition's template checks parameters: never stricter than a function, and by name."""

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from asyncjob import Jobs
from asyncjob.aws.build.durable import mapping_template
from asyncjob.aws.build.forms import LEVELS, durable_model, forms
from asyncjob.aws.build.model import DRAFT_4
from asyncjob.contract import ApiError, parse_submission
from tests.aws import test_model as model
from tests.aws.double import vtl
from tests.aws.double.java import to_json
from tests.aws.double.schema import check_model, validate

jobs = Jobs()
NONE: list[Any] = []


@dataclass
class Item:
    sku: Annotated[str, Meta(min_length=2)]
    count: Annotated[int, Meta(ge=1, le=120)] = 1
    kind: Literal["new", "used"] | None = None


@dataclass
class Chain:
    name: str
    more: "Chain | None" = None


@jobs.job
def order(
    items: list[Item],
    tags: Annotated[list[str], Meta(max_length=3)] = NONE,
    weights: dict[str, float] | None = None,
    places: list[list[int]] = NONE,
    gift: Item | bool = False,
    level: Literal[1, 2, 12] = 1,
    day: date | None = None,
    ids: set[UUID] | None = None,
) -> None: ...


@jobs.job
def other(
    chain: Chain | None = None, anything: list[Any] = NONE, at: datetime | None = None, gift: int = 0
) -> None: ...


@jobs.job
def half(share: Annotated[float, Meta(ge=0, le=1)]) -> None: ...


def _plain(value: Any) -> str:
    """A value as the template hands it to a form."""
    return re.sub(r"(?s)\\(u[0-9A-Fa-f]{4}|.)", "?", to_json(value)).replace("[", "<").replace("]", ">")


def _accepted(registry: Jobs, body: dict[str, Any]) -> bool:
    try:
        parse_submission(registry, json.dumps(body).encode())
    except ApiError:
        return False
    return True


def _fits(registry: Jobs, body: dict[str, Any]) -> bool:
    """Whether the forms and the model let it pass, if its names are right."""
    known = dict(zip(registry.names, forms(registry), strict=True))[body["type"]]
    matched = all(re.fullmatch(known[name], _plain(value)) for name, value in body.items() if name in known)
    return matched and validate(durable_model(registry), json.dumps(body).encode()) is None


@given(model.BODIES | model.VALID)
def test_what_a_function_accepts_its_forms_accept(body: dict[str, Any]) -> None:
    if _accepted(model.jobs, body):
        assert _fits(model.jobs, body)


@pytest.mark.parametrize("name", model.TEXTS)
@given(st.data())
def test_what_stands_for_something_else_is_never_refused_before_its_function_would(name: str, data: Any) -> None:
    body = {"type": "texts_for_more", name: data.draw(model.TEXTS[name])}
    if _accepted(model.jobs, body):
        assert _fits(model.jobs, body), body


TEXT = st.text('ab"\\/\n\x7f<>[]{},:é😀\u2028', max_size=3)
SMALL = st.integers(-2, 130) | st.sampled_from([1.0, 1.5, 1e3, None, True, 12, "new"]) | TEXT
VALUES = st.recursive(
    SMALL | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"sku": TEXT | SMALL, "count": SMALL, "kind": SMALL, 'b"]': VALUES, "skus": VALUES}
    ),
    max_size=2,
)
NEARLY: dict[str, st.SearchStrategy[Any]] = {
    "tags": st.lists(TEXT | SMALL, max_size=4),
    "weights": st.none() | st.dictionaries(TEXT, SMALL, max_size=3),
    "places": st.lists(st.lists(st.integers(-9, 9) | SMALL, max_size=2) | SMALL, max_size=2),
    "gift": SMALL | st.fixed_dictionaries({"sku": TEXT}),
    "level": SMALL,
    "day": SMALL | st.dates().map(str),
    "ids": st.lists(st.uuids().map(str) | SMALL, max_size=2, unique_by=str),
}


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


@given(st.fixed_dictionaries({"items": ITEMS}, optional=NEARLY))
def test_what_is_inside_lists_and_objects_is_checked_as_the_function_checks_it(fields: dict[str, Any]) -> None:
    body = {"type": "order", **fields}
    fits, accepted = _fits(jobs, body), _accepted(jobs, body)
    assert fits >= accepted if _levels(fields) > LEVELS else fits is accepted, body


@given(st.integers(-300, 300), st.integers(-300, 300), st.integers(-1_100, 1_100) | st.just(10**30))
def test_a_whole_number_fits_within_its_bounds_alone(least: int, most: int, value: int) -> None:
    registry = Jobs()

    def bounded(a: Any, b: Any, c: Any) -> None: ...

    bounds = (Meta(ge=least), Meta(lt=most), Meta(ge=least, le=most))
    bounded.__annotations__.update({name: Annotated[int, bound] for name, bound in zip("abc", bounds, strict=True)})
    registry.job(bounded)
    (known,) = forms(registry)
    found = [re.fullmatch(known[name], str(value)) is not None for name in "abc"]
    assert found == [value >= least, value < most, least <= value <= most]
    assert re.fullmatch(known["a"], "-0") if least <= 0 else True


def test_the_model_keeps_only_what_no_form_says() -> None:
    check_model(durable_model(jobs))
    single = Jobs()
    single.job(order)
    assert durable_model(single) == {
        "$schema": DRAFT_4,
        "type": "object",
        "properties": {},
    }
    single.job(half)
    assert durable_model(single)["properties"] == {"share": {"maximum": 1}}
    assert not _fits(jobs, {"type": "other", "chain": {"name": "a", "more": {"name": 1}}})
    assert _fits(jobs, {"type": "other", "chain": {"name": "a", "more": {"name": "b", "more": None}}})


@pytest.mark.parametrize("depth", [3, 6, 7, 40])
def test_what_a_class_does_not_know_is_let_pass_however_deep(depth: int) -> None:
    deep: Any = "]}"
    for number in range(depth):
        deep = [deep] if number % 2 else {"x": deep}
    body = {"type": "order", "items": [{"sku": "ab", "more": deep, "count": 2}]}
    assert _accepted(jobs, body) and _fits(jobs, body)


def _rendered(body: Any) -> str:
    context = {
        "extendedRequestId": "x=",
        "requestTimeEpoch": 1717677296789,
        "requestTime": "06/Jun/2024:12:34:56 +0000",
    }
    seen: dict[str, Any] = {"params": vtl.Params(), "context": context}
    seen["stage_variables"] = {"table": "Jobs", "retentionDays": "7"}
    sent = vtl.render_request(mapping_template("post_request", jobs), body=json.dumps(body), **seen)[0]
    (condition,) = re.findall(r'"ConditionExpression": "jobId = (:refused_\w+)', sent) or [""]
    if not condition:
        return ""
    # What DynamoDB says of a condition with a value that is not given.
    message = f"An expression attribute value used in expression is not defined; attribute value: {condition}"
    refusal = json.dumps({"__type": "com.amazon.coral.validate#ValidationException", "message": message})
    text, overrides = vtl.render_response(
        mapping_template("post_503", jobs), body=refusal, request_overrides=None, **seen
    )
    assert overrides.status == 400
    return str(json.loads(text)["message"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tags": [1]}, "tags must be a list in which each is a string, at most 3 items"),
        ({"weights": {"a": "b"}}, "weights must be an object in which each value is a number or null"),
        ({"places": [[0], 1]}, "places must be a list in which each is a list in which each is a whole number"),
        ({"level": 3}, "level must be one of 1, 2, 12"),
        ({"day": "today"}, "day must be a date such as 2026-12-24 or null"),
        (
            {"items": [{"sku": "ab"}, {"sku": "a"}]},
            "items must be a list in which each is an object of sku (a string, at least 2 characters), "
            "count (may be left out; a whole number, at least 1, at most 120), "
            "kind (may be left out; one of new, used or null)",
        ),
    ],
    ids=repr,
)
def test_a_refusal_names_the_parameter_and_says_what_it_must_be(fields: dict[str, Any], said: str) -> None:
    body = {"type": "order", "items": [], **fields}
    assert _rendered(body) == said
    assert _rendered({"type": "order", "items": []}) == ""


def test_a_parameter_that_two_functions_have_must_be_what_its_own_function_says() -> None:
    assert _rendered({"type": "other", "gift": "x"}) == "gift must be a whole number"
    assert _rendered({"type": "order", "items": [], "gift": 5}).endswith(" or true or false")
