"""CloudFormation, as far as a template of the resource types in `_KINDS` needs it: YAML in, a resolved stack out.

The tests run the very template that is deployed, so this reads it the way the service does and refuses what the service
would refuse. It knows what stands in this file and nothing more: anything else is a `TemplateError`, because a part of
a template that a test ignores is a part that nobody has tested. What stands in a branch or a resource that the
parameters switch off is checked as well, only not evaluated.

Not done here: the properties of a resource are resolved but not judged, and they keep the YAML's types (`Timeout: "5"`
stays a string, where the service would make it a number). That is for the double of that resource.
"""

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml


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
    "AWS::DynamoDB::Table": _Kind("TableName", "{name}", {"Arn": "arn:aws:dynamodb:{place}:table/{name}"}),
    "AWS::IAM::Role": _Kind("RoleName", "{name}", {"Arn": "arn:aws:iam::{account}:role{path}{name}"}),
    "AWS::Lambda::EventInvokeConfig": _numbered(),
    "AWS::Lambda::Function": _Kind("FunctionName", "{name}", {"Arn": "arn:aws:lambda:{place}:function:{name}"}),
    "AWS::Lambda::Permission": _numbered("Id"),
    "AWS::Logs::LogGroup": _Kind("LogGroupName", "{name}", {"Arn": "arn:aws:logs:{place}:log-group:{name}:*"}),
    "AWS::SNS::Subscription": _numbered(),
    "AWS::SNS::Topic": _Kind("TopicName", _TOPIC_ARN, {"TopicArn": _TOPIC_ARN, "TopicName": "{name}"}),
    "AWS::SNS::TopicPolicy": _numbered("Id"),
    "AWS::SQS::Queue": _Kind(
        "QueueName", _QUEUE_URL, {"Arn": "arn:aws:sqs:{place}:{name}", "QueueName": "{name}", "QueueUrl": _QUEUE_URL}
    ),
    "AWS::SQS::QueuePolicy": _numbered("Id"),
}

