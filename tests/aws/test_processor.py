"""Every job that was accepted ends, and is recorded once: events that come twice, processors that die, a table that
takes no writes for a while. Each is done for real, to the processes of the double."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest

from asyncjob.aws.runtime import dynamodb, record, signing
from asyncjob.aws.runtime import inline_processor as processor
from asyncjob.aws.runtime.shapes import Event, Item
from asyncjob.job import timestamp
from tests.aws.conftest import PROCESSOR, RECORDER, Api
from tests.serving import COMMAND

Deploy = Callable[..., Api]


def _logged(api: Api, name: str = PROCESSOR) -> list[dict[str, Any]]:
    return [json.loads(line) for line in api.double.services.logs[f"/aws/lambda/{name}"] if line.startswith('{"job')]


def _kill(api: Api) -> None:
    """Kill the processor's environments that run something."""

    def kill() -> None:
        for request_id in api.double.functions.running(PROCESSOR):
            api.double.functions.kill(PROCESSOR, request_id)

    api.double.call(kill)


def _record(api: Api, **payload: Any) -> None:
    """Tell the recorder that the deliveries of an event have failed."""
    record = {
        "requestContext": {"condition": "RetriesExhausted"},
        "requestPayload": payload,
        "responsePayload": {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"},
    }
    result = api.double.run(api.double.functions.invoke(RECORDER, json.dumps(record).encode()))
    assert result.error is None, result.payload


def test_an_event_that_comes_twice_runs_once(api: Api) -> None:
    api.double.call(lambda: api.double.functions.deliver_twice(PROCESSOR))
    api.submit("twice", 0.3)
    assert api.job("twice")["results"] == {"message": "I slept for 0.3 seconds"}
    first = api.double.item("twice")
    api.double.idle()
    assert api.double.item("twice") == first
    assert [line["status"] for line in _logged(api)] == ["Success"]
    assert api.job("twice")["attempt"] == 1


def test_the_202_does_not_wait_for_the_job(api: Api) -> None:
    api.submit("slow", 1)
    assert (api.double.item("slow") or {"status": "Running"})["status"] == "Running"
    assert api.job("slow")["status"] == "Success"


def test_a_write_whose_answer_is_lost_is_known_as_ones_own(api: Api) -> None:
    with api.double.services.failing("dynamodb:PutItem", "AnswerLost"):
        api.submit("lost", 0.3)
        job = api.job("lost")
    assert (job["status"], job["attempt"]) == ("Success", 1)
    api.double.idle()
    assert len(_logged(api)) == 1


def test_of_two_deliveries_that_take_over_at_once_one_does(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    event: Event = {"jobId": "both", "requestId": "r", "createdAt": 1, "request": {"jobId": "both", "seconds": 0}}
    item: Item = {**record.submitted(event), "requestId": "r"}
    variables = api.double.services.credentials(api.double.stack.named("ProcessorRole").attributes["Arn"])
    variables |= {"TABLE": "Jobs", "RETENTION_DAYS": "0", "AWS_REGION": "us-east-1"}
    for name, value in {**variables, "ASYNCJOB_URL_DYNAMODB": api.double.endpoint}.items():
        monkeypatch.setenv(name, value)
    connections: dict[str, HTTPConnection] = {}
    monkeypatch.setattr(signing, "_connections", connections)
    lost = processor.claim({**item, "deadline": record.now_ms() - 1}, time.time() + 5)
    assert lost is not None
    item["deadline"] = record.now_ms() + 5_000
    taken: list[Item | None] = []

    def overtaken(item: Item, expected: dict[str, Any] | None, until: float) -> None:
        if expected is not None and not taken:
            taken.append(None)
            taken[0] = processor.claim(item, until)
        dynamodb.write(item, expected, until)

    monkeypatch.setattr(processor, "write", overtaken)
    with pytest.raises(processor.StillRunning):
        processor.claim(item, time.time() + 5)
    assert taken[0] is not None
    assert taken[0]["attempt"] == 2
    assert (api.double.item("both") or {})["claimId"] == taken[0]["claimId"]
    for connection in connections.values():
        connection.close()


def test_a_failure_of_another_request_does_not_touch_a_job_that_runs(api: Api) -> None:
    api.submit("mine", 0.8)
    api.job("mine", "Running")
    _record(api, jobId="mine", requestId="another", createdAt=1, request={"seconds": 0})
    assert api.job("mine")["status"] == "Success"


def test_an_event_that_comes_again_after_its_job_has_ended_does_nothing(api: Api) -> None:
    api.submit("late")
    first = api.job("late")
    request = {"jobId": "late", "requestId": "x", "createdAt": 1, "request": {"jobId": "late", "seconds": 0}}
    api.double.call(lambda: api.double.functions.send(PROCESSOR, json.dumps(request).encode()))
    api.double.idle()
    assert api.job("late") == first


def test_a_number_that_no_float_can_hold_is_a_failure_and_no_lost_job(api: Api) -> None:
    event = b'{"jobId": "far", "requestId": "x", "createdAt": 1, "request": {"seconds": 1e999}}'
    api.double.call(lambda: api.double.functions.send(PROCESSOR, event))
    api.double.idle()
    job = api.job("far")
    assert (job["status"], job["parameters"], job["error"]["type"]) == ("Failure", {}, "ValueError")


def test_a_killed_processor_loses_no_job_and_its_second_attempt_is_counted(deployed: Deploy) -> None:
    api = deployed(ProcessorTimeout="2", scale=0.06)  # the event comes again after the lost attempt's deadline
    api.submit("killed", 1)
    api.job("killed", "Running")
    _kill(api)
    job = api.job("killed")
    assert (job["status"], job["attempt"]) == ("Success", 2)
    api.double.idle()
    assert len(_logged(api)) == 1


def test_a_job_whose_processor_dies_each_time_is_a_failure_after_three_attempts(deployed: Deploy) -> None:
    api = deployed(ProcessorTimeout="1", scale=0.04)
    api.submit("cursed", 0.8)
    for attempt in (1, 2, 3):
        while api.job("cursed", "Running", "Failure")["attempt"] < attempt:
            pass
        _kill(api)
    job = api.job("cursed")
    assert (job["status"], job["attempt"]) == ("Failure", 3)
    assert job["error"]["type"] == "WorkerLost"
    assert "killed" in job["error"]["message"]
    assert job["parameters"] == {"seconds": 0.8}


def test_a_job_over_the_processors_time_is_a_timeout(deployed: Deploy) -> None:
    api = deployed(ProcessorTimeout="1", scale=0.04)
    api.submit("long", 4)
    job = api.job("long")
    assert (job["status"], job["attempt"]) == ("Failure", 3)
    assert job["error"]["type"] == "Timeout"
    assert "1.00 seconds" in job["error"]["message"]


def test_a_crash_long_before_the_deadline_is_recorded_once_the_deadline_has_passed(deployed: Deploy) -> None:
    api = deployed(ProcessorTimeout="3", scale=0.001)  # all deliveries come before the first attempt's deadline
    api.submit("crashed", 2)
    api.job("crashed", "Running")
    _kill(api)
    job = api.job("crashed")
    assert (job["status"], job["attempt"], job["error"]["type"]) == ("Failure", 1, "WorkerLost")
    assert job["finishedAt"] > timestamp(int((api.double.item("crashed") or {})["deadline"]))


def test_a_table_that_takes_no_writes_for_a_while_delays_a_job_and_loses_none(api: Api) -> None:
    with api.double.services.failing("dynamodb:PutItem", "ProvisionedThroughputExceededException"):
        api.submit("waits")
        while not api.double.call(lambda: api.double.functions.running(PROCESSOR)):
            pass
        assert api.get("waits").status_code == 404
    job = api.job("waits")
    assert (job["status"], job["attempt"]) == ("Success", 1)


@pytest.mark.parametrize("error", ["InternalServerError", "ThrottlingException", "AccessDeniedException"])
def test_what_the_processor_cannot_record_the_recorder_does(api: Api, error: str) -> None:
    with api.double.services.failing("dynamodb:PutItem", error, role="ProcessorRole"):
        api.submit("unwritable", 0.25)
        job = api.job("unwritable")
    assert (job["status"], job["attempt"], job["parameters"]) == ("Failure", 1, {"seconds": 0.25})
    assert job["error"]["type"] == "TableError"
    assert job["createdAt"] < job["finishedAt"]
    assert "startedAt" not in job


def test_what_even_the_recorder_cannot_record_waits_in_the_queue_and_is_replayed(deployed: Deploy) -> None:
    api = deployed(scale=0.001)
    with api.double.services.failing("dynamodb:PutItem", "AccessDeniedException"):
        api.submit("stuck", 0.5)
        api.double.idle()
        assert api.get("stuck").status_code == 404
    (message,) = api.double.messages()
    assert json.loads(message)["requestPayload"]["jobId"] == "stuck"
    queue = api.double.stack.outputs["FailureQueueUrl"]
    command = subprocess.run(
        [str(COMMAND), "replay", queue], env={**os.environ, **api.double.tester}, capture_output=True
    )
    assert command.stdout.decode() == "stuck\n1 recorded, and the queue is empty\n", command.stderr.decode()
    assert api.job("stuck")["error"]["type"] == "TableError"
    assert api.double.messages() == []


def test_a_replay_that_fails_says_why_and_keeps_the_message(deployed: Deploy) -> None:
    api = deployed(scale=0.001)
    environment = {**os.environ, **api.double.tester}
    queue = api.double.stack.outputs["FailureQueueUrl"]
    with api.double.services.failing("dynamodb:PutItem", "AccessDeniedException"):
        api.submit("stuck")
        api.double.idle()
        command = subprocess.run([str(COMMAND), "replay", queue], env=environment, capture_output=True, text=True)
    assert command.returncode == 1
    assert command.stderr.startswith(f"asyncjob: {RECORDER} failed again")
    hidden = api.double.services.moto_client("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )
    assert hidden["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "1"}
    command = subprocess.run([str(COMMAND), "replay", queue], env=environment, capture_output=True, text=True)
    assert command.returncode == 1
    assert command.stderr.startswith("asyncjob: 1 more are hidden")
    command = subprocess.run([str(COMMAND), "replay", queue + "x"], env=environment, capture_output=True, text=True)
    assert (command.returncode, command.stdout) == (1, "")
    assert command.stderr.startswith("asyncjob: AWS refused it: ")
    assert len(command.stderr.splitlines()) == 1


def test_an_exception_is_the_jobs_answer_and_no_failed_invocation(api: Api) -> None:
    api.submit("refused", 100)
    job = api.job("refused")
    message = "seconds must be at most 5 (the environment variable TIMEOUT), not 100"
    assert job["error"] == {"type": "ValueError", "message": message}
    assert job["attempt"] == 1


def test_the_recorder_never_touches_a_job_that_has_another_outcome(api: Api) -> None:
    api.submit("good")
    first = api.job("good")
    item = api.double.item("good") or {}
    _record(api, jobId="good", requestId=item["requestId"], createdAt=1, request={"seconds": 0})
    assert api.job("good") == first


def test_an_event_that_was_never_started_is_a_lost_worker(api: Api) -> None:
    record = {
        "requestContext": {"condition": "EventAgeExceeded"},
        "requestPayload": {"jobId": "aged", "requestId": "r", "createdAt": 1717677296789, "request": {"seconds": 3}},
    }
    api.double.run(api.double.functions.invoke(RECORDER, json.dumps(record).encode()))
    assert api.get("aged").json() == {
        "jobId": "aged",
        "type": "sleep",
        "status": "Failure",
        "parameters": {"seconds": 3},
        "error": {"type": "WorkerLost", "message": "the job was never started: EventAgeExceeded"},
        "attempt": 1,
        "createdAt": "2024-06-06T12:34:56.789Z",
        "finishedAt": api.get("aged").json()["finishedAt"],
    }


def test_two_requests_for_one_job_run_it_once_and_neither_is_an_error(api: Api) -> None:
    api.submit("same", 0.5)
    api.job("same", "Running")
    api.submit("same", 0.5)
    assert api.job("same")["attempt"] == 1
    api.double.idle()
    assert len(_logged(api)) == 1
    assert not [line for line in api.double.services.logs[f"/aws/lambda/{PROCESSOR}"] if "StillRunning" in line]


def test_another_request_with_the_id_of_a_lost_attempt_does_not_run_in_its_place(deployed: Deploy) -> None:
    api = deployed(ProcessorTimeout="1", scale=0.06)
    api.submit("mine", 0.5)
    api.job("mine", "Running")
    _kill(api)
    deadline = int((api.double.item("mine") or {})["deadline"]) / 1_000
    threading.Event().wait(deadline - time.time())
    api.submit("mine", 0)
    job = api.job("mine")
    assert (job["parameters"], job["results"]) == ({"seconds": 0.5}, {"message": "I slept for 0.5 seconds"})


def test_the_id_of_a_job_that_has_expired_is_free_again(deployed: Deploy) -> None:
    api = deployed(RetentionDays="1")
    api.submit("again", 100)
    assert api.job("again")["status"] == "Failure"
    api.double.services.moto_client("dynamodb").update_item(
        TableName="Jobs",
        Key={"jobId": {"S": "again"}},
        UpdateExpression="SET expiresAt = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )
    assert api.get("again").status_code == 404
    api.submit("again", 0)
    job = api.job("again")
    assert (job["status"], job["attempt"]) == ("Success", 1)
    assert "error" not in job


def test_requests_to_which_a_client_gave_one_request_id_are_two_jobs(api: Api) -> None:
    headers = {"x-amzn-requestid": "mine"}
    ids = {api.client.post("/jobs", json={"seconds": 0}, headers=headers).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert {api.job(job_id)["status"] for job_id in ids} == {"Success"}
