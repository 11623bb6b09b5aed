"""What `asyncjob build` prints at its end: the API, who may do what, and what to do next.

It is read from the template that was made, so it cannot differ from what will be deployed.
"""

import inspect
import json
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from asyncjob.aws.build.durable import MAX_PARAMETERS_BYTES, OPTIONS
from asyncjob.registry import JobFunction, Jobs
from asyncjob.signature import signed

Tree = dict[str, Any]


LIMIT = (
    f"All parameters of a job together: {MAX_PARAMETERS_BYTES:,} bytes of JSON, a character beyond ASCII counted as 3"
)

CALLERS = {
    "NONE": "everybody on the internet",
    "AWS_IAM": "whoever signs requests (Client(aws_iam=True), --aws-iam) by AWS credentials that allow "
    "execute-api:Invoke",
    "API_KEY": "whoever sends the stack's key as x-api-key",
}
"""Who may call the API, by the parameter Authorization."""


# libyaml, where PyYAML was built with it: Python's own takes half a build's time.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML with CloudFormation's short forms: `!Ref x` is `{"Ref": "x"}`."""


def _short_form(loader: _Loader, tag: str, node: Any) -> Tree:
    construct = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda node: loader.construct_sequence(node, deep=True),
        yaml.MappingNode: lambda node: loader.construct_mapping(node, deep=True),
    }
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": construct[type(node)](node)}


_Loader.add_multi_constructor("!", _short_form)


def summary(template: str, jobs: Jobs, out: Path, *, reserve: bool) -> str:
    """What to tell the user.

    Args:
        template: the text that was made.
        jobs: the registry it was made for.
        out: the folder that it is in, as the user named it.
        reserve: see `Package`.
    """
    tree: Tree = yaml.load(template, _Loader)  # noqa: S506 - a SafeLoader
    resources = tree["Resources"]
    lines = [
        "The API",
        *_indented(_routes(resources)),
        "",
        "Who may call it",
        *_indented(_callers(tree)),
        "",
        f"What POST /jobs takes, beside jobId and options ({', '.join(OPTIONS)})",
    ]
    lines += _indented(line for each in jobs for line in _describe(each, len(jobs) > 1))
    lines += _indented(iter([LIMIT]))
    if begins := list(_schedules(resources)):
        lines += ["", "What begins by itself, up to a minute late", *_indented(iter(begins))]
    if lacks := [line for each in jobs for line in _lacking(each, reserve)]:
        lines += ["", "What functions ask for and AWS will not do", *_indented(iter(lacks))]
    lines += ["", "What the roles may do", *_indented(_roles(resources))]
    lines += [
        "",
        "What deploy may set, with --parameter-overrides NAME=VALUE",
        *_indented(_parameters(tree)),
        "",
        "Next",
    ]
    return "\n".join([*lines, *_indented(_commands(out))])


