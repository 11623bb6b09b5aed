"""Schedules that the code declares, in the built template: one job an occurrence, whatever comes twice or is lost."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from asyncjob import Cron, Every, Jobs, Options
from asyncjob.aws.build.durable import Package as Built
from asyncjob.aws.build.durable import fill_durable
from asyncjob.loading import load as load_registry
from tests.aws.conftest import PROCESSOR, Api
from tests.aws.double.cloudformation import deploy, load
from tests.aws.double.double import Double
from tests.aws.double.templates import LARGEST_IN_A_BUCKET
from tests.aws.packaging import packaged

SOURCE = """
import time

from asyncjob import Backoff, Cron, Every, Jobs, Options

jobs = Jobs()


TEXT = 'a "quoted" ${text} é <aws.scheduler.scheduled-time>'


@jobs.job(
    schedule=[Cron("30 * * * *", id="hourly", parameters={"text": TEXT}), Every("12h", id="noon")],
    timeout=2,
    backoff=Backoff(first=600),
)
def report(text: str = "none") -> str:
    return text


@jobs.job(schedule=Cron("0 * * * *", overlap="skip", options=Options(delay="50m")))
def slow(fails: bool = False) -> None:
    pass
"""
MINUTE, HOUR = 60, 3_600


@pytest.fixture(scope="module")
def package(folder: Path) -> str:
    (folder / "planned.py").write_text(SOURCE)
    return packaged(folder, load_registry(str(folder / "planned.py")), {"jobs.py": SOURCE})


@pytest.fixture
def api(package: str, folder: Path) -> Iterator[Api]:
    with ExitStack() as stack:
        yield Api(stack.enter_context(Double(package, scale=1, bucket=folder)), stack, signed=True)


def _begun(api: Api, schedule: str) -> list[dict[str, Any]]:
    jobs = api.client.get("/jobs?limit=500").json()["jobs"]
    return [job for job in jobs if job["jobId"].startswith(f"{schedule}~")]


def test_each_occurrence_is_one_job_whose_id_is_made_of_its_time(api: Api) -> None:
    api.double.advance(3 * HOUR + 2 * MINUTE)
    jobs = _begun(api, "hourly")
    assert len(jobs) == 3
    for job in jobs:
        assert re.fullmatch(r"hourly~[0-9]{8}T[0-9]{2}3000Z", job["jobId"])
        assert (job["status"], job["type"]) == ("Success", "report")
        assert job["results"] == 'a "quoted" ${text} é <aws.scheduler.scheduled-time>'
        assert re.sub("[-:]", "", job["createdAt"])[:11] == job["jobId"].partition("~")[2][:11]
    item = api.double.item(jobs[0]["jobId"]) or {}
    assert (item["retries"], "pauses" in item, item["lasts"]) == ("2", True, "5000")


def test_a_job_that_somebody_else_has_submitted_is_the_same_as_its_occurrence(api: Api) -> None:
    api.double.advance(HOUR + 2 * MINUTE)
    (job,) = _begun(api, "hourly")
    answer = api.post(jobId=job["jobId"], type="report", **job["parameters"])
    assert (answer.status_code, answer.json()) == (202, {"jobId": job["jobId"]})


def test_an_occurrence_that_is_told_twice_is_one_job_that_runs_once(api: Api) -> None:
    api.double.call(lambda: api.double.functions.deliver_twice(f"{PROCESSOR}-schedules"))
    api.double.advance(2 * HOUR + 2 * MINUTE)
    jobs = _begun(api, "hourly")
    assert [(job["status"], job["attempt"]) for job in jobs] == [("Success", 1)] * 2


def test_an_occurrence_whose_call_was_killed_in_between_is_one_job(api: Api) -> None:
    def writes(request: dict[str, Any]) -> bool:
        return ":shelf" in request.get("ExpressionAttributeValues", {})

    for after in (False, True):
        with api.double.services.killing("dynamodb:UpdateItem", after=after, matching=writes, times=1):
            api.double.advance(HOUR + 5 * MINUTE)
    assert len(_begun(api, "hourly")) >= 2
    assert {job["status"] for job in _begun(api, "hourly")} == {"Success"}


def test_one_that_must_not_overlap_begins_no_job_while_the_last_one_has_not_ended(api: Api) -> None:
    while not _begun(api, "slow"):
        api.double.advance(5 * MINUTE)
    (first,) = _begun(api, "slow")
    assert first["status"] == "Pending"
    client, key = api.double.client("dynamodb"), {"jobId": {"S": first["jobId"]}}
    client.update_item(
        TableName="Jobs",
        Key=key,
        UpdateExpression="SET #current[0].runAt = :time",
        ExpressionAttributeNames={"#current": "current"},
        ExpressionAttributeValues={":time": {"S": "2096-01-01T00:00:00.000Z"}},
    )
    api.double.advance(2 * HOUR + 5 * MINUTE)
    assert len(_begun(api, "slow")) == 1
    assert api.client.post(f"/jobs/{first['jobId']}/run-now").status_code == 202
    api.double.advance(HOUR + 5 * MINUTE)
    assert len(_begun(api, "slow")) == 2
    assert api.client.get("/jobs/.slow").status_code == 404


def test_the_roles_of_schedules_are_there_with_them_and_use_all_that_they_may(api: Api) -> None:
    api.double.advance(2 * HOUR)
    unused = [line for line in api.double.policies.unused() if "Planner" in line or "Occurrences" in line]
    assert [line for line in unused if "sqs" not in line] == []
    assert api.double.services.refused == []


def _filled(jobs: Jobs) -> str:
    return fill_durable(
        jobs,
        Built(code="code.zip", target="jobs", runtime="python3.13", architecture="arm64", timeout=30, statements=[]),
    )


def test_without_schedules_nothing_of_them_is_in_the_template() -> None:
    jobs = Jobs()
    jobs.job(name="plain")(lambda: None)
    text = _filled(jobs)
    assert "Planner" not in text
    assert "{{" not in text


def test_what_may_not_overlap_alone_lets_the_function_look_at_jobs() -> None:
    for overlap, actions in (("run", "dynamodb:UpdateItem"), ("skip", ["dynamodb:GetItem", "dynamodb:UpdateItem"])):
        jobs = Jobs()
        jobs.job(name="planned", schedule=Cron("0 9 * * *", overlap=overlap))(lambda: None)  # type: ignore[arg-type]
        role = load(_filled(jobs))["Resources"]["PlannerRole"]
        assert role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Action"] == actions


def test_days_by_both_fields_are_two_schedules_of_one_id_and_the_same_build_gives_the_same_bytes() -> None:
    jobs = Jobs()
    jobs.job(name="both", schedule=Cron("0 9 1 * 1", tz="Europe/Berlin", missed="none"))(lambda: None)
    text = _filled(jobs)
    assert text == _filled(jobs)
    stack = deploy(text, largest=LARGEST_IN_A_BUCKET)
    made = [each.properties for each in stack.of_type("AWS::Scheduler::Schedule") if "Description" in each.properties]
    assert {each["ScheduleExpression"] for each in made} == {"cron(0 9 1 * ? *)", "cron(0 9 ? * 2 *)"}
    assert {each["ScheduleExpressionTimezone"] for each in made} == {"Europe/Berlin"}
    assert len({each["Target"]["Input"] for each in made}) == 1
    assert {each["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] for each in made} == {60}


def test_a_schedule_that_cannot_be_kept_is_refused_by_name() -> None:
    jobs = Jobs()
    jobs.job(name="often", schedule=Every(30, options=Options(delay=5)))(lambda: None)
    with pytest.raises(
        ValueError, match="the schedule often cannot be kept exactly on AWS: its period is no whole number"
    ):
        _filled(jobs)
