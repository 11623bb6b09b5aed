"""What API Gateway answers by itself in the durable edition: never a 202 for what was not saved, and never a client's
text where it could be taken for something else."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncjob import Jobs
from asyncjob.aws.build.durable import mapping_template
from asyncjob.contract import JOB_ID, ApiError
from tests.aws.conftest import PROCESSOR, Api
from tests.aws.double import vtl
from tests.aws.double.double import Double
from tests.aws.double.java import to_json
from tests.aws.double.services import Answer
from tests.conformance.answers import assert_refused
from tests.conformance.test_submit import BAD_IDS


@pytest.fixture(scope="module")
def api(package: str, folder: Path) -> Iterator[Api]:
    with ExitStack() as stack:
        yield Api(stack.enter_context(Double(package, scale=0.001, bucket=folder)), stack, signed=True)


def _echo(api: Api, job_id: str, value: Any) -> Any:
    answer = api.post(jobId=job_id, type="echo", value=value)
    assert answer.status_code == 202, answer.text
    return api.job(job_id)


@contextmanager
def _answering(api: Api, *answers: Answer) -> Iterator[None]:
    """Let DynamoDB answer API Gateway so."""
    left = list(answers)

    async def answered(role: str | None, operation: str, body: bytes) -> Answer:
        return left.pop(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.double.services, "dynamodb", answered)
        yield


@pytest.mark.parametrize(
    "fault", ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"]
)
@pytest.mark.parametrize("path", ["/jobs", "/jobs/throttled/cancel", "/jobs/throttled/retry"])
def test_throttling_is_429_with_retry_after_and_nothing_is_saved(api: Api, fault: str, path: str) -> None:
    with api.double.services.failing("dynamodb:UpdateItem", fault, role="ApiRole"):
        answer = api.client.post(path, json={"jobId": "throttled", "type": "add", "a": 1} if path == "/jobs" else None)
    assert_refused(answer, 429)
    assert answer.headers["retry-after"] == "1"
    assert api.get("throttled").status_code == 404


@pytest.mark.parametrize("fault", ["InternalServerError", "AccessDeniedException", "ValidationException", "Unheard0f"])
def test_any_other_fault_is_503_and_nothing_is_saved(api: Api, fault: str) -> None:
    with api.double.services.failing("dynamodb:UpdateItem", fault, role="ApiRole"):
        answer = api.post(jobId="faulty", type="add", a=1)
    assert_refused(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert api.get("faulty").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Attributes": {}},
        {"Attributes": {"jobId": {"S": ""}}},
        {"Attributes": {"jobId": {"N": "1"}}},
        {"Attributes": {"jobId": {"S": 'x", "status": "Success'}}},
        {"Attributes": {"jobId": {"S": "x\n"}}},
        {"Attributes": None},
        {"message": "hello"},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("path", ["/jobs", "/jobs/x/retry", "/jobs/x/cancel"])
def test_an_answer_without_what_it_should_have_never_becomes_a_202(api: Api, body: dict[str, Any], path: str) -> None:
    with _answering(api, Answer(200, json.dumps(body).encode())):
        answer = api.client.post(path, json={"jobId": "x", "type": "add", "a": 1} if path == "/jobs" else None)
    assert_refused(answer, 503)
    assert "location" not in answer.headers


def test_a_failed_condition_without_the_item_is_no_conflict_and_no_202(api: Api) -> None:
    refusal = {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "failed"}
    with _answering(api, Answer(400, json.dumps(refusal).encode())):
        assert_refused(api.post(jobId="x", type="add", a=1), 503)


@pytest.mark.parametrize("missing", ["attempt", "parameters"])
def test_an_item_that_is_no_job_is_not_found_and_never_broken_json(api: Api, missing: str) -> None:
    assert api.post(jobId=f"no-{missing}", type="add", a=1).status_code == 202
    api.job(f"no-{missing}")
    client = api.double.client("dynamodb")
    key = {"jobId": {"S": f"no-{missing}"}}
    client.update_item(
        TableName="Jobs", Key=key, UpdateExpression="REMOVE #name", ExpressionAttributeNames={"#name": missing}
    )
    assert_refused(api.get(f"no-{missing}"), 404)
    assert_refused(api.client.post(f"/jobs/no-{missing}/cancel"), 404)


def test_the_same_request_again_writes_nothing_in_whatever_order_and_state(api: Api) -> None:
    stream = api.double.stream("Jobs")
    assert api.post(jobId="same", type="add", a=1, b=2).status_code == 202
    api.job("same")
    before, records = api.double.item("same"), len(stream.records)
    for body in ({"b": 2, "a": 1, "type": "add", "jobId": "same"}, {"jobId": "same", "type": "add", "a": 1, "b": 2}):
        answer = api.post(**body)
        assert (answer.status_code, answer.json()) == (202, {"jobId": "same"})
    assert api.double.item("same") == before
    assert len(stream.records) == records


@pytest.mark.parametrize("change", [{"a": 2}, {"a": 1, "b": 1}, {"type": "echo", "value": 1}], ids=json.dumps)
def test_another_request_is_a_conflict_that_names_the_job(api: Api, change: dict[str, Any]) -> None:
    assert api.post(jobId="taken", type="add", a=1).status_code == 202
    assert "taken" in assert_refused(api.post(**{"jobId": "taken", "type": "add", **change}), 409)
    assert api.job("taken")["parameters"] == {"a": 1}


def test_an_expired_job_is_gone_for_everybody_and_its_id_is_not_free_yet(package: str, folder: Path) -> None:
    with ExitStack() as stack:
        double = stack.enter_context(Double(package, {"RetentionDays": "1"}, scale=0.001, bucket=folder))
        api = Api(double, stack, signed=True)
        assert api.post(jobId="old", type="add", a=1).status_code == 202
        api.job("old")
        double.call(lambda: double.clock.jump(86_400 + 60))
        assert api.get("old").status_code == 404
        for path in ("/jobs/old/retry", "/jobs/old/cancel"):
            assert assert_refused(api.client.post(path), 404) == "Not found"
        assert assert_refused(api.client.get("/jobs/old/attempts"), 404) == "Not found"
        assert api.client.get("/jobs").json() == {"jobs": []}
        assert "expired" in assert_refused(api.post(jobId="old", type="add", a=1), 409)
        double.remove_expired()
        assert api.post(jobId="old", type="add", a=2).status_code == 202
        assert api.job("old")["results"] == 3


@pytest.mark.parametrize("bad", [bad for bad in BAD_IDS if bad != "a/b"], ids=ascii)
def test_no_bad_id_reaches_the_table(api: Api, bad: Any) -> None:
    before = api.client.get("/jobs?limit=1").json()
    assert "jobId" in assert_refused(api.post(jobId=bad, type="add", a=1), 400)
    assert api.client.get("/jobs?limit=1").json() == before


@pytest.mark.parametrize(
    "path", ["%22", "%00", "x%0A", "..%2Fjobs", "a%22%2C%22S%22%3A%22x", "%24input.path('%24')", "%"]
)
@pytest.mark.parametrize("verb", ["", "/cancel", "/retry", "/attempts", "/large"])
def test_what_can_be_no_id_is_not_found_at_any_route(api: Api, path: str, verb: str) -> None:
    method = "POST" if verb in ("/cancel", "/retry") else "GET"
    assert assert_refused(api.client.request(method, f"/jobs/{path}{verb}"), 404) == "Not found"


VALUES = [
    None,
    "",
    " ",
    "null",
    [],
    {},
    0,
    -0.5,
    True,
    'a"b\\c',
    "it's",
    "$input.body #set($x = 1) ${x} $!x #end",
    "line\nfeed\ttab\r\u2028",  # a raw DEL vanishes: json-smart, which API Gateway seems to use, drops it
    "é漢😀",
    {"x": None, "value": ""},
    {"'": '"}}, "evil": {"S": "x'},
    [1, [2, {"value": None}]],
    "</script>",
    ":refused_size_END",
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_what_a_client_sends_is_what_its_function_is_given(api: Api, value: Any) -> None:
    job = _echo(api, f"value-{VALUES.index(value) if value is not True else 'true'}", value)
    assert (job["status"], job["parameters"], job["results"]) == ("Success", {"value": value}, value)


def test_half_a_surrogate_pair_is_refused_by_name(api: Api) -> None:
    body = b'{"type": "echo", "value": "\\ud800"}'
    answer = api.client.post("/jobs", content=body, headers={"content-type": "application/json"})
    assert "value has half a surrogate pair" in assert_refused(answer, 400)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"type": "add"}, "a"),
        ({"type": "add", "a": "1"}, "a"),
        ({"type": "add", "a": [1]}, "a"),
        ({"type": "add", "a": 1, "b": None}, "b"),
        ({"type": "add", "a": 1, "c_d": 2}, "c_d"),
        ({"type": "add", "a": 1, "b": 1.5}, "b"),
        ({"type": "add", "a": -2.5}, "a"),
        ({"type": "count", "steps": 1e20}, "steps"),
        ({"type": "pause", "seconds": [1]}, "seconds"),
        ({"type": "greet", "name": 5}, "name"),
        ({"type": "no-such"}, "type"),
        ({"a": 1}, "type"),
        ({"type": 5, "a": 1}, "type"),
    ],
    ids=json.dumps,
)
def test_of_many_functions_too_a_refusal_names_the_field(api: Api, body: dict[str, Any], named: str) -> None:
    message = assert_refused(api.post(**body), 400)
    assert named in message.replace(":", " ").split()


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "add", "a": 1e999}',
        b'{"type": "add", "a": 1, "b": -1E+0309}',
        b'{"type": "pause", "seconds": 1.0e1000}',
        b'{"type": "echo", "value": {"x": ["1", 5e400]}}',
        b'{"type": "echo", "value": "a\\"b\\\\", "more": 1e999}',
    ],
)
def test_a_number_beyond_every_float_is_refused_and_never_a_null(api: Api, body: bytes) -> None:
    answer = api.client.post("/jobs", content=body, headers={"content-type": "application/json"})
    assert "number" in assert_refused(answer, 400)


LOOKS_LARGE = ["1e999", 'say "1e999"', "\\1e999", {"1e999": "2.5E400"}, 1e308, ["", 1e-320]]


@pytest.mark.parametrize("value", LOOKS_LARGE, ids=repr)
def test_what_only_looks_like_one_is_saved(api: Api, value: Any) -> None:
    assert _echo(api, f"seems-{LOOKS_LARGE.index(value)}", value)["results"] == value


def test_a_null_that_is_written_as_an_empty_text_stays_a_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an engine that is no AWS has it; and what is an empty text there stays one."""
    monkeypatch.setattr(vtl, "to_json", lambda value: '""' if value is None else to_json(value))
    jobs = Jobs()
    jobs.job(name="one")(_takes_anything)
    for value, text in ((None, "null"), ("", '""')):
        body = {"x": value, "d": {"x": ""}, "e": {"x": None}}
        saved = json.loads(_rendered(jobs, body))["ExpressionAttributeValues"][":parameters"]["M"]
        assert saved["x"] == {"S": text}