def _indented(lines: Iterator[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _of_type(resources: Tree, kind: str) -> Iterator[tuple[str, Tree]]:
    return ((name, each) for name, each in resources.items() if each["Type"] == f"AWS::{kind}")


def _routes(resources: Tree) -> Iterator[str]:
    for _, method in _of_type(resources, "ApiGateway::Method"):
        if method["Properties"]["Integration"]["Type"] == "MOCK":
            continue  # refuses other methods and other paths, or tells a browser that it may ask
        path, part = "", method["Properties"]["ResourceId"]
        while part.get("Ref"):
            properties = resources[part["Ref"]]["Properties"]
            path, part = f"/{properties['PathPart']}{path}", properties["ParentId"]
        when = f"   if {method['Condition']}" if "Condition" in method else ""
        yield f"{method['Properties']['HttpMethod']:7} {path}{when}"


def _callers(tree: Tree) -> Iterator[str]:
    """Who may call by default, how to let others in, and what a new default does not change."""
    default = tree["Parameters"]["Authorization"]["Default"]
    yield f"{CALLERS[default]} (Authorization = {default})"
    yield "For everybody on the internet, at your cost: deploy with --parameter-overrides Authorization=NONE"
    yield "A stack that exists keeps the Authorization it has; the same option changes it"


def _schedules(resources: Tree) -> Iterator[str]:
    for _, schedule in _of_type(resources, "Scheduler::Schedule"):
        properties = schedule["Properties"]
        if "Description" in properties:
            when = f"{properties['ScheduleExpression']} in {properties['ScheduleExpressionTimezone']}"
            yield f"{properties['Description']}: {when}"


def _lacking(function: JobFunction, reserve: bool) -> Iterator[str]:
    """What the function asks for, and the durable edition does not keep."""
    name, limits, unique = function.name, function.limits, function.unique
    if function.priority:
        yield f"{name}: priority {function.priority}. Its jobs start in the order in which the stream has them"
    if limits.concurrency is not None and not reserve:
        yield f"{name}: concurrency {limits.concurrency.count}, unless you build with --reserve"
    if limits.concurrency_per_key is not None:
        yield f"{name}: concurrency {limits.concurrency_per_key.count} per {limits.per}"
    for rate in (limits.rate, limits.rate_per_key):
        if rate is not None:
            yield f"{name}: rate {rate.text}{f' per {rate.per}' if rate.per else ''}"
    if unique is not None:
        yield f"{name}: unique. Each submission is a job of its own; a jobId that follows from the work is a way out"
    if function.own_process is not None:
        yield f"{name}: isolate. A process runs one job at a time, then the next; its memory is ProcessorMemory"
    for schedule_id, schedule in function.schedules.items():
        for option in ("priority", "notify"):
            if schedule.options is not None and getattr(schedule.options, option) is not None:
                yield f"{name}: {option} of the schedule {schedule_id}"


def _describe(function: JobFunction, type_required: bool) -> Iterator[str]:
    limits = [f"timeout {function.timeout:g} s"] if function.timeout else []
    needed = "" if type_required else " (may be left out)"
    yield f'"type": "{function.name}"{needed}   {", ".join([*limits, f"retries {function.retries}"])}'
    hints = typing.get_type_hints(signed(function.function), include_extras=True)  # as they were written
    for field in msgspec.structs.fields(function.parameters):
        hint = inspect.formatannotation(hints.get(field.name, Any)).replace("typing.", "").replace("msgspec.", "")
        yield f'  "{field.name}": {hint}{_default(field)}'


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return ""
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return f" = {msgspec.json.encode(default).decode()}"


def _roles(resources: Tree) -> Iterator[str]:
    for name, role in _of_type(resources, "IAM::Role"):
        takers = [each["Principal"]["Service"] for each in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]]
        yield f"{name}, of {', '.join(takers)}"
        for policy in role["Properties"]["Policies"]:
            yield from (f"  {line}" for each in policy["PolicyDocument"]["Statement"] for line in _statement(each))


def _statement(statement: Tree, when: str = "") -> Iterator[str]:
    if "Fn::If" in statement:
        condition, *branches = statement["Fn::If"]
        for branch, word in zip(branches, ("if", "if not"), strict=True):
            if branch != {"Ref": "AWS::NoValue"}:
                yield from _statement(branch, f"{when}   {word} {condition}")
        return
    actions, on = (each if isinstance(each, list) else [each] for each in (statement["Action"], statement["Resource"]))
    may = "" if statement["Effect"] == "Allow" else "never "
    only = f"   when {json.dumps(statement['Condition'])}" if "Condition" in statement else ""
    yield f"{may}{', '.join(actions)}   on {', '.join(map(_resource, on))}{only}{when}"


def _resource(value: Any) -> str:
    """An ARN as the template has it; for a resource of the template, its name."""
    if isinstance(value, str):
        return value
    if "Fn::GetAtt" in value:
        return str(value["Fn::GetAtt"]).removesuffix(".Arn")
    return str(value["Fn::Sub"]) if isinstance(value.get("Fn::Sub"), str) else json.dumps(value)


def _parameters(tree: Tree) -> Iterator[str]:
    """Every parameter with its default: who may call the API is one of them."""
    for name, parameter in tree["Parameters"].items():
        yield f"{name} = {parameter['Default'] or '(empty)'}   {parameter.get('Description', '')}".rstrip()
    yield "Two stacks in one region need different names of the table and of the functions."


def _commands(out: Path) -> Iterator[str]:
    """What packages and deploys it. Packaging makes the template longer, mostly too long to deploy without a bucket."""
    template, packaged = (shlex.quote(str(out / name)) for name in ("template.yaml", "packaged.yaml"))
    bucket, capabilities = "--s3-bucket MY-BUCKET", "--capabilities CAPABILITY_NAMED_IAM"
    yield f"aws cloudformation package --template-file {template} {bucket} --output-template-file {packaged}"
    yield f"aws cloudformation deploy --template-file {packaged} {bucket} --stack-name my-jobs {capabilities}"
    yield "aws cloudformation describe-stacks --stack-name my-jobs --query 'Stacks[0].Outputs'"
    yield "asyncjob check --url THE-ApiEndpoint --aws-iam"
    yield "MY-BUCKET is a bucket of yours in the same region, for the code; aws s3 mb s3://MY-BUCKET makes one."
