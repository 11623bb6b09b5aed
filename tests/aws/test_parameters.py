"""What the template's parameters change, seen from outside."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.aws.conftest import PROCESSOR, Api
from tests.aws.double.services import TESTER
from tests.conformance.answers import assert_refused

Deploy = Callable[..., Api]
ORIGIN = "https://example.com"


def test_with_api_key_only_who_has_the_key_may_call(deployed: Deploy) -> None:
    api = deployed(Authorization="API_KEY")
    assert api.double.stack.outputs["ApiKeyId"]
    assert assert_refused(api.post(seconds=0), 403) == "Forbidden"
    assert assert_refused(api.get("x"), 403) == "Forbidden"
    api.client.headers["x-api-key"] = "wrong"
    assert_refused(api.post(seconds=0), 403)
    api.client.headers["x-api-key"] = str(api.double.api.api_key)
    api.submit("keyed")
    assert api.job("keyed")["status"] == "Success"


def test_with_aws_iam_only_signed_requests_pass(deployed: Deploy) -> None:
    api = deployed(Authorization="AWS_IAM")
    assert assert_refused(api.post(seconds=0), 403) == "Missing Authentication Token"
    assert assert_refused(api.get("x"), 403) == "Missing Authentication Token"
    body = b'{"jobId": "signed", "seconds": 0}'
    request = AWSRequest("POST", f"{api.double.url}/jobs", data=body, headers={"content-type": "application/json"})
    SigV4Auth(Credentials(*TESTER), "execute-api", "us-east-1").add_auth(request)
    assert api.client.post("/jobs", content=body, headers=dict(request.headers)).status_code == 202
    assert_refused(api.client.post("/jobs", content=body + b" ", headers=dict(request.headers)), 403)
    SigV4Auth(Credentials("AKIASTRANGER", TESTER[1]), "execute-api", "us-east-1").add_auth(request)
    assert_refused(api.client.post("/jobs", content=body, headers=dict(request.headers)), 403)


def test_above_its_rate_the_api_answers_429_and_says_when_to_try_again(deployed: Deploy) -> None:
    api = deployed(ThrottlingRate="1", ThrottlingBurst="2")
    answers = [api.get("x") for _ in range(5)]
    assert [answer.status_code for answer in answers][:2] == [404, 404]
    assert_refused(answers[-1], 429)
    assert answers[-1].headers["retry-after"] == "1"


def test_with_an_origin_its_pages_may_read_every_answer(deployed: Deploy) -> None:
    api = deployed(CorsOrigin=ORIGIN)
    api.submit("cors")
    api.job("cors")
    key = "access-control-allow-origin"
    answers = [
        api.client.options("/jobs"),
        api.client.options("/jobs/cors"),
        api.post(jobId="cors", seconds=0),
        api.get("cors"),
        api.get("unknown"),
        api.post(seconds="x"),
        api.client.post("/jobs", content="x", headers={"content-type": "text/plain"}),
        api.client.get("/nowhere"),
    ]
    assert [answer.status_code for answer in answers] == [204, 204, 202, 200, 404, 400, 415, 404]
    assert [answer.headers.get(key) for answer in answers] == [ORIGIN] * 8
    assert "*" in answers[0].headers["access-control-allow-headers"]
    assert [answer.headers.get("access-control-expose-headers") for answer in answers] == [None] * 2 + ["*"] * 6


def test_without_an_origin_nothing_is_said_of_it(api: Api) -> None:
    api.submit("plain")
    for answer in (api.post(jobId="plain", seconds=0), api.get("plain"), api.post(seconds="x")):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert_refused(api.client.options("/jobs"), 404)


def test_a_job_is_kept_for_its_days_and_hidden_when_they_are_over(deployed: Deploy) -> None:
    api, before = deployed(RetentionDays="2"), int(time.time())
    api.submit("kept")
    api.job("kept")
    expires_at = int((api.double.item("kept") or {})["expiresAt"])
    assert before + 2 * 86_400 <= expires_at <= time.time() + 2 * 86_400
    _set_expires_at(api, "kept", int(time.time()) - 1)
    assert assert_refused(api.get("kept"), 404) == "Not found"
    _set_expires_at(api, "kept", int(time.time()) + 60)
    assert api.get("kept").status_code == 200


def _set_expires_at(api: Api, job_id: str, seconds: int) -> None:
    api.double.services.moto_client("dynamodb").update_item(
        TableName="Jobs",
        Key={"jobId": {"S": job_id}},
        UpdateExpression="SET expiresAt = :at",
        ExpressionAttributeValues={":at": {"N": str(seconds)}},
    )


def test_without_days_a_job_is_kept_for_ever(api: Api) -> None:
    api.submit("kept")
    api.job("kept")
    assert "expiresAt" not in (api.double.item("kept") or {})


def test_the_longest_sleep_is_the_parameter_timeout(deployed: Deploy) -> None:
    api = deployed(Timeout="1")
    api.submit("long", 1.5)
    assert "at most 1 " in api.job("long")["error"]["message"]


def test_reserved_concurrency_lets_no_more_jobs_run_at_once(deployed: Deploy) -> None:
    api = deployed(ReservedConcurrency="1")
    for number in range(3):
        api.submit(f"job-{number}", 0.2)
    jobs = sorted((api.job(f"job-{number}") for number in range(3)), key=lambda job: str(job["startedAt"]))
    assert [a["finishedAt"] <= b["startedAt"] for a, b in pairwise(jobs)] == [True, True]


def test_lambda_throttling_is_a_429_and_no_202(api: Api) -> None:
    api.double.call(lambda: api.double.functions.throttle(PROCESSOR))
    answer = api.post(jobId="refused", seconds=0)
    assert_refused(answer, 429)
    assert answer.headers["retry-after"] == "1"
    api.double.call(lambda: api.double.functions.throttle(PROCESSOR, on=False))
    api.submit("refused")


def test_lambdas_refusals_of_a_call_are_a_503_where_no_template_gets_to_see_them(deployed: Deploy) -> None:
    api = deployed(CorsOrigin=ORIGIN)
    api.double.api.call_failures = True
    api.double.call(lambda: api.double.functions.throttle(PROCESSOR))
    answer = api.post(jobId="refused", seconds=0)
    assert assert_refused(answer, 503) == "not available; try again later"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "*"
    api.double.call(lambda: api.double.functions.throttle(PROCESSOR, on=False))
    api.submit("refused")


@pytest.mark.parametrize("failures", [False, True])
def test_a_role_that_may_not_invoke_is_no_202_whichever_way_it_shows(
    template: str, deployed: Deploy, failures: bool
) -> None:
    api = deployed(
        template.replace(
            "Action: lambda:InvokeFunction, Resource: !GetAtt Processor.Arn",
            "Action: lambda:GetFunction, Resource: !GetAtt Processor.Arn",
        )
    )
    api.double.api.call_failures = failures
    assert_refused(api.post(jobId="refused", seconds=0), 503 if failures else 502)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("ProvisionedThroughputExceededException", 429),
        ("ThrottlingException", 429),
        ("RequestLimitExceeded", 429),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 500),
        ("ResourceNotFoundException", 500),
        ("ValidationException", 500),
    ],
)
def test_a_fault_of_the_table_is_never_not_found(api: Api, error: str, status: int) -> None:
    api.submit("there")
    api.job("there")
    with api.double.services.failing("dynamodb:GetItem", error):
        answer = api.get("there")
    assert assert_refused(answer, status) != "Not found"
    assert answer.headers.get("retry-after") == ("1" if status == 429 else None)


def test_a_get_with_a_body_of_another_type_is_a_415(api: Api) -> None:
    assert_refused(api.client.get("/jobs/x", headers={"content-type": "text/plain"}), 415)


def test_memory_and_time_are_the_parameters(deployed: Deploy) -> None:
    api = deployed(ProcessorMemory="512", ProcessorTimeout="7")
    api.submit("job")
    api.job("job")
    api.double.idle()
    (report,) = [line for line in api.double.services.logs[f"/aws/lambda/{PROCESSOR}"] if line.startswith("REPORT")]
    assert "Memory Size: 512 MB" in report
    assert api.double.stack.named("Processor").properties["Timeout"] == "7"


@pytest.mark.parametrize("size", [1_048_577, 7_000_000])
def test_a_body_over_the_limit_is_a_413_however_large(api: Api, size: int) -> None:
    body = b'{"seconds": 0}'.ljust(size)
    assert_refused(api.client.post("/jobs", content=body, headers={"content-type": "application/json"}), 413)


def test_a_key_that_cannot_be_one_is_not_found(api: Api) -> None:
    assert assert_refused(api.get("x" * 2_049), 404) == "Not found"


@pytest.mark.parametrize("path", ["%", "%zz", "%2", "100%", "%25", "%2525"])
def test_a_malformed_escape_in_the_path_is_no_fault(api: Api, path: str) -> None:
    assert assert_refused(api.client.get(f"/jobs/{path}"), 404) == "Not found"
