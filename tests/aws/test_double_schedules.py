"""Schedules that call functions, on a clock that the test moves; the sources are named in schedules.py."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.double.cloudformation import TemplateError
from tests.aws.double.double import Double
from tests.aws.double.schedule_times import times
from tests.aws.double_stack import Small, allow, arn, ref, role

OFF = {"Mode": "OFF"}


@pytest.fixture
def small(tmp_path: Path) -> Small:
    made = Small(tmp_path)
    made.resources["SchedulerRole"] = role(allow("lambda:InvokeFunction", arn("Reader")), services=("scheduler",))
    return made


def ruled(small: Small, expression: str = "rate(5 minutes)", **more: Any) -> Small:
    """With a rule "Rule", and a permission for it."""
    target = {"Arn": arn("Reader"), "Id": "reader", **more.pop("target", {})}
    properties = {"Name": "sweep", "ScheduleExpression": expression, "Targets": [target], **more}
    small.resources["Rule"] = {"Type": "AWS::Events::Rule", "Properties": properties}
    small.resources["RulePermission"] = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": ref("Reader"),
            "Principal": "events.amazonaws.com",
            "SourceArn": arn("Rule"),
        },
    }
    return small


def scheduled(small: Small, expression: str, **more: Any) -> Small:
    """With a schedule "Schedule"."""
    target = {"Arn": arn("Reader"), "RoleArn": arn("SchedulerRole"), "Input": '{"sweep": true}'}
    properties = {"Name": "sweep", "ScheduleExpression": expression, "FlexibleTimeWindow": OFF, "Target": target}
    small.resources["Schedule"] = {"Type": "AWS::Scheduler::Schedule", "Properties": {**properties, **more}}
    return small


def test_a_rule_calls_its_function_every_five_minutes_within_the_minute(small: Small) -> None:
    with ruled(small).deployed() as double:
        begun = double.clock.now()
        double.advance(299)
        assert small.events() == []
        double.advance(3_600 + 61 - 299)
        calls = small.calls()
        assert len(calls) == 12
        due = [datetime.fromisoformat(call["event"]["time"]).timestamp() for call in calls]
        assert {round(later - earlier) for earlier, later in itertools.pairwise(due)} == {300}
        assert all(0 <= call["at"] - at - double.schedules.late < 60 for call, at in zip(calls, due, strict=True))
        event = calls[0]["event"]
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert event["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/sweep"]
    assert abs(due[0] - begun - 300) < 60


def test_a_rule_calls_nothing_without_a_permission_of_the_function(small: Small) -> None:
    del ruled(small).resources["RulePermission"]
    with small.deployed() as double:
        double.advance(400)
        assert small.events() == []
        (refused,) = double.services.refused
    assert "events.amazonaws.com is not authorized to perform: lambda:InvokeFunction" in refused


def test_a_schedule_calls_its_function_with_its_input_as_its_role(small: Small) -> None:
    with scheduled(small, "rate(5 minutes)").deployed() as double:
        double.advance(700)
        assert small.events() == [{"sweep": True}] * 2


@pytest.mark.parametrize("broken", ["trust", "right"])
def test_a_schedule_whose_role_may_not_calls_nothing(small: Small, broken: str) -> None:
    statement = allow("lambda:InvokeFunction" if broken == "trust" else "lambda:GetFunction", arn("Reader"))
    services = ("lambda",) if broken == "trust" else ("scheduler",)
    small.resources["SchedulerRole"] = role(statement, services=services)
    with scheduled(small, "rate(5 minutes)").deployed() as double:
        double.advance(400)
        assert small.events() == []
        assert len(double.services.refused) == 1


def test_what_is_switched_off_calls_nothing(small: Small) -> None:
    with scheduled(ruled(small, State="DISABLED"), "rate(1 minute)", State="DISABLED").deployed() as double:
        double.advance(3_600)
        assert small.events() == []


def test_a_call_that_is_throttled_is_made_again(small: Small) -> None:
    with ruled(small, "rate(1 hour)").deployed() as double:
        double.call(lambda: double.functions.throttle("reader"))
        double.advance(3_700)
        assert small.events() == []
        double.call(lambda: double.functions.throttle("reader", on=False))
        double.advance(120)
        assert len(small.events()) == 1


def at(double: Double, seconds: float) -> str:
    return datetime.fromtimestamp(double.clock.now() + seconds, UTC).strftime("at(%Y-%m-%dT%H:%M:%S)")


def one_time(double: Double, name: str, seconds: float, **more: Any) -> str:
    """Make a schedule, as a caller outside."""
    target = {
        "Arn": double.stack.named("Reader").attributes["Arn"],
        "RoleArn": double.stack.named("SchedulerRole").attributes["Arn"],
        "Input": json.dumps({"name": name}),
    }
    answer = double.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=at(double, seconds),
        FlexibleTimeWindow=OFF,
        Target=target,
        ActionAfterCompletion="DELETE",
        **more,
    )
    made: str = answer["ScheduleArn"]
    return made


def test_a_one_time_schedule_calls_once_up_to_a_minute_late_and_deletes_itself(small: Small) -> None:
    with small.deployed() as double:
        made = one_time(double, "later", 600)
        assert made == "arn:aws:scheduler:us-east-1:123456789012:schedule/default/later"
        due = double.clock.now() + 600
        double.advance(599)
        assert small.events() == [] and double.schedules.names == ["later"]
        double.advance(62)
        (call,) = small.calls()
        assert call["event"] == {"name": "later"} and -60 < call["at"] - due < 120
        assert double.schedules.names == []
        double.advance(86_400)
        assert len(small.events()) == 1


def test_a_schedule_can_be_asked_for_and_deleted_and_is_not_made_twice(small: Small) -> None:
    with small.deployed() as double:
        client = double.client("scheduler")
        one_time(double, "later", 600)
        with pytest.raises(client.exceptions.ConflictException):
            one_time(double, "later", 700)
        assert client.get_schedule(Name="later")["ActionAfterCompletion"] == "DELETE"
        client.delete_schedule(Name="later")
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.delete_schedule(Name="later")
        double.advance(3_600)
        assert small.events() == []


def test_a_role_makes_schedules_only_with_the_right_and_the_right_to_pass_the_role(small: Small) -> None:
    schedule = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/job-*"
    passing = allow("iam:PassRole", arn("SchedulerRole"))
    passing["Condition"] = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    for name, statements in {
        "Both": [allow("scheduler:CreateSchedule", schedule), passing],
        "NoPass": [allow("scheduler:CreateSchedule", schedule)],
        "NoCreate": [passing],
    }.items():
        small.resources[name] = role(*statements)
    with small.deployed() as double:
        body = {
            "ScheduleExpression": at(double, 60),
            "FlexibleTimeWindow": OFF,
            "Target": {
                "Arn": double.stack.named("Reader").attributes["Arn"],
                "RoleArn": double.stack.named("SchedulerRole").attributes["Arn"],
            },
        }

        def status(logical_id: str, name: str) -> int:
            maker = double.stack.named(logical_id).attributes["Arn"]
            answer = double.call(lambda: double.schedules.answer(maker, "POST", name, json.dumps(body).encode()))
            return answer.status

        assert [status(name, "job-1") for name in ("NoPass", "NoCreate", "Both")] == [403, 403, 200]
        assert status("Both", "other") == 403


@pytest.mark.parametrize(
    "change",
    [
        {"ScheduleExpression": "rate(5 minute)"},
        {"ScheduleExpression": "every day"},
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}},
        {"ActionAfterCompletion": "DELETE"},
        {"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/a"},
        {"State": "PAUSED"},
        {"ScheduleExpressionTimezone": "Asia/Nowhere"},
        {
            "Target": {
                "Arn": "arn:aws:lambda:us-east-1:123456789012:function:nobody",
                "RoleArn": "arn:aws:iam::1:role/r",
            }
        },
    ],
)
def test_a_schedule_that_is_refused_or_not_known_is_no_stack(small: Small, change: dict[str, Any]) -> None:
    with pytest.raises(TemplateError), scheduled(small, "rate(1 day)", **change).deployed():
        pass


@pytest.mark.parametrize(
    "change", [{"EventPattern": {}}, {"ScheduleExpression": "at(2026-01-01T00:00:00)"}, {"target": {"RoleArn": "x"}}]
)
def test_a_rule_that_is_refused_or_not_known_is_no_stack(small: Small, change: dict[str, Any]) -> None:
    expression = change.pop("ScheduleExpression", "rate(1 day)")
    with pytest.raises(TemplateError), ruled(small, expression, **change).deployed():
        pass


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", ["2026-03-01T00:00:30", "2026-03-01T00:01:30"]),
        ("rate(2 hours)", ["2026-03-01T01:59:30", "2026-03-01T03:59:30"]),
        ("cron(0 12 * * ? *)", ["2026-03-01T12:00:00", "2026-03-02T12:00:00"]),
        ("cron(15,45 10 ? * MON-FRI *)", ["2026-03-02T10:15:00", "2026-03-02T10:45:00"]),
        ("cron(0/5 8-17 ? * 2 *)", ["2026-03-02T08:00:00", "2026-03-02T08:05:00"]),
        ("cron(0 8 1 JAN ? 2027)", ["2027-01-01T08:00:00"]),
        ("at(2026-03-01T00:10:00)", ["2026-03-01T00:10:00"]),
    ],
)
def test_an_expression_has_its_times(expression: str, expected: list[str]) -> None:
    """schedule-types.html; 2026-03-01 is a Sunday."""
    created = datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC).timestamp()
    found = times(expression, created)
    moments = [moment for moment, _ in zip(found, expected, strict=False)]
    assert [datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S") for moment in moments] == expected


@pytest.mark.parametrize(
    "expression",
    [
        *("rate(0 minutes)", "rate(1 minutes)", "rate(5 seconds)", "cron(0 12 * * * *)", "cron(0 12 ? * ? *)"),
        *("cron(* *)", "cron(0 12 LW * ? *)", "cron(60 12 * * ? *)", "at(tomorrow)", "5 minutes"),
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(TemplateError):
        times(expression, 0)


def test_the_api_answers_a_wrong_schedule_as_scheduler_does(small: Small) -> None:
    with small.deployed() as double, pytest.raises(ClientError, match="ValidationException"):
        double.client("scheduler").create_schedule(
            Name="wrong",
            ScheduleExpression="rate(0 days)",
            FlexibleTimeWindow=OFF,
            Target={"Arn": "arn:x", "RoleArn": "arn:y"},
        )
