"""API Gateway understands options as the core does: the mapping template against `parse_options`."""

from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.aws import options
from tests.aws.double.vtl import render_request


def _rendered(value: Any) -> options.Understood:
    made = options.given_options(value)
    text, _ = render_request(
        options.TEMPLATE,
        body=made.body,
        params=made.params,
        context=made.context,
        stage_variables=made.stage_variables,
    )
    return options.understood(text)


@settings(max_examples=400, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(options.options)
def test_options_are_understood_as_the_core_understands_them(value: Any) -> None:
    assert _rendered(value) == options.expected(value)
