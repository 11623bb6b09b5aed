"""The double renders what Apache Velocity 1.7 renders, or refuses; never anything else."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.aws.test_double_java import CALLS
from tests.aws.test_double_syntax import BODY, READ
from tests.aws.velocity import engine, generated
from tests.aws.velocity.agreement import Given, rendered
from tests.aws.velocity.engine import Velocity

# How many of each kind; the same ones in every run. More of them find more: 5,000 take minutes.
EXAMPLES = int(os.environ.get("ASYNCJOB_VELOCITY_EXAMPLES", "100"))
_settings = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_velocity_reads_templates_as_the_doubles_tests_say(velocity: Velocity) -> None:
    for template, text in READ:
        assert {rendering.text for rendering in velocity.render(template, body=BODY)} == {text}, template
    for value, call, printed in CALLS:
        (rendering,) = velocity.render(f"#set($x = {value})$x.{call}", nulls=("kept",))
        assert rendering.text == printed, (value, call)


def test_an_undefined_reference_is_true_and_a_bare_literal_false(velocity: Velocity) -> None:
    """The one was seen on API Gateway, and is so where a null is an empty text. The double refuses the other."""
    made = rendered(velocity, "#if($no)a#{else}b#end#if(!$no.x)c#{else}d#end", Given(), nulls=("empty",))
    assert made
    assert made.text == "ad"
    for literal in ("'a'", '"a"', "1", "1.5", "[1]", "{'a': 1}", "[1..2]", "1 + 1"):
        template = f"#if({literal})a#{{else}}b#end"
        assert {rendering.text for rendering in velocity.render(template)} == {"b"}, template
        assert rendered(velocity, template, Given()) is None


def test_bytes_that_are_no_utf_8_decode_alike(velocity: Velocity) -> None:
    some = ["41", "80", "A0", "BF", "C0", "C3", "E0", "E1", "ED", "EF", "F0", "F4", "F5", "FF"]
    for first in some:
        for second in some:
            texts = [f"%{first}%{second}%{third}{tail}" for third in some for tail in ("", "%80%80", "é%A9+")]
            template = "#foreach($x in $input.path('$.l'))$util.urlDecode($x)|#end"
            assert rendered(velocity, template, Given(json.dumps({"l": texts})), nulls=("kept",))


@pytest.mark.parametrize("where", ["skipped", "failed"])
def test_without_velocity_these_tests_are_skipped_with_the_reason_or_fail_where_they_must_run(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(engine, "_JARS", [Path("/nowhere/velocity.jar")])
    monkeypatch.setenv(engine.REQUIRED, "required" if where == "failed" else "")
    raised = pytest.fail.Exception if where == "failed" else pytest.skip.Exception
    with pytest.raises(raised, match=f"no /nowhere/velocity.jar.*: apt-get install {engine.PACKAGES}"):
        engine.required()


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