def _takes_anything(x: Any, d: Any, e: Any) -> None: ...


def _rendered(jobs: Jobs, body: Any, extended: str = "Ab+/9c-d=", epoch: int = 1717677296789) -> str:
    """What API Gateway sends to DynamoDB for a submission."""
    context = {"extendedRequestId": extended, "requestTimeEpoch": epoch, "requestTime": "06/Jun/2024:12:34:56 +0000"}
    return vtl.render_request(
        mapping_template("post_request", jobs),
        body=json.dumps(body),
        params=vtl.Params(),
        context=context,
        stage_variables={"table": "Jobs", "retentionDays": "7"},
    )[0]


def test_an_id_that_the_server_makes_is_of_its_time_and_loses_nothing_of_the_requests() -> None:
    jobs = Jobs()
    jobs.job(name="one")(_takes_anything)
    requests = [
        ("Ab+/9c-d=", 1717677296789),
        ("Ab/+9c-d=", 1717677296789),
        ("Ab9cd=", 1717677296789),
        ("Ab+/9c-d=", 1717677296790),
    ]
    made = [
        json.loads(_rendered(jobs, {"x": 1, "d": 1, "e": 1}, *request))["Key"]["jobId"]["S"] for request in requests
    ]
    assert len(set(made)) == len(requests)
    assert all(JOB_ID.fullmatch(job_id) and job_id.startswith("17176772967") for job_id in made)


