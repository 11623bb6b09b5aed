"""Whatever a client sends is printed and never evaluated, in Velocity and in the double alike, and JSON comes out."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from asyncjob.contract import JOB_ID
from tests.aws.double.vtl import Params, RequestOverrides
from tests.aws.velocity.agreement import Given, Made, rendered
from tests.aws.velocity.editions import REQUESTS, RESPONSES, VARIABLES
from tests.aws.velocity.engine import Velocity
from tests.aws.velocity.generated import HOSTILE

CONTEXT = {
    "requestId": "EVALUATED",  # no template prints it: where it appears, a client's text was evaluated
    "extendedRequestId": "Ab+/9c-d=",
    "requestTime": "06/Jun/2024:12:34:56 +0000",
    "requestTimeEpoch": 1717677296789,
    "path": "/prod/jobs",
}
# An id that Java's patterns take with what ends a line behind it, and more that begins or ends as an id does.
NEARLY_IDS = [
    f"a-1{end}" for end in ("\n", "\r\n", "\r", "\u0085", "\u2028", "\n\n", '"', "$x", "#end", "\x00", " ", "\ud800")
]
NEARLY_IDS += ["\na-1", ".a", "a" * 129, "..", "a/b", "é", "a\\u0041", "a%00"]
TEXTS = [*HOSTILE, *NEARLY_IDS, "".join(text for text in HOSTILE if text.isprintable())]
# What a template makes of a request that is to be refused: no JSON, and nothing that a client sent.
REFUSALS = re.compile("too large|wrong id")


def _checked(template: str, made: Made, harmless: Made) -> Any:
    """The JSON that a template made, if it did not refuse; no more of it than of a harmless request."""
    assert "EVALUATED" not in f"{made}"
    if REFUSALS.fullmatch(made.text.strip()):
        return None
    value = json.loads(made.text)
    assert value.keys() <= json.loads(harmless.text).keys()
    job_id = value["Key"]["jobId"]["S"] if "Key" in value else value.get("jobId", ".")
    assert job_id == "." or JOB_ID.fullmatch(job_id)
    return value


def _harmless(velocity: Velocity, template: str) -> Made:
    made = rendered(velocity, template, Given('{"name": "x"}', Params(path={"jobId": "a-1"}), CONTEXT, VARIABLES))
    assert made is not None
    json.loads(made.text)
    return made


@pytest.mark.parametrize("name", REQUESTS)
def test_a_text_in_a_path_a_query_or_a_header_stays_a_text(velocity: Velocity, name: str) -> None:
    harmless = _harmless(velocity, REQUESTS[name])
    # Half a surrogate pair cannot be sent there.
    for text in (text.encode(errors="replace").decode() for text in TEXTS):
        for sent in {text, quote(text, safe="")}:
            queried = dict.fromkeys(("status", "type", "limit", "cursor", sent), sent)
            given = Given('{"name": "x"}', Params({"jobId": sent}, queried, queried), CONTEXT, VARIABLES)
            made = rendered(velocity, REQUESTS[name], given)
            assert made is not None, f"a 500 for {sent!r}"
            _checked(name, made, harmless)


@pytest.mark.parametrize("name", [name for name, template in REQUESTS.items() if "$input.path('$" in template])
def test_a_text_in_a_body_stays_a_text(velocity: Velocity, name: str) -> None:
    harmless = _harmless(velocity, REQUESTS[name])
    for text in TEXTS:
        for body in ({"name": text}, {"name": [{text: text}]}, {"jobId": text}, {"type": text}, {"jobId": text + "a"}):
            for raw in {json.dumps(body), json.dumps(body, ensure_ascii=False)}:
                made = rendered(velocity, REQUESTS[name], Given(raw, context=CONTEXT, stage_variables=VARIABLES))
                assert made is not None, f"a 500 for {raw}"
                value = _checked(name, made, harmless)
                if value and "request" in value and raw.isascii() and "\x7f" not in raw:
                    assert value["request"] == body
        # The model lets no other names of parameters through; a template that does not take them may be a 500.
        given = Given(json.dumps({text: text, "name": "x"}), context=CONTEXT, stage_variables=VARIABLES)
        made = rendered(velocity, REQUESTS[name], given)
        if made:
            _checked(name, made, harmless)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ('{"name": null}', "form_0_name"),
        ('{"name": "", "seconds": 1e308}', ""),
        ('{"name": "1e999", "seconds": 2.5E-400}', ""),
        (r'{"name": "\\\"1e999, \\", "seconds": 0}', ""),
        ('{"name": "x", "seconds": 1.0E+309}', "number"),
        (r'{"name": "a\"b\\", "seconds": -1e0999}', "number"),
        ('{"name": "x", "seconds": "1e999"}', "form_0_seconds"),
    ],
)
def test_a_number_that_java_cannot_hold_is_found_and_no_text_is_taken_for_one(
    velocity: Velocity, body: str, refused: str
) -> None:
    given = Given(body, context=CONTEXT, stage_variables=VARIABLES)
    made = rendered(velocity, REQUESTS["durable-SubmitMethod"], given)
    assert made
    condition = json.loads(made.text)["ConditionExpression"]
    assert re.findall(":refused_(.*?)_END", condition) == ([refused] if refused else [])


def _answers(text: str, edition: str) -> Iterator[dict[str, Any]]:
    """What DynamoDB and Lambda may answer, of a job in which a client's text is stored as JSON."""
    stored = json.dumps({"name": text})
    time = {"S": "2024-06-06T12:34:56.789Z"}
    attempt = {"startedAt": time, "finishedAt": time, "error": {"S": stored}}
    item: dict[str, Any] = {
        "jobId": {"S": "a-1"},
        "type": {"S": "greet"},
        "status": {"S": "Success"},
        **{name: {"S": stored} for name in ("progress", "results")},
        "attempt": {"N": "1"},
        "createdAt": time,
    }
    if edition == "inline":
        item |= {"parameters": {"S": stored}, **attempt}
    else:
        item |= {"parameters": {"M": {"name": {"S": json.dumps(text)}}}, "current": {"L": [{"M": attempt}]}}
    yield {"Item": item}
    yield {"Attributes": item}
    yield {"__type": f"ConditionalCheckFailedException{text}", "message": text, "Item": item}
    yield {"__type": text, "Type": text, "message": text, "Message": text}
    yield {"status": 200, "body": stored, "retryAfter": "1"}
    yield {}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_text_in_an_answer_stays_a_text(velocity: Velocity, name: str) -> None:
    template = RESPONSES[name]
    told = [RequestOverrides(path={"jobId": "a-1"}), None] if "requestOverride" in template else [None]
    for text in TEXTS:
        context = {**CONTEXT, "path": f"/prod/jobs/{quote(text, safe='$#!(){}', errors='surrogatepass')}"}
        for answer in _answers(text, name.partition("-")[0]):
            if "$input.path('$')" not in template and not any(f"$.{key}" in template for key in answer):
                continue
            params = Params({"jobId": text}, {"limit": text})
            for overrides in told:
                given = Given(json.dumps(answer), params, context, VARIABLES)
                made = rendered(velocity, template, given, response=True, request_overrides=overrides)
                assert made is not None, f"a 500 for {answer}"
                assert "EVALUATED" not in f"{made}"
                value = json.loads(made.text)
                if "results" in value:
                    assert value["results"] == value["parameters"] == {"name": text}


def test_a_text_in_a_variable_or_in_quotes_is_no_template(velocity: Velocity) -> None:
    template = (
        """$input.path('$.x')#set($y = "$input.path('$.x')")|$y|#set($l = [$y])$l.get(0)|$util.escapeJavaScript($y)"""
    )
    for text in TEXTS:
        made = rendered(velocity, template, Given(json.dumps({"x": text}), context=CONTEXT, stage_variables=VARIABLES))
        assert made is not None
        assert made.text.split("|")[: 1 + text.count("|")] == text.split("|")
        assert "EVALUATED" not in made.text
