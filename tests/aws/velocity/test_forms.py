"""What the forms of the template say of parameters, Java says too, and of long ones without the end of its stack."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjob.aws.build.durable import mapping_template
from tests.aws.options import NOW
from tests.aws.test_forms import ITEMS, NEARLY, jobs
from tests.aws.velocity.agreement import Given, rendered
from tests.aws.velocity.engine import Velocity
from tests.aws.velocity.test_differential import _settings

TEMPLATE = mapping_template("post_request", jobs)
LONG = 20_000
BODIES = st.fixed_dictionaries({"type": st.just("order"), "items": ITEMS}, optional=NEARLY)


def _given(body: dict[str, Any]) -> Given:
    context = {"extendedRequestId": "x=", "requestTimeEpoch": NOW, "requestTime": "06/Jun/2024:12:34:56 +0000"}
    return Given(json.dumps(body), context=context, stage_variables={"table": "Jobs", "retentionDays": "7"})


def test_parameters_are_checked_alike(velocity: Velocity) -> None:
    refused: list[bool] = []

    @settings(_settings)
    @given(BODIES)
    def check(body: dict[str, Any]) -> None:
        made = rendered(velocity, TEMPLATE, _given(body))
        assert made, repr(body)
        refused.append(":refused_" in made.text)

    check()
    assert any(refused) and not all(refused)


def test_a_long_parameter_needs_no_long_stack(velocity: Velocity) -> None:
    for last in (0, None):
        body = {
            "type": "order",
            "items": [{"sku": "ab" * LONG, "more": ["x"] * LONG}],
            "places": [*[[0]] * LONG, [last]],
            "weights": {f"w{each}": each for each in range(LONG // 4)},
        }
        for theirs in velocity.render(TEMPLATE, **vars(_given(body))):
            assert (":refused_form_0_places" in theirs.text) is (last is None)
