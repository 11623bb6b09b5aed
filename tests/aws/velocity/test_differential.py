"""The double renders what Apache Velocity 1.7 renders, or refuses; never anything else."""

import os
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings

from tests.aws.velocity import generated
from tests.aws.velocity.agreement import Given, rendered
from tests.aws.velocity.engine import Velocity

# How many of each kind; the same ones in every run. More of them find more: 10,000 take minutes.
EXAMPLES = int(os.environ.get("ASYNCJOB_VELOCITY_EXAMPLES", "150"))
_settings = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_templates_render_alike(velocity: Velocity) -> None:
    computed: list[bool] = []

    @_settings
    @given(generated.templates, generated.given_values())
    def check(template: str, given: Given) -> None:
        computed.append(rendered(velocity, template, given) is not None)

    check()
    assert sum(computed) > len(computed) / 3, "the double refuses too much for this to say anything"


def test_a_soup_of_the_languages_words_renders_alike(velocity: Velocity) -> None:
    computed: list[bool] = []

    @_settings
    @given(generated.soups)
    def check(template: str) -> None:
        # That an undefined reference is true was seen on API Gateway: so is an empty text to Velocity.
        computed.append(rendered(velocity, template, Given(), nulls=("empty",)) is not None)

    check()
    assert sum(computed) > len(computed) / 10, "the double refuses too much for this to say anything"


def test_regular_expressions_match_alike(velocity: Velocity) -> None:
    computed: list[bool] = []
    calls: list[Callable[[str], str]] = [
        lambda text: f"{text}.replaceAll($stageVariables.p, $stageVariables.r)",
        lambda text: f"{text}.replaceFirst($stageVariables.p, $stageVariables.r)",
        lambda text: f"{text}.matches($stageVariables.p)",
        lambda text: f"#foreach($part in {text}.split($stageVariables.p))<$part>#end",
    ]

    @_settings
    @given(generated.patterns, generated.subjects, generated.replacements)
    def check(pattern: str, subject: str, replacement: str) -> None:
        given = Given(stage_variables={"t": subject, "p": pattern, "r": replacement})
        templates = (call("$stageVariables.t") for call in calls)
        computed.extend(rendered(velocity, template, given, nulls=("kept",)) is not None for template in templates)

    check()
    assert sum(computed) > len(computed) / 4, "the double refuses too much for this to say anything"
