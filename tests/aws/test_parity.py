"""Both engines refuse the same bodies: the local server, and the built package in the double.

The rule, exactly. A valid body is a 202 on both and has the same outcome. A broken one is a 400 on both where draft 4
can say what is wrong (`bodies.REFUSED`); where it cannot (`bodies.LATE`) it is a 400 here, and on AWS a 202 whose job
is a Failure with InvalidParameters.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncjob.loading import load
from tests.aws.bodies import LATE, REFUSED, VALID, Body, bodies
from tests.aws.building import built, deployed_folder
from tests.aws.conftest import Api
from tests.serving import Server

SOURCE = """
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from msgspec import Meta

from asyncjob import Jobs

jobs = Jobs()


@dataclass
class Point:
    x: float
    y: Annotated[float, Meta(gt=-5, lt=5)] = 0.0


class Pair(NamedTuple):
    number: int
    name: str


@jobs.job
def numbers(
    low: Annotated[int, Meta(ge=1)],
    above: Annotated[int, Meta(gt=0, lt=9)] = 1,
    part: Annotated[float, Meta(ge=0, lt=1)] = 0.0,
    step: Annotated[int, Meta(multiple_of=5)] = 5,
    price: Decimal = Decimal(1),
    sure: bool = False,
) -> Any:
    return [low, above, part, step, price, sure]


@jobs.job
async def texts(
    name: Annotated[str, Meta(min_length=1, max_length=3)],
    color: Literal["red", "blue"] = "red",
    number: Literal[1, 2] = 1,
    code: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "AB",
    digits: Annotated[str, Meta(pattern=r"^\\d+$")] = "1",
    note: str | None = None,
) -> Any:
    return [name, color, number, code, digits, note]


@jobs.job
def shapes(
    points: Annotated[list[Point], Meta(max_length=3)],
    pair: tuple[int, str] | None = None,
    named: Pair = Pair(1, "a"),
    by_name: dict[str, int] | None = None,
    counts: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1)] = [1],
) -> Any:
    return [points, pair, named, by_name, counts]


@jobs.job
def stands_for(
    day: date | None = None,
    at: Annotated[datetime, Meta(tz=True)] | None = None,
    lasts: timedelta = timedelta(1),
    key: UUID | None = None,
    content: bytes = b"",
    anything: Any = None,
) -> Any:
    return [day, at, lasts, key, content, anything]
"""
STATUSES = {VALID: (202, 202), REFUSED: (400, 400), LATE: (400, 202)}
# What the schema does not say of itself.
BY_HAND = [
    Body({"type": "nobody"}, REFUSED),
    Body({"low": 1}, REFUSED),
    Body({"type": "numbers", "low": 9.0}, REFUSED),
    Body({"type": "texts", "name": "a", "number": 1.0}, REFUSED),
    Body({"type": "texts", "name": "a", "code": "AB\n"}, VALID),
    Body({"type": "numbers", "low": 10**300}, VALID),
    Body({"type": "shapes", "points": [{"x": 1, "more": 1}]}, VALID),
]


class Engines:
    """The same functions on both."""

    def __init__(self, local: Server, aws: Api) -> None:
        self.local = local
        self.aws = aws

    def statuses(self, content: Any) -> tuple[int, int]:
        """What both say to a body."""
        here, there = (
            client.post("/jobs", json=content).status_code for client in (self.local.client, self.aws.client)
        )
        return here, there

    def check(self, body: Body) -> None:
        """Hold the engines against each other, and against the rule."""
        content = body.content
        if body.verdict != REFUSED:
            content = {**content, "jobId": f"{uuid.uuid4()}"}
        assert self.statuses(content) == STATUSES[body.verdict], body
        if body.verdict == VALID:
            here, there = self.local.result(content["jobId"]), self.aws.job(content["jobId"])
            assert [here[name] for name in ("status", "results")] == [there[name] for name in ("status", "results")]
            assert here["parameters"] == there["parameters"]
        if body.verdict == LATE:
            job = self.aws.job(content["jobId"])
            assert (job["status"], job["error"]["type"]) == ("Failure", "InvalidParameters"), body


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("parity") / "parity_functions.py"
    target.write_text(SOURCE)
    return target


@pytest.fixture(scope="module")
def engines(target: Path) -> Iterator[Engines]:
    out = built(target.parent, target)
    with Server(target.with_name("jobs.db"), target=str(target)) as server, deployed_folder(out) as api:
        yield Engines(server, api)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_both_engines_refuse_the_same_bodies_with_the_same_statuses(engines: Engines, target: Path, data: Any) -> None:
    engines.check(data.draw(_bodies(target)))


_made: dict[Path, st.SearchStrategy[Body]] = {}


def _bodies(target: Path) -> st.SearchStrategy[Body]:
    if target not in _made:
        _made[target] = bodies(load(str(target)))
    return _made[target]


@pytest.mark.parametrize("body", BY_HAND, ids=repr)
def test_what_no_schema_says_of_itself_is_alike_too(engines: Engines, body: Body) -> None:
    engines.check(body)


def test_a_decimal_is_exact_on_one_and_refused_by_the_other_where_it_cannot_be(engines: Engines) -> None:
    content = {"type": "numbers", "low": 1}
    assert engines.statuses(content | {"price": 1.5}) == (202, 400)
    for exact in ("12345678901234567890.12", "1.10", 12345678901234567890):
        engines.check(Body(content | {"price": exact}, VALID))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"type": "numbers", "low": 1e999}', b"\xff"])
def test_what_is_no_body_at_all_is_refused_by_both(engines: Engines, content: bytes) -> None:
    for client in (engines.local.client, engines.aws.client):
        answer = client.post("/jobs", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, list(answer.json())) == (400, ["message"])
