"""Renders with the double and with Apache Velocity, and compares what comes out."""

from dataclasses import dataclass, field
from typing import Any

from tests.aws.double.vtl import Overrides, Params, RenderError, RequestOverrides, render_request, render_response
from tests.aws.velocity.engine import NULLS, Velocity


@dataclass(frozen=True)
class Given:
    """What a template sees."""

    body: str = ""
    params: Params = field(default_factory=Params)
    context: dict[str, Any] = field(default_factory=dict)
    stage_variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A template's text, and what it overrode."""

    text: str
    overrides: RequestOverrides | Overrides


def rendered(
    velocity: Velocity,
    template: str,
    given: Given,
    *,
    response: bool = False,
    request_overrides: RequestOverrides | None = None,
    nulls: tuple[str, ...] = NULLS,
) -> Made | None:
    """What the double makes of a template, once Velocity was seen to make the same of it; None if the double refuses.

    Args:
        velocity: Velocity itself.
        template: The template's text.
        given: What it sees.
        response: Whether it is a response's template.
        request_overrides: What a response's template sees of the request's.
        nulls: What a null may be for Velocity; with each the same has to come out.

    Raises:
        AssertionError: Velocity makes something else of it.
        VelocityError: It makes nothing of it.
    """
    seen: dict[str, Any] = {"params": given.params, "context": given.context, "stage_variables": given.stage_variables}
    made: tuple[str, RequestOverrides | Overrides]
    try:
        if response:
            made = render_response(template, body=given.body, request_overrides=request_overrides, **seen)
        else:
            made = render_request(template, body=given.body, **seen)
    except RenderError:
        return None
    text, overrides = made
    context: dict[str, Any] = given.context | ({"responseOverride": {}} if response else {"requestOverride": {}})
    if request_overrides:
        o = request_overrides
        context["requestOverride"] = {"header": o.headers, "querystring": o.querystring, "path": o.path}
    body = given.body if response else given.body or "{}"
    for theirs in velocity.render(template, body=body, nulls=nulls, **seen | {"context": context}):
        assert (_units(theirs.text), _overrides(theirs.context, response)) == (_units(text), overrides), template
    return Made(text, overrides)


def _overrides(context: dict[str, Any], response: bool) -> RequestOverrides | Overrides:
    if response:
        made = context["responseOverride"]
        return Overrides(made.get("status"), made["header"])
    made = context["requestOverride"]
    return RequestOverrides(made["header"], made["querystring"], made["path"])


def _units(text: str) -> bytes:
    """A text as Java has it: two halves of a character, wherever they came from, are that character."""
    return text.encode("utf-16-le", "surrogatepass")