def test_a_retried_job_called_retry_is_where_the_answer_says(api: Api) -> None:
    for job_id in ("retry", "jobs"):
        assert api.post(jobId=job_id, type="once").status_code == 202
        api.job(job_id)
        for end in ("", "/"):
            answer = api.client.post(f"/jobs/{job_id}/retry{end}")
            assert answer.status_code == 202, answer.text
            assert answer.headers["location"] == f"/prod/jobs/{job_id}"
            api.job(job_id)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8"])
def test_what_takes_no_body_takes_any_type_that_a_client_says_by_itself(api: Api, kind: str) -> None:
    assert api.post(jobId="typed", type="once").status_code == 202
    api.job("typed")
    headers = {"content-type": kind}
    for path in ("/jobs/typed", "/jobs/typed/attempts", "/jobs/typed/large", "/jobs?type=once", "/openapi.json"):
        assert api.client.get(path, headers=headers).status_code == 200, path
    assert api.client.post("/jobs/typed/retry", headers=headers).status_code == 202
    api.job("typed")
    assert api.client.post("/jobs/typed/cancel", headers=headers).status_code == 409
    assert api.client.post("/jobs/typed", headers=headers).status_code == 405
    assert api.client.get("/nowhere", headers=headers).status_code == 404
    assert_refused(api.client.post("/jobs", content=b'{"type": "add", "a": 1}', headers=headers), 415)


