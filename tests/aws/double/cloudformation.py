"""CloudFormation, as far as a template of the resource types in `_KINDS` needs it: a resolved stack out of YAML.

The tests run the very template that is deployed, so this reads it the way the service does and refuses what the service
would refuse. It knows what stands here and in templates.py, which does the reading, and nothing more: anything else is
a `TemplateError`, because a part of a template that a test ignores is a part that nobody has tested. What stands in a
branch or a resource that the parameters switch off is checked as well, only not evaluated.

Not done here: the properties of a resource are resolved but not judged, and they keep the YAML's types (`Timeout: "5"`
stays a string, where the service would make it a number). That is for the double of that resource.
"""

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.aws.double.templates import (
    CONDITION_FUNCTIONS,
    FUNCTIONS,
    LARGEST_TEMPLATE,
    Parameter,
    TemplateError,
    as_list,
    as_text,
    demand,
    dependencies,
    load,
    parameter,
    read,
)

__all__ = ["Resource", "Stack", "TemplateError", "deploy", "load"]


class _Kind(NamedTuple):
    name: str | None  # the property that gives a resource its physical name
    ref: str
    attributes: dict[str, str]


def _numbered(*attributes: str) -> _Kind:
    return _Kind(None, "{id}", dict.fromkeys(attributes, "{id}"))


_QUEUE_URL = "{endpoint}/{account}/{name}"
_TOPIC_ARN = "arn:aws:sns:{place}:{name}"

# What Ref and Fn::GetAtt return, by type. `id` is ten characters made from the logical id, `root` ten others.
_KINDS = {
    "AWS::ApiGateway::ApiKey": _numbered("APIKeyId"),
    "AWS::ApiGateway::Deployment": _numbered("DeploymentId"),
    "AWS::ApiGateway::GatewayResponse": _numbered("Id"),
    "AWS::ApiGateway::Method": _numbered(),
    "AWS::ApiGateway::Model": _Kind("Name", "{name}", {}),
    "AWS::ApiGateway::RequestValidator": _numbered("RequestValidatorId"),
    "AWS::ApiGateway::Resource": _numbered("ResourceId"),
    "AWS::ApiGateway::RestApi": _Kind(None, "{id}", {"RestApiId": "{id}", "RootResourceId": "{root}"}),
    "AWS::ApiGateway::Stage": _Kind("StageName", "{name}", {}),
    "AWS::ApiGateway::UsagePlan": _numbered("Id"),
    "AWS::ApiGateway::UsagePlanKey": _numbered("Id"),
    "AWS::CloudWatch::Alarm": _Kind("AlarmName", "{name}", {"Arn": "arn:aws:cloudwatch:{place}:alarm:{name}"}),
    "AWS::DynamoDB::Table": _Kind(
        "TableName",
        "{name}",
        {
            "Arn": "arn:aws:dynamodb:{place}:table/{name}",
            "StreamArn": "arn:aws:dynamodb:{place}:table/{name}/stream/2026-01-01T00:00:00.000",
        },
    ),
    "AWS::Events::Rule": _Kind("Name", "{name}", {"Arn": "arn:aws:events:{place}:rule/{name}"}),
    "AWS::IAM::Role": _Kind("RoleName", "{name}", {"Arn": "arn:aws:iam::{account}:role{path}{name}"}),
    "AWS::Lambda::EventInvokeConfig": _numbered(),
    "AWS::Lambda::EventSourceMapping": _Kind(
        None, "{uuid}", {"Id": "{uuid}", "EventSourceMappingArn": "arn:aws:lambda:{place}:event-source-mapping:{uuid}"}
    ),
    "AWS::Lambda::Function": _Kind("FunctionName", "{name}", {"Arn": "arn:aws:lambda:{place}:function:{name}"}),
    "AWS::Lambda::Permission": _numbered("Id"),
    "AWS::Logs::LogGroup": _Kind("LogGroupName", "{name}", {"Arn": "arn:aws:logs:{place}:log-group:{name}:*"}),
    "AWS::Scheduler::Schedule": _Kind("Name", "{name}", {"Arn": "arn:aws:scheduler:{place}:schedule/default/{name}"}),
    "AWS::Scheduler::ScheduleGroup": _Kind(
        "Name", "{name}", {"Arn": "arn:aws:scheduler:{place}:schedule-group/{name}"}
    ),
    "AWS::SNS::Subscription": _numbered(),
    "AWS::SNS::Topic": _Kind("TopicName", _TOPIC_ARN, {"TopicArn": _TOPIC_ARN, "TopicName": "{name}"}),
    "AWS::SNS::TopicPolicy": _numbered("Id"),
    "AWS::SQS::Queue": _Kind(
        "QueueName", _QUEUE_URL, {"Arn": "arn:aws:sqs:{place}:{name}", "QueueName": "{name}", "QueueUrl": _QUEUE_URL}
    ),
    "AWS::SQS::QueuePolicy": _numbered("Id"),
}

