"""The part of the template for schedules that the code declares: there only if it declares any.

Each is one resource, or several where EventBridge Scheduler has no one expression for it. It holds the job as it is to
be written, so nothing has to import the user's code when it is due.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from asyncjob.aws.build.expressions import Inexact, expressions
from asyncjob.registry import JobFunction, Jobs
from asyncjob.schedules import Schedule

LATEST_SECONDS = 120  # of one that is not made up for: Scheduler's minute, and one more
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
MAX_INPUT_BYTES = 262_144  # of a schedule


class Planned:
    """The schedules of a registry.

    Args:
        jobs: the registry.
        facts: what an item says of a job of each function, by the function's name: `retries`, `lasts`, `pauses`.
        now: from when on the times must be the same as on one machine.

    Raises:
        ValueError: one cannot be kept on AWS; the message names it and says why.
    """

    def __init__(self, jobs: Jobs, facts: dict[str, dict[str, Any]], now: datetime) -> None:
        self._found = [
            (function, schedule_id, schedule, _expressions(schedule_id, schedule, now))
            for function in jobs
            for schedule_id, schedule in function.schedules.items()
        ]
        self._facts = facts

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def actions(self) -> str:
        """What the function that begins jobs may do with the table: look at the last job, if one may have to wait."""
        looks = any(schedule.overlap == "skip" for _, _, schedule, _ in self._found)
        return "[dynamodb:GetItem, dynamodb:UpdateItem]" if looks else "dynamodb:UpdateItem"

    @property
    def resources(self) -> str:
        """The resources, as lines of the template."""
        return "".join(f"  {name}: {json.dumps(resource)}\n" for name, resource in self._resources())

    def _resources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for function, schedule_id, schedule, (found, zone) in self._found:
            for expression in found:
                name = hashlib.sha256(f"{schedule_id} {expression} {zone}".encode()).hexdigest()[:12]
                target: dict[str, Any] = {
                    "Arn": {"Fn::GetAtt": ["Planner", "Arn"]},
                    "RoleArn": {"Fn::GetAtt": ["OccurrencesRole", "Arn"]},
                    "Input": self._input(function, schedule_id, schedule),
                }
                if schedule.missed == "none":
                    target["RetryPolicy"] = {"MaximumEventAgeInSeconds": 60}
                properties = {
                    "Description": f"{schedule_id}, of {function.name}",
                    "ScheduleExpression": expression,
                    "ScheduleExpressionTimezone": zone,
                    "FlexibleTimeWindow": {"Mode": "OFF"},
                    "Target": target,
                }
                yield f"Schedule{name}", {"Type": "AWS::Scheduler::Schedule", "Properties": properties}

    def _input(self, function: JobFunction, schedule_id: str, schedule: Schedule) -> str:
        parameters = msgspec.json.decode(schedule.parameters_json, type=dict[str, msgspec.Raw])
        job = {
            "type": function.name,
            "parameters": {name: bytes(value).decode() for name, value in parameters.items()},
            **self._facts[function.name],
        }
        if schedule.options is not None and schedule.options.pause_ms:
            job["delay"] = schedule.options.pause_ms
        event = {
            "schedule": schedule_id,
            "overlap": schedule.overlap,
            "latest": LATEST_SECONDS if schedule.missed == "none" else 0,
            "job": job,
        }
        said = json.dumps(event).replace("<", r"\u003c")  # Scheduler replaces its words wherever they stand
        text = f'{{"time": "{SCHEDULED_TIME}", {said[1:]}'
        if len(text) > MAX_INPUT_BYTES:
            raise ValueError(f"the parameters of the schedule {schedule_id} are over EventBridge Scheduler's limit")
        return text


def _expressions(schedule_id: str, schedule: Schedule, now: datetime) -> tuple[list[str], str]:
    try:
        return expressions(schedule.timing, now)
    except Inexact as reason:
        raise ValueError(f"the schedule {schedule_id} cannot be kept exactly on AWS: {reason}") from None
