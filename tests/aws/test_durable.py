"""What a user's own functions are promised on AWS, from the built folder alone, in the processes of the double."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from asyncjob.loading import load
from tests.aws.conftest import PROCESSOR, Api
from tests.aws.double.double import Double
from tests.aws.packaging import packaged, with_timeout

Deploy = Callable[..., Api]
LOST = 10 + 5 * 60  # seconds after which a lost attempt of these functions is found


@pytest.fixture
def deploy(deployed: Deploy, package: str, folder: Path) -> Deploy:
    """Deploys the package with parameters, for one test."""
    return partial(_deploy, deployed, package, folder)


def _deploy(deployed: Deploy, package: str, folder: Path, text: str = "", **more: Any) -> Api:
    return deployed(text or package, **{"scale": 0.001, "bucket": folder, "signed": True, **more})


@pytest.fixture(scope="module")
def api(package: str, folder: Path) -> Iterator[Api]:
    """One deployment for all that need none of their own."""
    with ExitStack() as stack:
        yield Api(stack.enter_context(Double(package, scale=0.001, bucket=folder)), stack, signed=True)


def _write(api: Api, job_id: str, kind: str, **texts: str) -> None:
    """Write a job past API Gateway, with these JSON texts as its parameters."""
    _submit(api, f"like-{job_id}", type="add", a=1)
    client = api.double.client("dynamodb")
    like = client.get_item(TableName="Jobs", Key={"jobId": {"S": f"like-{job_id}"}}, ConsistentRead=True)["Item"]
    parameters = {"M": {name: {"S": text} for name, text in texts.items()}}
    fresh = {"status": {"S": "Pending"}, "current": {"L": [{"M": {}}]}, "attempts": {"L": []}}
    item = {**like, **fresh, "jobId": {"S": job_id}, "type": {"S": kind}, "parameters": parameters}
    client.put_item(TableName="Jobs", Item=item)


def _submit(api: Api, job_id: str, **body: Any) -> None:
    answer = api.post(jobId=job_id, **body)
    assert answer.status_code == 202, answer.text


def _lines(api: Api, name: str = PROCESSOR) -> list[str]:
    return api.double.services.logs[f"/aws/lambda/{name}"]


def _noticed(api: Api, line: str) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(line in each for each in _lines(api)):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("job_id", "body", "results"),
    [
        ("sync", {"type": "add", "a": 1}, 2),
        ("async", {"type": "pause", "seconds": 0.1}, "awake"),
        ("outside", {"type": "greet", "name": "you"}, "hello, you"),
    ],
)
def test_functions_run_from_the_zip_alone(api: Api, job_id: str, body: dict[str, Any], results: Any) -> None:
    _submit(api, job_id, **body)
    job = api.job(job_id)
    assert (job["status"], job["results"], job["attempt"]) == ("Success", results, 1)
    assert job["type"] == body["type"]


def test_a_process_of_the_package_sees_nothing_of_the_working_tree(deploy: Deploy, folder: Path, package: str) -> None:
    found = "import tests"
    bucket = folder / "curious"
    bucket.mkdir()
    text = packaged(bucket, load("asyncjob.sleep"), {"jobs.py": f"{found}\nfrom asyncjob.sleep import jobs"})
    api = deploy(text, bucket=bucket)
    api.submit("curious")
    job = api.job("curious")
    assert job["error"]["type"] == "RegistrationError"
    assert "No module named 'tests'" in job["error"]["message"]


def test_functions_that_cannot_be_imported_make_their_jobs_failures_that_say_so(deploy: Deploy, folder: Path) -> None:
    bucket = folder / "broken"
    bucket.mkdir()
    text = packaged(bucket, load("asyncjob.sleep"), {"jobs.py": "import not_there"})
    api = deploy(text, bucket=bucket)
    api.submit("broken", 0.5)
    job = api.job("broken")
    assert (job["status"], job["type"], job["parameters"]) == ("Failure", "sleep", {"seconds": 0.5})
    assert "not_there" in job["error"]["message"]
    api.double.idle()
    assert api.double.messages() == []


def test_a_lifespan_makes_what_the_jobs_of_a_process_share(api: Api) -> None:
    results = []
    for number in range(3):
        _submit(api, f"counted-{number}", type="counted")
        results.append(api.job(f"counted-{number}")["results"])
    of_process = [result for result in results if result[2] == results[0][2]]
    assert [result[:2] for result in of_process] == [[0, number + 1] for number in range(len(of_process))]


def test_a_lifespan_that_fails_makes_jobs_failures_that_say_so(deploy: Deploy, folder: Path) -> None:
    bucket = folder / "lifeless"
    bucket.mkdir()
    source = "from asyncjob.sleep import jobs\n\n@jobs.lifespan\ndef opened():\n    yield open('/not/there')\n"
    api = deploy(packaged(bucket, load("asyncjob.sleep"), {"jobs.py": source}), bucket=bucket)
    api.submit("lifeless")
    job = api.job("lifeless")
    assert job["error"]["type"] == "RegistrationError"
    assert "the lifespan opened failed: FileNotFoundError" in job["error"]["message"]


def test_code_in_a_bucket_runs_as_the_aws_command_line_leaves_it(deploy: Deploy, package: str, folder: Path) -> None:
    (folder / "0123abc").write_bytes((folder / "code.zip").read_bytes())
    api = deploy(package.replace('Code: "code.zip"', "Code: {S3Bucket: mine, S3Key: 0123abc}"))
    _submit(api, "there", type="add", a=1)
    assert api.job("there")["results"] == 2


def test_what_the_model_lets_through_and_the_function_does_not_is_a_failure(api: Api) -> None:
    _write(api, "bad", "add", a='"x"')
    job = api.job("bad")
    assert job["error"]["type"] == "InvalidParameters"
    assert "$.a" in job["error"]["message"]


@pytest.mark.parametrize("text", ["1e999", "{", ""], ids=repr)
def test_parameters_that_cannot_be_read_are_a_failure_and_no_lost_job(api: Api, text: str) -> None:
    job_id = f"unread-{len(text)}"
    _write(api, job_id, "add", a=text)
    api.double.idle()
    assert (api.double.item(job_id) or {})["status"] == "Failure"


def test_a_type_that_is_not_there_any_more_is_a_failure(api: Api) -> None:
    _write(api, "gone", "gone", a="1")
    assert api.job("gone")["error"]["type"] == "UnknownType"


def test_progress_is_shown_while_the_function_runs_and_canceled_reaches_it(api: Api) -> None:
    _submit(api, "told", type="report")
    while "progress" not in (job := api.job("told", "Running")):
        pass
    assert job["progress"] == {"fraction": 0.5, "message": "half"}
    answer = api.client.post("/jobs/told/cancel")
    assert answer.status_code == 200, (answer.text, api.double.services.refused)
    canceled = answer.json()
    assert canceled["status"] == "Canceled"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", canceled["finishedAt"])
    assert canceled["startedAt"] <= canceled["finishedAt"]
    assert _noticed(api, "told has noticed")
    api.double.idle()
    assert api.get("told").json() == canceled


def test_the_last_progress_is_not_lost_and_none_is_written_more_than_once_a_second(api: Api) -> None:
    puts = []
    answer = api.double.services.dynamodb

    async def counted(role: str | None, operation: str, body: bytes) -> Any:
        puts.append(operation)
        return await answer(role, operation, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.double.services, "dynamodb", counted)
        _submit(api, "quick", type="count", steps=1_000)
        job = api.job("quick")
    assert job["progress"] == {"fraction": 1.0, "message": "step 1000"}
    assert puts.count("UpdateItem") == 3  # the POST, the claim, the outcome


@pytest.mark.parametrize(("kind", "line"), [("ask", "asked has noticed"), ("wait", "wait has noticed")])
def test_canceled_reaches_a_function_that_tells_nothing(api: Api, kind: str, line: str) -> None:
    job_id = "asked" if kind == "ask" else "awaits"
    _submit(api, job_id, type=kind)
    api.job(job_id, "Running")
    assert api.client.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert _noticed(api, line)
    api.double.idle()
    assert api.job(job_id)["status"] == "Canceled"


def test_a_job_that_overran_twice_is_a_timeout_and_its_process_is_gone(deploy: Deploy) -> None:
    api = deploy(scale=0.06)
    _submit(api, "before", type="pid")
    before = api.job("before")["results"]
    _submit(api, "slow", type="overrun")
    job = api.job("slow")
    assert (job["status"], job["attempt"]) == ("Failure", 2)
    assert job["error"] == {"type": "Timeout", "message": "it ran longer than its timeout of 0.5 seconds"}
    api.double.idle()
    _submit(api, "after", type="pid")
    assert api.job("after")["results"] != before
    assert api.job("slow") == job


def test_without_retries_a_timeout_is_one_attempt_although_lambda_delivers_again(api: Api) -> None:
    _submit(api, "one", type="overrun_once")
    job = api.job("one")
    assert (job["status"], job["attempt"], job["error"]["type"]) == ("Failure", 1, "Timeout")
    api.double.idle()
    assert api.job("one") == job


def test_an_async_function_is_canceled_at_its_deadline_and_its_process_goes_on(deploy: Deploy) -> None:
    api = deploy()
    _submit(api, "before", type="pid")
    before = api.job("before")["results"]
    _submit(api, "late", type="overrun_async")
    job = api.job("late")
    assert (job["status"], job["attempt"]) == ("Success", 2)
    assert Path(f"/proc/{before}").exists()


def test_what_has_no_timeout_has_the_processors(deploy: Deploy, package: str) -> None:
    api = deploy(with_timeout(package, 3))
    _submit(api, "endless", type="wait")
    job = api.job("endless")
    assert (job["status"], job["attempt"], job["error"]["type"]) == ("Failure", 3, "Timeout")
    assert re.search(r"left to the processor: [01]\.\d+ seconds", job["error"]["message"]), job


@pytest.mark.parametrize("failures", [1, 4])
def test_retry_on_runs_a_job_again_also_beyond_the_deliveries_of_lambda(api: Api, failures: int) -> None:
    _submit(api, f"flaky-{failures}", type="flaky", failures=failures)
    job = api.job(f"flaky-{failures}")
    assert (job["status"], job["results"], job["attempt"]) == ("Success", failures + 1, failures + 1)


def test_when_no_retry_is_left_the_exception_is_the_answer(api: Api) -> None:
    _submit(api, "hopeless", type="flaky", failures=9)
    job = api.job("hopeless")
    assert (job["status"], job["attempt"]) == ("Failure", 6)
    assert job["error"] == {"type": "ConnectionError", "message": "failure 6"}
    _submit(api, "once", type="once")
    assert api.job("once")["attempt"] == 1
    api.double.idle()
    assert api.job("once")["attempt"] == 1


def test_a_job_whose_process_dies_again_and_again_runs_again_beyond_the_deliveries(deploy: Deploy) -> None:
    api = deploy(scale=0.001)
    _submit(api, "dies", type="die", attempts=4)
    for _ in range(4):
        api.double.advance(LOST)
    job = api.job("dies")
    assert (job["status"], job["results"]) == ("Success", 5)


def test_a_process_that_dies_at_the_last_attempt_makes_the_job_a_failure(deploy: Deploy) -> None:
    api = deploy(scale=0.001)
    _submit(api, "dead", type="die_once")
    api.double.advance(LOST)
    job = api.job("dead")
    assert (job["status"], job["attempt"], job["error"]["type"]) == ("Failure", 1, "WorkerLost")
    api.double.idle()
    assert api.job("dead") == job


def test_with_no_concurrency_at_all_a_job_ends(deploy: Deploy) -> None:
    api = deploy(ReservedConcurrency="0")
    _submit(api, "never", type="add", a=1)
    job = api.job("never")
    assert (job["status"], job["error"]["type"]) == ("Failure", "WorkerLost")


def test_large_results_are_kept_compressed_and_read_by_the_reader(api: Api) -> None:
    _submit(api, "large", type="large", size=500_000)
    while (answer := api.get("large")).json().get("status") in ("Pending", "Running"):
        pass
    assert answer.status_code == 303
    assert list(answer.json()) == ["message"]
    job = api.client.get(answer.headers["location"].removeprefix("/prod")).json()
    assert job["results"] == "ä" * 500_000
    assert list(job) == [
        *("jobId", "type", "status", "parameters", "results", "attempt", "createdAt", "startedAt", "finishedAt")
    ]
    assert api.client.get("/jobs/large/large").json() == job
    answer = api.client.post("/jobs/large/cancel")
    assert answer.status_code == 409


def test_a_job_with_large_results_is_canceled_by_nobody_but_says_where_it_is(api: Api) -> None:
    _submit(api, "held", type="hold", value="x" * 290_000)
    job = api.job("held", "Running")
    assert job["parameters"] == {"value": "x" * 290_000}
    for _ in range(2):  # canceling again changes nothing
        job = api.client.post("/jobs/held/cancel").json()
        assert (job["status"], job["parameters"]) == ("Canceled", {"value": "x" * 290_000})


def test_large_parameters_and_large_results_are_kept_together(api: Api) -> None:
    _submit(api, "loaded", type="echo", value="x" * 290_000)
    deadline = time.monotonic() + 30
    while (answer := api.client.get("/jobs/loaded/large")).json().get("status") != "Success":
        assert time.monotonic() < deadline
    job = answer.json()
    assert job["parameters"]["value"] == job["results"] == "x" * 290_000


@pytest.mark.parametrize(
    "text", ["x" * 300_001, "ä" * 100_001, "漢" * 100_001, "😀" * 60_000], ids=lambda text: ascii(text[0])
)
def test_parameters_over_the_limit_are_413_whatever_their_letters(api: Api, text: str) -> None:
    answer = api.post(jobId=f"heavy-{ord(text[0])}", type="echo", value=text)
    assert answer.status_code == 413, answer.text
    assert "300000" in answer.json()["message"]
    assert api.get(f"heavy-{ord(text[0])}").status_code == 404


def test_a_job_with_all_the_parameters_it_may_have_can_fail_with_all_the_words_it_may_have(api: Api) -> None:
    _submit(api, "full", type="fails", text="漢" * 99_000)
    job = api.job("full")
    assert (job["status"], job["error"]["type"]) == ("Failure", "ValueError")
    assert job["error"]["message"].startswith("漢" * 9_000)
    for attempt in range(2, 5):
        answer = api.client.post("/jobs/full/retry")
        assert answer.status_code == 202, answer.text
        while (job := api.job("full"))["attempt"] != attempt:
            pass


def test_the_reader_answers_for_small_and_for_unknown_jobs_as_get_does(api: Api) -> None:
    _submit(api, "small", type="add", a=1)
    job = api.job("small")
    assert api.client.get("/jobs/small/large").json() == job
    answer = api.client.get("/jobs/nobody/large")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not found"})


def test_results_that_cannot_be_kept_are_a_failure_that_says_so(api: Api) -> None:
    _submit(api, "noise", type="noise", size=600_000)
    job = api.job("noise")
    assert (job["status"], job["error"]["type"]) == ("Failure", "InvalidResults")
    assert "the results cannot be kept" in job["error"]["message"]
    assert "results" not in job


def test_results_over_a_megabyte_are_refused_as_locally(api: Api) -> None:
    _submit(api, "huge", type="large", size=600_000)
    assert "over the limit of 1,048,576" in api.job("huge")["error"]["message"]


def test_cancel_refuses_what_has_ended_and_what_is_not_there(api: Api) -> None:
    _submit(api, "done", type="add", a=1)
    job = api.job("done")
    answer = api.client.post("/jobs/done/cancel")
    assert (answer.status_code, answer.json()) == (409, {"message": "cannot cancel job done: it is Success"})
    assert api.get("done").json() == job
    answer = api.client.post("/jobs/nobody/cancel")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not found"})
    assert api.client.post(f"/jobs/{'x' * 2_049}/cancel").status_code == 404


def test_a_canceled_job_is_kept_for_its_days(deploy: Deploy) -> None:
    api, before = deploy(RetentionDays="2"), int(time.time())
    _submit(api, "kept", type="wait")
    api.job("kept", "Running")
    assert api.client.post("/jobs/kept/cancel").status_code == 200
    expires_at = int((api.double.item("kept") or {})["expiresAt"])
    assert before + 2 * 86_400 <= expires_at <= time.time() + 2 * 86_400


def test_the_template_of_a_package_is_clean(package: str, tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(package.replace('Code: "code.zip"', "Code: {S3Bucket: mine, S3Key: 0123abc}"))
    assert version("cfn-lint")
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(file)]
    lint = subprocess.run(command, capture_output=True, text=True)
    assert (lint.returncode, lint.stdout) == (0, "")


def test_what_functions_log_is_kept_from_info_on(api: Api) -> None:
    _submit(api, "logged", type="greet", name="Nobody else")
    api.job("logged")
    assert _noticed(api, "\tNobody else is greeted")
    assert not any("Nobody else was greeted" in line for line in _lines(api))
