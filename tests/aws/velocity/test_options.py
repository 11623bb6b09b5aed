"""What the template makes of options, Apache Velocity makes of them too: it is arithmetic with times."""

from typing import Any

from hypothesis import given, settings

from tests.aws import options
from tests.aws.velocity.agreement import rendered
from tests.aws.velocity.engine import Velocity
from tests.aws.velocity.test_differential import _settings


def test_options_are_understood_alike(velocity: Velocity) -> None:
    computed: list[bool] = []

    @settings(_settings)
    @given(options.options)
    def check(value: Any) -> None:
        computed.append(rendered(velocity, options.TEMPLATE, options.given_options(value)) is not None)

    check()
    assert all(computed)
