"""Reads a CloudFormation template and its parameters: YAML in, a mapping of known sections out, nothing resolved yet.

YAML is read the way the service reads it, and more strictly where two readers may read it differently. What is wrong
is said here, with its place, so that resolving (cloudformation.py) meets sections, resources and parameters that are
as they should be.
"""

import re
from collections.abc import Collection
from typing import Any

import yaml

_ENTRIES = ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")
_SECTIONS = {"AWSTemplateFormatVersion", "Description", "Metadata", *_ENTRIES}
_RESOURCE_KEYS = {"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}
_PARAMETER_KEYS = {"Type", "Default", "AllowedValues", "NoEcho", "Description", "ConstraintDescription"}
_CONSTRAINTS = {
    "String": {"AllowedPattern", "MinLength", "MaxLength"},
    "Number": {"MinValue", "MaxValue"},
    "CommaDelimitedList": {"AllowedPattern"},
}
# How many arguments a function takes: the first ones stand in Conditions alone, the others anywhere.
CONDITION_FUNCTIONS = {"Fn::Equals": (2, 2), "Fn::Not": (1, 1), "Fn::And": (2, 10), "Fn::Or": (2, 10)}
FUNCTIONS = {"Fn::If": (3, 3), "Fn::Join": (2, 2), "Fn::Select": (2, 2), "Fn::Split": (2, 2), "Fn::FindInMap": (3, 3)}
_TAGS = {
    "!" + name.removeprefix("Fn::"): name
    for name in (*CONDITION_FUNCTIONS, *FUNCTIONS, "Fn::Sub", "Fn::GetAtt", "Ref", "Condition")
}

LARGEST_TEMPLATE = 51_200  # bytes; a larger one has to be in a bucket
LARGEST_IN_A_BUCKET = 1_048_576

Parameter = str | int | float | list[str]


class TemplateError(Exception):
    """The template, or a parameter, is wrong or beyond what the double knows; the message says what and where."""


def demand(met: object, where: str, what: str) -> None:
    """Goes on where `met` is true.

    Raises:
        TemplateError: It is not: `where` and `what` are its message.
    """
    if not met:
        raise TemplateError(f"{where}: {what}")


def as_text(value: Any, where: str) -> str:
    """A scalar as CloudFormation writes it.

    Raises:
        TemplateError: It is none.
    """
    demand(isinstance(value, str | int | float), where, f"a text is needed, not {value!r}")
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_list(value: Any, where: str) -> list[Any]:
    """A copy of a list.

    Raises:
        TemplateError: It is none.
    """
    demand(isinstance(value, list), where, f"a list is needed, not {value!r}")
    return list(value)


def read(text: str, types: Collection[str], largest: int = LARGEST_TEMPLATE) -> dict[str, Any]:
    """A template with every section, each checked as far as it can be without resolving.

    Args:
        text: The template, YAML.
        types: Those of the resources that it may have.
        largest: Bytes that it may have.

    Raises:
        TemplateError: It is wrong, or has a part that is not known.
    """
    size = len(text.encode())
    demand(size <= largest, "the template", f"{size} bytes; {largest} are allowed, without a bucket {LARGEST_TEMPLATE}")
    template = load(text)
    unknown = ", ".join(sorted(template.keys() - _SECTIONS))
    demand(not unknown, "the template", f"unknown section {unknown}")
    version = template.get("AWSTemplateFormatVersion", "2010-09-09")
    demand(version == "2010-09-09", "AWSTemplateFormatVersion", f"{version!r} is not 2010-09-09")
    for section in _ENTRIES:
        entries = template.setdefault(section, {})
        named = isinstance(entries, dict) and all(re.fullmatch("[A-Za-z0-9]+", name) for name in entries)
        demand(named, section, "not a mapping with alphanumeric names")
    both = ", ".join(sorted(template["Parameters"].keys() & template["Resources"].keys()))
    demand(not both, "the template", f"a parameter and a resource are both called {both}")
    demand(template["Resources"], "Resources", "a stack has at least one")
    for logical_id, declared in template["Resources"].items():
        _check_resource(declared, f"Resources.{logical_id}", types, template["Resources"])
    return template


def _check_resource(declared: Any, where: str, types: Collection[str], resources: dict[str, Any]) -> None:
    demand(isinstance(declared, dict), where, "a resource is a mapping")
    demand(str(declared.get("Type")) in types, where, f"unknown resource type {declared.get('Type')!r}")
    unknown = ", ".join(sorted(declared.keys() - _RESOURCE_KEYS))
    demand(not unknown, where, f"unknown key {unknown}")
    demand(isinstance(declared.get("Properties", {}), dict), where, "Properties are a mapping")
    for key in ("DeletionPolicy", "UpdateReplacePolicy"):
        policy = declared.get(key, "Delete")
        demand(policy in ("Delete", "Retain"), where, f"{key} is Delete or Retain, not {policy!r}")
    for name in dependencies(declared):
        demand(str(name) in resources, where, f"DependsOn names {name!r}, which is no resource")


def dependencies(declared: dict[str, Any]) -> list[Any]:
    """What DependsOn of a resource says, as a list always."""
    names = declared.get("DependsOn", [])
    return names if isinstance(names, list) else [names]


def load(text: str) -> dict[str, Any]:
    """A template as plain mappings, lists and scalars: `!Sub x` as `{"Fn::Sub": x}`, `!GetAtt a.b` with a list of two.

    Raises:
        TemplateError: It is not YAML, or YAML that the service refuses or that two readers may read differently:
            duplicate keys, aliases, nulls, unknown tags, and unquoted words such as `yes`, `010` or `1_000`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise TemplateError("the template is not YAML: " + " ".join(str(error).split())) from error
    plain = _plain(root, set()) if root is not None else None
    if not isinstance(plain, dict):
        raise TemplateError("the template is not a mapping")
    return plain


def _plain(node: Any, seen: set[int]) -> Any:
    where = f"line {node.start_mark.line + 1}"
    demand(id(node) not in seen, where, "CloudFormation knows no aliases")
    seen.add(id(node))
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind.startswith("!"):
        demand(kind in _TAGS, where, f"unknown tag {kind}")
        if not isinstance(node, yaml.ScalarNode):
            return {_TAGS[kind]: _collection(node, seen)}
        return {_TAGS[kind]: node.value.split(".", 1) if kind == "!GetAtt" else node.value}
    if kind in ("map", "seq"):
        return _collection(node, seen)
    if kind in ("str", "timestamp"):  # 2012-10-17, a policy's version, is text to CloudFormation
        return node.value
    if kind in ("int", "float"):
        return _number(node.value, where)
    demand(kind == "bool" and node.value in ("true", "false"), where, f"{node.value!r} is a {kind} to YAML: quote it")
    return node.value == "true"


def _collection(node: Any, seen: set[int]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, seen) for item in node.value]
    plain: dict[str, Any] = {}
    for key, value in node.value:
        where = f"line {key.start_mark.line + 1}"
        odd = key.tag.startswith("!") or key.tag == "tag:yaml.org,2002:merge"
        demand(isinstance(key, yaml.ScalarNode) and not odd, where, "a key is plain text")
        demand(key.value not in plain, where, f"duplicate key {key.value!r}")
        plain[key.value] = _plain(value, seen)
    return plain


def _number(text: str, where: str) -> int | float:
    for number in (int, float):
        try:  # another notation, such as 1e3 or 010, would come out of Fn::Sub otherwise than it went in
            if text[-1:].isdigit() and str(number(text)) == text:
                return number(text)
        except ValueError:
            continue
    raise TemplateError(f"{where}: {text!r} is no number in its plainest notation")


def parameter(declared: Any, given: str | None, where: str) -> Parameter:
    """The value of a parameter: a number, a list or a text, after its Type.

    Args:
        declared: What the template says of it.
        given: Its value for this stack; None takes the Default.
        where: What to call it in an error.

    Raises:
        TemplateError: The declaration or the value is wrong, or there is neither a value nor a Default.
    """
    kind = declared.get("Type") if isinstance(declared, dict) else None
    demand(str(kind) in _CONSTRAINTS, where, f"the Type is {kind!r}, not one of {', '.join(_CONSTRAINTS)}")
    unknown = declared.keys() - _PARAMETER_KEYS - _CONSTRAINTS[str(kind)]
    demand(not unknown, where, f"a {kind} has no {', '.join(sorted(unknown))}")
    demand(given is not None or "Default" in declared, where, "the parameter has no value")
    texts = [as_text(declared["Default"], f"{where}.Default")] if "Default" in declared else []
    texts += [given] if given is not None else []
    values = [_parameter_value(declared, text, where) for text in texts]  # an unused Default is checked as well
    return values[-1]


def _parameter_value(declared: dict[str, Any], text: str, where: str) -> Parameter:
    items = [item.strip() for item in text.split(",")] if declared["Type"] == "CommaDelimitedList" else [text]
    if "AllowedValues" in declared:
        allowed = {as_text(value, where) for value in as_list(declared["AllowedValues"], f"{where}.AllowedValues")}
        demand(set(items) <= allowed, where, f"{text!r} is not one of {', '.join(sorted(allowed))}")
    try:
        pattern = re.compile(declared.get("AllowedPattern", "(?s:.*)"))
    except (re.error, TypeError) as error:
        raise TemplateError(f"{where}: AllowedPattern is no regular expression: {error}") from error
    demand(all(map(pattern.fullmatch, items)), where, f"{text!r} does not match {pattern.pattern}")
    number = _number(text, where) if declared["Type"] == "Number" else 0
    for key, size in (("Value", number), ("Length", len(text))):
        low, high = (_number(str(declared.get(f"{end}{key}", size)), f"{where}.{end}{key}") for end in ("Min", "Max"))
        demand(low <= size <= high, where, f"{text!r} is not within Min{key} {low} and Max{key} {high}")
    if declared["Type"] == "Number":
        return number
    return items if declared["Type"] == "CommaDelimitedList" else text