def test_a_template_that_writes_no_json_is_no_fault_of_the_client(api: Api) -> None:
    refusal = {"__type": "com.amazon.coral.service#SerializationException"}
    with _answering(api, Answer(400, json.dumps(refusal).encode())):
        answer = api.post(jobId="x", type="add", a=1)
    assert_refused(answer, 503)
    assert answer.headers["retry-after"] == "1"


def test_a_name_that_nobody_would_write_is_not_repeated(api: Api) -> None:
    message = assert_refused(api.post(type="add", a=1, **{'x", "status': 1}), 400)
    assert "status" not in message or '"' not in message


def test_without_an_index_nothing_is_listed_and_all_else_works(package: str, folder: Path) -> None:
    with ExitStack() as stack:
        double = stack.enter_context(Double(package, {"Listing": "false"}, scale=0.001, bucket=folder))
        api = Api(double, stack, signed=True)
        assert _echo(api, "unlisted", 1)["status"] == "Success"
        assert "Listing" in assert_refused(api.client.get("/jobs"), 404)
        assert len(api.client.get("/jobs/unlisted/attempts").json()["attempts"]) == 1
        table = double.client("dynamodb").describe_table(TableName="Jobs")["Table"]
        assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["due"]
        assert double.services.refused == []


def test_a_cursor_of_another_stack_is_refused() -> None:
    from asyncjob.aws.runtime.durable_pages import Cursors, Place

    place = Place("2026-01-01T00:00:00.000Z", "x", "1")
    cursor = Cursors("one stack").write(place)
    assert Cursors("one stack").read(cursor) == place
    for other in (cursor[:-1], cursor + "A", cursor.swapcase(), "", "ü", Cursors("another").write(place)):
        with pytest.raises(ApiError):
            Cursors("one stack").read(other)


@pytest.mark.parametrize("unseen", [False, True])
def test_a_reader_that_cannot_be_called_is_503(api: Api, unseen: bool) -> None:
    reader = f"{PROCESSOR}-reader"
    api.double.api.call_failures = unseen
    api.double.call(lambda: api.double.functions.throttle(reader))
    try:
        answer = api.client.get("/jobs")
    finally:
        api.double.call(lambda: api.double.functions.throttle(reader, on=False))
        api.double.api.call_failures = False
    assert_refused(answer, 503)
    assert answer.headers["retry-after"] == "1"
