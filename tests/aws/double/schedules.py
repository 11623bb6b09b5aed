"""Schedules that call functions: the rules of EventBridge, and EventBridge Scheduler's, of the template or made later.

Both call a function asynchronously, at any time within the minute that is due: here as late as that is, so that nothing
relies on less (`late`). A rule needs a permission of the function for events.amazonaws.com, a schedule a role that
scheduler.amazonaws.com may take. A call that Lambda throttles is made again, up to 185 times within a day.

Sources: docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html and eb-rule-retry-policy.html,
docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and managing-schedule-delete.html.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.aws.double.clock import Clock
from tests.aws.double.cloudformation import Resource, Stack, TemplateError
from tests.aws.double.functions import Functions, InvocationRefused
from tests.aws.double.iam import AccessDenied
from tests.aws.double.schedule_times import times
from tests.aws.double.services import ACCOUNT, REGION, Answer, Services

LATEST = 59.0  # seconds
DAY = 86_400.0
MOST_RETRIES = 185
RETRY_SECONDS = 60.0  # EventBridge backs off "with jitter", and says no more
RULE = {"Name", "Description", "ScheduleExpression", "State", "Targets"}
SCHEDULE = {"Name", "Description", "ScheduleExpression", "State", "Target", "FlexibleTimeWindow"}
SCHEDULE |= {"ActionAfterCompletion", "ScheduleExpressionTimezone"}  # of the API; CloudFormation has no action
TARGET = {"Arn", "RoleArn", "Input", "RetryPolicy"}
RETRY_POLICY = {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
NAME = re.compile(r"[0-9a-zA-Z_.-]{1,64}")


@dataclass(frozen=True)
class _Schedule:
    arn: str
    expression: str
    function: str  # its ARN
    role: str | None  # None for a rule, which the function's permissions let in
    input: str | None
    created: float
    vanishes: bool = False
    zone: str = "UTC"
    longest: float = DAY  # seconds after its time in which it may be called


class Schedules:
    """The rules and schedules of a stack, and the schedules that are made later.

    Attributes:
        late: how many seconds after its time a schedule calls, from 0 to 59.

    Raises:
        TemplateError: a service would refuse one, or the double does not know a part of it.
    """

    def __init__(self, stack: Stack, services: Services, functions: Functions, clock: Clock) -> None:
        self.late = LATEST
        self._services = services
        self._functions = functions
        self._clock = clock
        self._groups = {"default", *(each.ref for each in stack.of_type("AWS::Scheduler::ScheduleGroup"))}
        self._arns = {each.attributes["Arn"] for each in stack.of_type("AWS::Lambda::Function")}
        self._declared = [self._rule(each) for each in stack.of_type("AWS::Events::Rule")]
        self._declared += [self._of_template(each) for each in stack.of_type("AWS::Scheduler::Schedule")]
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._made: dict[str, dict[str, Any]] = {}  # by name: this double keeps names apart across groups too
        self._fault: tuple[int, str] | None = None

    @property
    def names(self) -> list[str]:
        """Of the schedules that were made through Scheduler's API and are still there."""
        return sorted(self._made)

    def start(self) -> None:
        """Begin with the schedules of the template."""
        for schedule in self._declared:
            if schedule is not None:
                self._tasks[schedule.arn] = self._clock.spawn(self._run(schedule))

    async def close(self) -> None:
        """Stop all; raises what broke this service itself, if anything did."""
        for task in self._tasks.values():
            task.cancel()
        for ending in await asyncio.gather(*self._tasks.values(), return_exceptions=True):
            if isinstance(ending, Exception):
                raise ending

    def answer(self, role: str | None, method: str, name: str, body: bytes) -> Answer:
        """Answer CreateSchedule, GetSchedule or DeleteSchedule, called by a role; the last two in the default group."""
        kinds = {"POST": "CreateSchedule", "GET": "GetSchedule", "DELETE": "DeleteSchedule"}
        try:
            request = json.loads(body) if method == "POST" else {}
            arn = _schedule_arn(name, request.get("GroupName", "default"))
            self._services.require(role, f"scheduler:{kinds[method]}", arn)
            if self._fault is not None:
                return _refused(*self._fault, "a fault of this test")
            if method == "POST":
                return self._create(role, name, arn, request)
        except AccessDenied as denied:
            return _refused(403, "AccessDeniedException", str(denied))
        except (TemplateError, KeyError, ValueError) as error:
            return _refused(400, "ValidationException", str(error))
        if name not in self._made:
            return _refused(404, "ResourceNotFoundException", f"Schedule {name} does not exist.")
        if method == "GET":
            return Answer(200, json.dumps({"Arn": arn, **self._made[name]}).encode())
        self._forget(name)
        return Answer(200, b"{}")

    @contextmanager
    def failing(self, status: int, kind: str) -> Iterator[None]:
        """While it lasts, Scheduler's API refuses every call so, such as with 429 and ThrottlingException."""
        self._fault = status, kind
        try:
            yield
        finally:
            self._fault = None

    def _create(self, role: str | None, name: str, arn: str, request: dict[str, Any]) -> Answer:
        if not NAME.fullmatch(name):
            raise TemplateError(f"{name!r} is no name of a schedule")
        if request.get("GroupName", "default") not in self._groups:
            return _refused(404, "ResourceNotFoundException", f"Schedule group {request['GroupName']} does not exist.")
        request = {key: value for key, value in request.items() if key not in ("ClientToken", "GroupName")}
        schedule = self._schedule(f"the schedule {name}", arn, request)
        passed = {"iam:PassedToService": "scheduler.amazonaws.com"}
        self._services.require(role, "iam:PassRole", request["Target"]["RoleArn"], passed)
        if name in self._made:
            return _refused(409, "ConflictException", f"Schedule {name} already exists.")
        self._made[name] = request
        if schedule is not None:
            self._tasks[schedule.arn] = self._clock.spawn(self._run(schedule))
        return Answer(200, json.dumps({"ScheduleArn": arn}).encode())

    def _forget(self, name: str) -> None:
        del self._made[name]
        task = self._tasks.pop(_schedule_arn(name), None)
        if task is not None:
            task.cancel()

    async def _run(self, schedule: _Schedule) -> None:
        for due in times(schedule.expression, schedule.created, schedule.zone):
            await self._clock.wait(until=due + self.late)
            await self._call(schedule, due)
        if schedule.vanishes:
            del self._made[schedule.arn.rpartition("/")[2]], self._tasks[schedule.arn]

    async def _call(self, schedule: _Schedule, due: float) -> None:
        service = "scheduler" if schedule.role else "events"
        when = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = (schedule.input or "").replace(SCHEDULED_TIME, when) or json.dumps(
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "Scheduled Event",
                "source": f"aws.{service}",
                "account": ACCOUNT,
                "time": when,
                "region": REGION,
                "resources": [schedule.arn],
                "detail": "{}" if schedule.role else {},
            }
        )
        for _ in range(1 + MOST_RETRIES):
            try:
                self._require(schedule)
                self._functions.send(schedule.function.rpartition(":")[2], event.encode())
                return
            except AccessDenied as denied:
                self._services.refused.append(str(denied))
                return
            except InvocationRefused:
                if self._clock.now() + RETRY_SECONDS > due + schedule.longest:
                    return
                await self._clock.wait(until=self._clock.now() + RETRY_SECONDS)

    def _require(self, schedule: _Schedule) -> None:
        policies, action = self._services.policies, "lambda:InvokeFunction"
        if schedule.role is None:
            policies.require_service("events.amazonaws.com", action, schedule.function, schedule.arn)
        else:
            policies.assume(schedule.role, "scheduler.amazonaws.com")
            policies.require(schedule.role, action, schedule.function)

    def _rule(self, rule: Resource) -> _Schedule | None:
        where, properties = rule.logical_id, rule.properties
        _check(properties, {"ScheduleExpression", "Targets"}, RULE, where)
        if len(properties["Targets"]) != 1:
            raise TemplateError(f"{where}: this double knows rules with one target")
        (target,) = properties["Targets"]
        _check(target, {"Arn", "Id"}, {"Arn", "Id", "Input"}, f"{where}.Targets")
        if properties["ScheduleExpression"].startswith("at("):
            raise TemplateError(f"{where}: a rule has no at(...)")
        return self._checked(where, rule.attributes["Arn"], properties, target)

    def _of_template(self, schedule: Resource) -> _Schedule | None:
        where = schedule.logical_id
        if "ActionAfterCompletion" in schedule.properties:
            raise TemplateError(f"{where}: CloudFormation has no ActionAfterCompletion")
        return self._schedule(where, schedule.attributes["Arn"], schedule.properties)

    def _schedule(self, where: str, arn: str, properties: dict[str, Any]) -> _Schedule | None:
        _check(properties, {"ScheduleExpression", "Target", "FlexibleTimeWindow"}, SCHEDULE, where)
        _check(properties["Target"], {"Arn", "RoleArn"}, TARGET, f"{where}.Target")
        if properties["FlexibleTimeWindow"] != {"Mode": "OFF"}:
            raise TemplateError(f"{where}: this double knows a FlexibleTimeWindow that is OFF")
        _check(properties["Target"].get("RetryPolicy", {}), set(), RETRY_POLICY, f"{where}.Target.RetryPolicy")
        if properties.get("ActionAfterCompletion", "NONE") not in ("NONE", "DELETE"):
            raise TemplateError(f"{where}: ActionAfterCompletion is NONE or DELETE")
        return self._checked(where, arn, properties, properties["Target"])

    def _checked(self, where: str, arn: str, properties: dict[str, Any], target: dict[str, Any]) -> _Schedule | None:
        """The schedule, or None for one that is switched off."""
        if target["Arn"] not in self._arns:
            raise TemplateError(f"{where}: there is no function {target['Arn']!r}")
        if properties.get("State", "ENABLED") not in ("ENABLED", "DISABLED"):
            raise TemplateError(f"{where}: State is ENABLED or DISABLED")
        expression, created = properties["ScheduleExpression"], self._clock.now()
        zone = properties.get("ScheduleExpressionTimezone", "UTC")
        times(expression, created, zone)
        policy = target.get("RetryPolicy", {})
        made = _Schedule(
            arn=arn,
            expression=expression,
            function=target["Arn"],
            role=target.get("RoleArn"),
            input=target.get("Input"),
            created=created,
            vanishes=properties.get("ActionAfterCompletion") == "DELETE",
            zone=zone,
            longest=float(policy.get("MaximumEventAgeInSeconds", DAY)),
        )
        return made if properties.get("State", "ENABLED") == "ENABLED" else None


def _schedule_arn(name: str, group: str = "default") -> str:
    return f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{group}/{name}"


def _refused(status: int, kind: str, message: str) -> Answer:
    return Answer(status, json.dumps({"Message": message}).encode(), (("x-amzn-errortype", kind),))


def _check(value: Mapping[str, Any], needed: set[str], known: set[str], where: str) -> None:
    if not needed <= value.keys() <= known:
        wrong = sorted((needed - value.keys()) | (value.keys() - known))
        raise TemplateError(f"{where}: missing, or not known to this double: {', '.join(wrong)}")