_OUTPUT_KEYS = {"Value", "Description", "Condition"}
_STACKS = uuid.UUID(int=0)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class _NoValue:
    def __repr__(self) -> str:
        return "AWS::NoValue"


_NO_VALUE = _NoValue()


@dataclass(frozen=True)
class Resource:
    """One resource that the stack has, with nothing left to resolve.

    `properties` are without `AWS::NoValue`. `depends_on` is what DependsOn says, less the resources that are switched
    off; what the properties refer to is not in it. `ref` and `attributes` are what Ref and Fn::GetAtt give others.
    """

    logical_id: str
    type: str
    properties: dict[str, Any]
    depends_on: tuple[str, ...]
    ref: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Stack:
    """What a deployment has made: `resources` by logical id, each one after those that it needs, and `outputs`."""

    name: str
    resources: dict[str, Resource]
    outputs: dict[str, str]
    parameters: dict[str, Parameter]

    def of_type(self, type: str) -> list[Resource]:
        """The resources of a type such as `AWS::Lambda::Function`; none is an empty list."""
        return [resource for resource in self.resources.values() if resource.type == type]

    def named(self, logical_id: str) -> Resource:
        """The resource of a logical id.

        Raises:
            KeyError: The stack has none, or its condition does not hold.
        """
        return self.resources[logical_id]


def deploy(
    text: str,
    parameters: Mapping[str, str] | None = None,
    name: str = "api-gateway-async-stack",
    region: str = "us-east-1",
    account: str = "123456789012",
    endpoint: str = "http://127.0.0.1:0",
    largest: int = LARGEST_TEMPLATE,
) -> Stack:
    """The stack that a template makes, with nothing left to resolve.

    Args:
        text: The template, YAML.
        parameters: What `--parameter-overrides` would say; a parameter that is not in it takes its Default.
        name: Of the stack, and the first part of a physical name that the template does not give.
        region: As in ARNs.
        account: As in ARNs, twelve digits.
        endpoint: Where the queues are, the first part of their URLs.
        largest: Bytes that it may have: more, where it comes from a bucket.

    Raises:
        TemplateError: The service would refuse it, or the double does not know a part of it.
    """
    template, given = read(text, _KINDS, largest), parameters or {}
    unknown = ", ".join(sorted(given.keys() - template["Parameters"].keys()))
    demand(not unknown, "Parameters", f"the template has no {unknown}")
    declarations = template["Parameters"].items()
    values = {key: parameter(declared, given.get(key), f"Parameters.{key}") for key, declared in declarations}
    deployment = _Deployment(template, values | _pseudo_parameters(name, region, account), endpoint)
    for condition in template["Conditions"]:
        deployment.holds(condition, "Conditions")
    for logical_id, declared in template["Resources"].items():
        if deployment.switched_on(logical_id):
            deployment.resource(logical_id)
        else:
            deployment.value(declared.get("Properties", {}), f"Resources.{logical_id}.Properties", False)
    outputs = {key: deployment.output(declared, f"Outputs.{key}") for key, declared in template["Outputs"].items()}
    shown = {key: value for key, value in outputs.items() if value is not None}
    return Stack(name, deployment.resources, shown, values)


def _pseudo_parameters(stack: str, region: str, account: str) -> dict[str, Any]:
    return {
        "AWS::AccountId": account,
        "AWS::NoValue": _NO_VALUE,
        "AWS::Partition": "aws",
        "AWS::Region": region,
        "AWS::StackId": f"arn:aws:cloudformation:{region}:{account}:stack/{stack}/{uuid.uuid5(_STACKS, stack)}",
        "AWS::StackName": stack,
        "AWS::URLSuffix": "amazonaws.com",
    }