_ENTRIES = ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")
_SECTIONS = {"AWSTemplateFormatVersion", "Description", "Metadata", *_ENTRIES}
_RESOURCE_KEYS = {"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}
_OUTPUT_KEYS = {"Value", "Description", "Condition"}
_PARAMETER_KEYS = {"Type", "Default", "AllowedValues", "NoEcho", "Description", "ConstraintDescription"}
_CONSTRAINTS = {
    "String": {"AllowedPattern", "MinLength", "MaxLength"},
    "Number": {"MinValue", "MaxValue"},
    "CommaDelimitedList": {"AllowedPattern"},
}
# How many arguments a function takes: the first ones stand in Conditions alone, the others anywhere.
_CONDITION_FUNCTIONS = {"Fn::Equals": (2, 2), "Fn::Not": (1, 1), "Fn::And": (2, 10), "Fn::Or": (2, 10)}
_FUNCTIONS = {"Fn::If": (3, 3), "Fn::Join": (2, 2), "Fn::Select": (2, 2), "Fn::Split": (2, 2), "Fn::FindInMap": (3, 3)}
_TAGS = {
    "!" + name.removeprefix("Fn::"): name
    for name in (*_CONDITION_FUNCTIONS, *_FUNCTIONS, "Fn::Sub", "Fn::GetAtt", "Ref", "Condition")
}

_LARGEST_TEMPLATE = 51_200  # bytes; a larger one has to be in a bucket
_STACKS = uuid.UUID(int=0)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class _NoValue:
    def __repr__(self) -> str:
        return "AWS::NoValue"


_NO_VALUE = _NoValue()

Parameter = str | int | float | list[str]


class TemplateError(Exception):
    """The template, or a parameter, is wrong or beyond what the double knows; the message says what and where."""


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
    ref: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


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


def load(text: str) -> dict[str, Any]:
    """A template as plain mappings, lists and scalars: `!Sub x` as `{"Fn::Sub": x}`, `!GetAtt a.b` with a list of two.

    Raises:
        TemplateError: It is not YAML, or YAML that the service refuses or that two readers may read differently:
            duplicate keys, aliases, nulls, unknown tags, and unquoted words such as `yes`, `010` or `1_000`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise TemplateError("the template is not YAML: " + " ".join(str(error).split())) from error
    plain = _plain(root, set()) if root is not None else None
    if not isinstance(plain, dict):
        raise TemplateError("the template is not a mapping")
    return plain


def _plain(node: Any, seen: set[int]) -> Any:
    where = f"line {node.start_mark.line + 1}"
    _demand(id(node) not in seen, where, "CloudFormation knows no aliases")
    seen.add(id(node))
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind.startswith("!"):
        _demand(kind in _TAGS, where, f"unknown tag {kind}")
        if not isinstance(node, yaml.ScalarNode):
            return {_TAGS[kind]: _collection(node, seen)}
        return {_TAGS[kind]: node.value.split(".", 1) if kind == "!GetAtt" else node.value}
    if kind in ("map", "seq"):
        return _collection(node, seen)
    if kind in ("str", "timestamp"):  # 2012-10-17, a policy's version, is text to CloudFormation
        return node.value
    if kind in ("int", "float"):
        return _number(node.value, where)
    _demand(kind == "bool" and node.value in ("true", "false"), where, f"{node.value!r} is a {kind} to YAML: quote it")
    return node.value == "true"


def _collection(node: Any, seen: set[int]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, seen) for item in node.value]
    plain: dict[str, Any] = {}
    for key, value in node.value:
        where = f"line {key.start_mark.line + 1}"
        odd = key.tag.startswith("!") or key.tag == "tag:yaml.org,2002:merge"
        _demand(isinstance(key, yaml.ScalarNode) and not odd, where, "a key is plain text")
        _demand(key.value not in plain, where, f"duplicate key {key.value!r}")
        plain[key.value] = _plain(value, seen)
    return plain


def _demand(met: object, where: str, what: str) -> None:
    if not met:
        raise TemplateError(f"{where}: {what}")


def _number(text: str, where: str) -> int | float:
    for number in (int, float):
        try:  # another notation, such as 1e3 or 010, would come out of Fn::Sub otherwise than it went in
            if text[-1:].isdigit() and str(number(text)) == text:
                return number(text)
        except ValueError:
            continue
    raise TemplateError(f"{where}: {text!r} is no number in its plainest notation")


def _text(value: Any, where: str) -> str:
    _demand(isinstance(value, str | int | float), where, f"a text is needed, not {value!r}")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list(value: Any, where: str) -> list[Any]:
    _demand(isinstance(value, list), where, f"a list is needed, not {value!r}")
    return list(value)


def _parameter(declared: Any, given: str | None, where: str) -> Parameter:
    kind = declared.get("Type") if isinstance(declared, dict) else None
    _demand(str(kind) in _CONSTRAINTS, where, f"the Type is {kind!r}, not one of {', '.join(_CONSTRAINTS)}")
    unknown = declared.keys() - _PARAMETER_KEYS - _CONSTRAINTS[str(kind)]
    _demand(not unknown, where, f"a {kind} has no {', '.join(sorted(unknown))}")
    _demand(given is not None or "Default" in declared, where, "the parameter has no value")
    texts = [_text(declared["Default"], f"{where}.Default")] if "Default" in declared else []
    texts += [given] if given is not None else []
    return [_parameter_value(declared, text, where) for text in texts][
        -1
    ]  # a Default is checked even if it is not used


def _parameter_value(declared: dict[str, Any], text: str, where: str) -> Parameter:
    items = [item.strip() for item in text.split(",")] if declared["Type"] == "CommaDelimitedList" else [text]
    if "AllowedValues" in declared:
        allowed = {_text(value, where) for value in _list(declared["AllowedValues"], f"{where}.AllowedValues")}
        _demand(set(items) <= allowed, where, f"{text!r} is not one of {', '.join(sorted(allowed))}")
    try:
        pattern = re.compile(declared.get("AllowedPattern", "(?s:.*)"))
    except (re.error, TypeError) as error:
        raise TemplateError(f"{where}: AllowedPattern is no regular expression: {error}") from error
    _demand(all(map(pattern.fullmatch, items)), where, f"{text!r} does not match {pattern.pattern}")
    number = _number(text, where) if declared["Type"] == "Number" else 0
    for key, size in (("Value", number), ("Length", len(text))):
        low, high = (_number(str(declared.get(f"{end}{key}", size)), f"{where}.{end}{key}") for end in ("Min", "Max"))
        _demand(low <= size <= high, where, f"{text!r} is not within Min{key} {low} and Max{key} {high}")
    if declared["Type"] == "Number":
        return number
    return items if declared["Type"] == "CommaDelimitedList" else text


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
                _demand(len(node) == 1, where, f"{key} does not stand alone")
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
        _arguments(_FUNCTIONS, function, argument, where)
        if function == "Fn::If":
            holds = self.holds(argument[0], where)
            chosen = self.value(argument[1], where, live and holds)
            other = self.value(argument[2], where, live and not holds)
            return chosen if holds else other
        if function == "Fn::FindInMap" and isinstance(argument[0], str):
            _demand(argument[0] in self.template["Mappings"], where, f"unknown mapping {argument[0]!r}")
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
        _demand(str(name) in _KINDS[kind].attributes, where, f"{logical_id}, {kind}, has no attribute {name!r}")
        return target.attributes[str(name)] if target else ""

    def sub(self, argument: Any, where: str, live: bool) -> str:
        text, given = argument if isinstance(argument, list) and len(argument) == 2 else (argument, {})
        whole = isinstance(text, str) and isinstance(given, dict) and "${" not in _VARIABLE.sub("", text)
        _demand(whole, where, "Fn::Sub takes a text in which every ${ has its }, and at most a mapping")
        for name in given:
            _demand(re.fullmatch("[A-Za-z0-9_.:]+", name), where, f"Fn::Sub knows no variable name like {name!r}")
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
            return _text(value, f"{where}: ${{{name}}}") if live else ""

        return _VARIABLE.sub(replacement, text)

    def holds(self, name: Any, where: str) -> bool:
        _demand(str(name) in self.template["Conditions"], where, f"unknown condition {name!r}")
        if name not in self.conditions:
            path = f"Conditions.{name}"
            self.enter(path)
            self.conditions[name] = self.condition(self.template["Conditions"][name], path)
            self.pending.pop()
        return self.conditions[name]

    def condition(self, node: Any, where: str) -> bool:
        _demand(isinstance(node, dict) and len(node) == 1, where, f"{node!r} is no condition")
        ((function, argument),) = node.items()
        if function == "Condition":
            return self.holds(argument, where)
        _arguments(_CONDITION_FUNCTIONS, function, argument, where)
        if function == "Fn::Equals":
            left, right = (_text(self.value(item, where, True), where) for item in argument)
            return left == right
        results = [self.condition(item, where) for item in argument]
        if function == "Fn::Not":
            return not results[0]
        return all(results) if function == "Fn::And" else any(results)

    def enter(self, path: str) -> None:
        _demand(path not in self.pending, path, f"circular reference through {', '.join(self.pending)}")
        self.pending.append(path)

    def target(self, logical_id: Any, where: str, live: bool) -> Resource | None:
        here = str(logical_id) in self.template["Resources"] and not where.startswith("Conditions.")
        _demand(here, where, f"nothing that it could refer to is called {logical_id!r}")
        if not live:
            return None
        _demand(
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
        depends_on = tuple(name for name in _depends_on(declared) if self.switched_on(name))
        for name in depends_on:
            self.resource(name)
        properties = self.value(declared.get("Properties", {}), f"{path}.Properties", True)
        kind = _KINDS[declared["Type"]]
        physical = properties.get(kind.name, f"{self.parameters['AWS::StackName']}-{logical_id}")
        facts = {
            "account": self.parameters["AWS::AccountId"],
            "endpoint": self.endpoint,
            "id": _generated_id(logical_id),
            "name": _text(physical, f"{path}.Properties.{kind.name}"),
            "path": _text(properties.get("Path", "/"), f"{path}.Properties.Path"),  # of a role
            "place": f"{self.parameters['AWS::Region']}:{self.parameters['AWS::AccountId']}",
            "root": _generated_id(f"{logical_id} root"),
        }
        attributes = {name: shape.format_map(facts) for name, shape in kind.attributes.items()}
        made = Resource(logical_id, declared["Type"], properties, depends_on, kind.ref.format_map(facts), attributes)
        self.resources[logical_id] = made
        self.pending.pop()
        return made

    def output(self, declared: Any, where: str) -> str | None:
        known = isinstance(declared, dict) and "Value" in declared and declared.keys() <= _OUTPUT_KEYS
        _demand(known, where, "an output is a Value and, at most, a Description and a Condition")
        live = "Condition" not in declared or self.holds(declared["Condition"], where)
        value = self.value(declared["Value"], f"{where}.Value", live)
        return _text(value, f"{where}.Value") if live else None


def _arguments(functions: Mapping[str, tuple[int, int]], function: str, argument: Any, where: str) -> None:
    _demand(function in functions, where, f"{function} is unknown, or its place is elsewhere")
    low, high = functions[function]
    counted = isinstance(argument, list) and low <= len(argument) <= high
    _demand(counted, where, f"{function} takes a list of {low}{f' to {high}' if high > low else ''}")


def _computed(function: str, first: Any, second: Any, third: list[Any], mappings: Any, where: str) -> Any:
    match function:
        case "Fn::Join":
            return _text(first, where).join(_text(item, where) for item in _list(second, where))
        case "Fn::Select":
            return dict(enumerate(_list(second, where)))[int(_text(first, where))]
        case "Fn::Split":
            return _text(second, where).split(_text(first, where))
    found = mappings[first][_text(second, where)][_text(third[0], where)]
    _demand(not isinstance(found, dict), where, f"the mapping {first} is not of two levels")
    return found


def _generated_id(seed: str) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[number // 36**place % 36] for place in range(10))


def _depends_on(declared: dict[str, Any]) -> list[Any]:
    names = declared.get("DependsOn", [])
    return names if isinstance(names, list) else [names]


def _checked(text: str) -> dict[str, Any]:
    size = len(text.encode())
    _demand(
        size <= _LARGEST_TEMPLATE, "the template", f"{size} bytes; without a bucket {_LARGEST_TEMPLATE} are allowed"
    )
    template = load(text)
    unknown = ", ".join(sorted(template.keys() - _SECTIONS))
    _demand(not unknown, "the template", f"unknown section {unknown}")
    version = template.get("AWSTemplateFormatVersion", "2010-09-09")
    _demand(version == "2010-09-09", "AWSTemplateFormatVersion", f"{version!r} is not 2010-09-09")
    for section in _ENTRIES:
        entries = template.setdefault(section, {})
        named = isinstance(entries, dict) and all(re.fullmatch("[A-Za-z0-9]+", name) for name in entries)
        _demand(named, section, "not a mapping with alphanumeric names")
    both = ", ".join(sorted(template["Parameters"].keys() & template["Resources"].keys()))
    _demand(not both, "the template", f"a parameter and a resource are both called {both}")
    _demand(template["Resources"], "Resources", "a stack has at least one")
    for logical_id, declared in template["Resources"].items():
        _check_resource(declared, f"Resources.{logical_id}", template["Resources"])
    return template


def _check_resource(declared: Any, where: str, resources: dict[str, Any]) -> None:
    _demand(isinstance(declared, dict), where, "a resource is a mapping")
    _demand(str(declared.get("Type")) in _KINDS, where, f"unknown resource type {declared.get('Type')!r}")
    unknown = ", ".join(sorted(declared.keys() - _RESOURCE_KEYS))
    _demand(not unknown, where, f"unknown key {unknown}")
    _demand(isinstance(declared.get("Properties", {}), dict), where, "Properties are a mapping")
    for key in ("DeletionPolicy", "UpdateReplacePolicy"):
        policy = declared.get(key, "Delete")
        _demand(policy in ("Delete", "Retain"), where, f"{key} is Delete or Retain, not {policy!r}")
    for name in _depends_on(declared):
        _demand(str(name) in resources, where, f"DependsOn names {name!r}, which is no resource")


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


def deploy(
    text: str,
    parameters: Mapping[str, str] | None = None,
    name: str = "api-gateway-async-stack",
    region: str = "us-east-1",
    account: str = "123456789012",
    endpoint: str = "http://127.0.0.1:0",
) -> Stack:
    """The stack that a template makes, with nothing left to resolve.

    Args:
        text: The template, YAML.
        parameters: What `--parameter-overrides` would say; a parameter that is not in it takes its Default.
        name: Of the stack, and the first part of a physical name that the template does not give.
        region: As in ARNs.
        account: As in ARNs, twelve digits.
        endpoint: Where the queues are, the first part of their URLs.

    Raises:
        TemplateError: The service would refuse it, or the double does not know a part of it.
    """
    template, given = _checked(text), parameters or {}
    unknown = ", ".join(sorted(given.keys() - template["Parameters"].keys()))
    _demand(not unknown, "Parameters", f"the template has no {unknown}")
    declarations = template["Parameters"].items()
    values = {key: _parameter(declared, given.get(key), f"Parameters.{key}") for key, declared in declarations}
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