@dataclass
class _Deployment:
    """One walk over a template. Where the parameters switch a part off, `live` is false: names are checked, no more."""

    template: dict[str, Any]
    parameters: dict[str, Any]  # and the pseudo parameters
    endpoint: str
    conditions: dict[str, bool] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)

    def value(self, node: Any, where: str, live: bool) -> Any:
        if isinstance(node, list):
            items = [self.value(item, f"{where}[{index}]", live) for index, item in enumerate(node)]
            return [item for item in items if item is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        for key in node:  # a policy statement has a Condition too, but that is a mapping
            if key == "Ref" or key.startswith("Fn::") or (key == "Condition" and isinstance(node[key], str)):
                demand(len(node) == 1, where, f"{key} does not stand alone")
                return self.call(key, node[key], where, live)
        fields = {key: self.value(item, f"{where}.{key}", live) for key, item in node.items()}
        return {key: item for key, item in fields.items() if item is not _NO_VALUE}

    def call(self, function: str, argument: Any, where: str, live: bool) -> Any:
        match function:
            case "Ref":
                return self.ref(argument, where, live)
            case "Fn::GetAtt":
                return self.attribute(argument, where, live)
            case "Fn::Sub":
                return self.sub(argument, where, live)
        _arguments(FUNCTIONS, function, argument, where)
        if function == "Fn::If":
            holds = self.holds(argument[0], where)
            chosen = self.value(argument[1], where, live and holds)
            other = self.value(argument[2], where, live and not holds)
            return chosen if holds else other
        if function == "Fn::FindInMap" and isinstance(argument[0], str):
            demand(argument[0] in self.template["Mappings"], where, f"unknown mapping {argument[0]!r}")
        first, second, *third = (self.value(item, where, live) for item in argument)
        try:
            return _computed(function, first, second, third, self.template["Mappings"], where) if live else ""
        except (LookupError, TypeError, ValueError) as error:
            raise TemplateError(f"{where}: {function} finds nothing for {argument}") from error

    def ref(self, name: Any, where: str, live: bool) -> Any:
        if str(name) in self.parameters:
            return self.parameters[str(name)]
        target = self.target(name, where, live)
        return target.ref if target else ""

    def attribute(self, argument: Any, where: str, live: bool) -> str:
        logical_id, name = argument if isinstance(argument, list) and len(argument) == 2 else (argument, None)
        target = self.target(logical_id, where, live)
        kind = self.template["Resources"][logical_id]["Type"]
        demand(str(name) in _KINDS[kind].attributes, where, f"{logical_id}, {kind}, has no attribute {name!r}")
        if target is None:
            return ""
        demand(str(name) in target.attributes, where, f"{logical_id} has no {name}: it has no StreamSpecification")
        return target.attributes[str(name)]

    def sub(self, argument: Any, where: str, live: bool) -> str:
        text, given = argument if isinstance(argument, list) and len(argument) == 2 else (argument, {})
        whole = isinstance(text, str) and isinstance(given, dict) and "${" not in _VARIABLE.sub("", text)
        demand(whole, where, "Fn::Sub takes a text in which every ${ has its }, and at most a mapping")
        for name in given:
            demand(re.fullmatch("[A-Za-z0-9_.:]+", name), where, f"Fn::Sub knows no variable name like {name!r}")
        variables = {name: self.value(value, where, live) for name, value in given.items()}

        def replacement(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                value = variables[name]
            elif "." in name:
                value = self.attribute(name.split(".", 1), where, live)
            else:
                value = self.ref(name, where, live)
            return as_text(value, f"{where}: ${{{name}}}") if live else ""

        return _VARIABLE.sub(replacement, text)

    def holds(self, name: Any, where: str) -> bool:
        demand(str(name) in self.template["Conditions"], where, f"unknown condition {name!r}")
        if name not in self.conditions:
            path = f"Conditions.{name}"
            self.enter(path)
            self.conditions[name] = self.condition(self.template["Conditions"][name], path)
            self.pending.pop()
        return self.conditions[name]

    def condition(self, node: Any, where: str) -> bool:
        demand(isinstance(node, dict) and len(node) == 1, where, f"{node!r} is no condition")
        ((function, argument),) = node.items()
        if function == "Condition":
            return self.holds(argument, where)
        _arguments(CONDITION_FUNCTIONS, function, argument, where)
        if function == "Fn::Equals":
            left, right = (as_text(self.value(item, where, True), where) for item in argument)
            return left == right
        results = [self.condition(item, where) for item in argument]
        if function == "Fn::Not":
            return not results[0]
        return all(results) if function == "Fn::And" else any(results)

    def enter(self, path: str) -> None:
        demand(path not in self.pending, path, f"circular reference through {', '.join(self.pending)}")
        self.pending.append(path)

    def target(self, logical_id: Any, where: str, live: bool) -> Resource | None:
        here = str(logical_id) in self.template["Resources"] and not where.startswith("Conditions.")
        demand(here, where, f"nothing that it could refer to is called {logical_id!r}")
        if not live:
            return None
        demand(
            self.switched_on(logical_id), where, f"unresolved dependency: the condition of {logical_id} does not hold"
        )
        return self.resource(logical_id)

    def switched_on(self, logical_id: str) -> bool:
        declared = self.template["Resources"][logical_id]
        return "Condition" not in declared or self.holds(declared["Condition"], f"Resources.{logical_id}")

    def resource(self, logical_id: str) -> Resource:
        if logical_id in self.resources:
            return self.resources[logical_id]
        path = f"Resources.{logical_id}"
        self.enter(path)
        declared = self.template["Resources"][logical_id]
        depends_on = tuple(name for name in dependencies(declared) if self.switched_on(name))
        for name in depends_on:
            self.resource(name)
        properties = self.value(declared.get("Properties", {}), f"{path}.Properties", True)
        kind = _KINDS[declared["Type"]]
        physical = properties.get(kind.name, f"{self.parameters['AWS::StackName']}-{logical_id}")
        facts = {
            "account": self.parameters["AWS::AccountId"],
            "endpoint": self.endpoint,
            "id": _generated_id(f"{self.parameters['AWS::StackName']} {logical_id}"),
            "name": as_text(physical, f"{path}.Properties.{kind.name}"),
            "path": as_text(properties.get("Path", "/"), f"{path}.Properties.Path"),  # of a role
            "place": f"{self.parameters['AWS::Region']}:{self.parameters['AWS::AccountId']}",
            "uuid": str(uuid.uuid5(_STACKS, logical_id)),
            "root": _generated_id(f"{logical_id} root"),
        }
        attributes = {name: shape.format_map(facts) for name, shape in kind.attributes.items()}
        if "StreamSpecification" not in properties:
            attributes.pop("StreamArn", None)
        made = Resource(logical_id, declared["Type"], properties, depends_on, kind.ref.format_map(facts), attributes)
        self.resources[logical_id] = made
        self.pending.pop()
        return made

    def output(self, declared: Any, where: str) -> str | None:
        known = isinstance(declared, dict) and "Value" in declared and declared.keys() <= _OUTPUT_KEYS
        demand(known, where, "an output is a Value and, at most, a Description and a Condition")
        live = "Condition" not in declared or self.holds(declared["Condition"], where)
        value = self.value(declared["Value"], f"{where}.Value", live)
        return as_text(value, f"{where}.Value") if live else None


def _arguments(functions: Mapping[str, tuple[int, int]], function: str, argument: Any, where: str) -> None:
    demand(function in functions, where, f"{function} is unknown, or its place is elsewhere")
    low, high = functions[function]
    counted = isinstance(argument, list) and low <= len(argument) <= high
    demand(counted, where, f"{function} takes a list of {low}{f' to {high}' if high > low else ''}")


def _computed(function: str, first: Any, second: Any, third: list[Any], mappings: Any, where: str) -> Any:
    match function:
        case "Fn::Join":
            return as_text(first, where).join(as_text(item, where) for item in as_list(second, where))
        case "Fn::Select":
            return dict(enumerate(as_list(second, where)))[int(as_text(first, where))]
        case "Fn::Split":
            return as_text(second, where).split(as_text(first, where))
    found = mappings[first][as_text(second, where)][as_text(third[0], where)]
    demand(not isinstance(found, dict), where, f"the mapping {first} is not of two levels")
    return found


def _generated_id(seed: str) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[number // 36**place % 36] for place in range(10))
