"""IAM, as far as the roles of a stack and the permissions of its functions go: who may assume a role, who may do what.

A call that the real service would refuse is refused here, in its words, so a missing permission shows up as the failure
that it would be; and since every permission that a call needed is marked, `unused` names those that nothing needs. What
is not evaluated (managed policies, NotAction, policy variables, other condition operators) is a `TemplateError`.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.aws.double.cloudformation import Resource, Stack, TemplateError

_ROLE_OPTIONS = {"RoleName", "Path", "Description", "MaxSessionDuration", "Tags", "Policies"}
_ARN = r"arn:[^:]+:[^:*?]+:[^:]*:[^:]*:.+"  # a wildcard may not stand for the service


class AccessDenied(Exception):
    """A call that no policy allows, or that one denies; the message is AWS's own."""


def matches(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern in which `*` is any characters, `?` one, and all else itself."""
    return _compiled(pattern).fullmatch(text) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    first, *others = ("".join("." if c == "?" else re.escape(c) for c in part) for part in pattern.split("*"))
    if not others:
        return re.compile(first, re.DOTALL)
    # What stands between two stars is taken at its first place, for good: to try further ones can take for ever.
    between = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(f"{first}{between}.*{others[-1]}", re.DOTALL)


def _matches_arn(pattern: str, arn: str) -> bool:
    """Part by part: unlike elsewhere, a wildcard of ArnLike ends at the colon (the sixth part is all the rest)."""
    parts, others = pattern.split(":", 5), arn.split(":", 5)
    return len(parts) == len(others) == 6 and all(map(matches, parts, others))


def _matches_bool(wanted: str, actual: str) -> bool:
    return wanted.lower() == actual.lower()


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "ArnEquals": _matches_arn,
    "ArnLike": _matches_arn,
    "Bool": _matches_bool,
    "StringEquals": str.__eq__,
    "StringLike": matches,
}


@dataclass
class _Statement:
    where: str
    allows: bool
    actions: list[str]
    targets: list[str]  # resources of a policy, services of a trust policy
    conditions: dict[str, dict[str, list[str]]]  # by operator, by key in lower case
    used: set[str] = field(default_factory=set)

    def applies(self, action: str, target: str, context: Mapping[str, str]) -> bool:
        return (
            any(_matches_action(pattern, action) for pattern in self.actions)
            and any(matches(pattern, target) for pattern in self.targets)
            and all(
                key in context and any(_OPERATORS[operator](value, context[key]) for value in values)
                for operator, wanted in self.conditions.items()
                for key, values in wanted.items()
            )
        )

    def use(self, action: str, target: str) -> None:
        self.used |= {f"action {pattern}" for pattern in self.actions if _matches_action(pattern, action)}
        self.used |= {f"resource {pattern}" for pattern in self.targets if matches(pattern, target)}

    def unused(self) -> list[str]:
        elements = [f"action {action}" for action in self.actions] + [f"resource {arn}" for arn in self.targets]
        return [f"{self.where}: {element}" for element in elements if self.allows and element not in self.used]


@dataclass
class _Role:
    name: str
    account: str
    trust: list[_Statement]
    policies: list[_Statement]


@dataclass
class _Permission:
    logical_id: str
    principal: str
    action: str
    function: str  # an ARN, its end from the account on, or a name
    source: str | None
    used: bool = False

    def applies(self, service: str, action: str, resource: str, source_arn: str) -> bool:
        return (
            self.principal == service
            and _matches_action(self.action, action)
            and self.function in (resource, resource.split(":", 4)[-1], resource.split(":", 6)[-1])
            and (self.source is None or _matches_arn(self.source, source_arn))
        )


def _matches_action(pattern: str, action: str) -> bool:
    return matches(pattern.lower(), action.lower())


class Policies:
    """The roles and the function permissions of a stack, and which of them have been needed so far.

    Raises:
        TemplateError: IAM would refuse a policy, or it has a part that is not evaluated here.
    """

    def __init__(self, stack: Stack) -> None:
        self._roles = {role.attributes["Arn"]: _role(role) for role in stack.of_type("AWS::IAM::Role")}
        self._permissions = [_permission(each) for each in stack.of_type("AWS::Lambda::Permission")]

    def assume(self, role_arn: str, service: str, context: Mapping[str, str] | None = None) -> None:
        """Lets a service, such as `lambda.amazonaws.com`, take on a role.

        Args:
            role_arn: Of the role.
            service: Who asks.
            context: The condition keys that the service sends, such as `aws:SourceArn`; none by default.

        Raises:
            AccessDenied: There is no such role, or its trust policy does not let the service.
        """
        role = self._roles.get(role_arn)
        refusal = f"User: {service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
        if role is None or not _allowed(role.trust, "sts:AssumeRole", service, context, refusal):
            raise AccessDenied(refusal)

    def require(self, role_arn: str, action: str, resource: str, context: Mapping[str, str] | None = None) -> None:
        """Lets whoever has taken on a role do something, and marks what allowed it.

        Args:
            role_arn: Of the role.
            action: Such as `dynamodb:GetItem`.
            resource: The ARN of what it is done to, `*` for an action that is done to nothing in particular.
            context: Condition keys and their values; none by default.

        Raises:
            AccessDenied: There is no such role, or its policies do not allow it, or one of them denies it.
        """
        role = self._roles.get(role_arn)
        if role is None:
            raise AccessDenied(f"User: {role_arn} is not authorized to perform: {action}: there is no such role")
        user = f"arn:aws:sts::{role.account}:assumed-role/{role.name}/session"
        refusal = f"User: {user} is not authorized to perform: {action} on resource: {resource}"
        if not _allowed(role.policies, action, resource, context, refusal):
            raise AccessDenied(f"{refusal} because no identity-based policy allows the {action} action")

    def require_service(self, service: str, action: str, resource: str, source_arn: str) -> None:
        """Lets a service act on a function by the function's own permissions, and marks the one that allowed it.

        Args:
            service: Who asks, such as `apigateway.amazonaws.com`.
            action: Such as `lambda:InvokeFunction`.
            resource: The function's ARN, with its qualifier if it is called by one.
            source_arn: For what the service asks, such as the ARN of an API's method.

        Raises:
            AccessDenied: No permission of the function says so.
        """
        allowing = [each for each in self._permissions if each.applies(service, action, resource, source_arn)]
        if not allowing:
            refusal = f"User: {service} is not authorized to perform: {action} on resource: {resource}"
            raise AccessDenied(f"{refusal} because no resource-based policy allows the {action} action")
        for permission in allowing:
            permission.used = True

    def unused(self) -> list[str]:
        """What no allowed call has needed so far, a line each: actions, resources, and permissions of functions."""
        statements = [statement for role in self._roles.values() for statement in role.policies]
        lines = [line for statement in statements for line in statement.unused()]
        return lines + [f"{each.logical_id}: permission" for each in self._permissions if not each.used]


def _allowed(
    statements: list[_Statement], action: str, target: str, context: Mapping[str, str] | None, refusal: str
) -> bool:
    keys = {key.lower(): value for key, value in (context or {}).items()}
    applying = [statement for statement in statements if statement.applies(action, target, keys)]
    if not all(statement.allows for statement in applying):
        raise AccessDenied(f"{refusal} with an explicit deny")
    for statement in applying:
        statement.use(action, target)
    return bool(applying)


def _role(resource: Resource) -> _Role:
    where, properties = resource.logical_id, resource.properties
    _check_keys(properties, {"AssumeRolePolicyDocument"}, _ROLE_OPTIONS, where)
    policies: list[_Statement] = []
    for policy in properties.get("Policies", []):
        _check_keys(policy, {"PolicyName", "PolicyDocument"}, set(), f"{where}.Policies")
        policies += _statements(policy["PolicyDocument"], "Resource", f"{where}.{policy['PolicyName']}")
    trust = _statements(properties["AssumeRolePolicyDocument"], "Principal", f"{where}.AssumeRolePolicyDocument")
    return _Role(resource.ref, resource.attributes["Arn"].split(":")[4], trust, policies)


def _permission(resource: Resource) -> _Permission:
    where, properties = resource.logical_id, resource.properties
    _check_keys(properties, {"Action", "FunctionName", "Principal"}, {"SourceArn"}, where)
    principal, action, source = properties["Principal"], properties["Action"], properties.get("SourceArn")
    _check(principal, r"[a-z0-9-]+\.amazonaws\.com", "a service", f"{where}.Principal")
    _check(properties["FunctionName"], "[A-Za-z0-9:_-]+", "a function", f"{where}.FunctionName")
    _check(action, r"lambda:([A-Za-z]+|\*)|\*", "an action of Lambda", f"{where}.Action")
    if source is not None:
        _check(source, _ARN, "an ARN", f"{where}.SourceArn")
    return _Permission(where, principal, action, properties["FunctionName"], source)


def _statements(document: Any, target: str, where: str) -> list[_Statement]:
    _check_keys(document, {"Version", "Statement"}, set(), where)
    _check(document["Version"], "2012-10-17", "the version of today's policies", f"{where}.Version")
    found = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    if not found:
        raise TemplateError(f"{where}: a policy has at least one statement")
    return [_statement(statement, target, f"{where}[{index}]") for index, statement in enumerate(found)]


def _statement(statement: Any, target: str, where: str) -> _Statement:
    _check_keys(statement, {"Effect", "Action", target}, {"Sid", "Condition"}, where)
    _check(statement.get("Sid", ""), "[A-Za-z0-9]*", "an alphanumeric Sid", where)
    _check(statement["Effect"], "Allow|Deny", "Allow or Deny", f"{where}.Effect")
    if target == "Principal":
        _check_keys(statement["Principal"], {"Service"}, set(), f"{where}.Principal")
        targets = _texts(statement["Principal"]["Service"], r"[a-z0-9-]+\.amazonaws\.com", "a service", where)
        actions = _texts(statement["Action"], r"(?i:sts:\w+)", "an action of STS", where)
    else:
        targets = _texts(statement["Resource"], rf"\*|{_ARN}", "an ARN or *", where)
        actions = _texts(statement["Action"], r"\*|[A-Za-z0-9-]+:[\w*?]+", "an action", where)
    return _Statement(where, statement["Effect"] == "Allow", actions, targets, _conditions(statement, where))


def _conditions(statement: dict[str, Any], where: str) -> dict[str, dict[str, list[str]]]:
    conditions: dict[str, dict[str, list[str]]] = {}
    _check_keys(statement.get("Condition", {}), set(), set(_OPERATORS), f"{where}.Condition")
    for operator, wanted in statement.get("Condition", {}).items():
        if not isinstance(wanted, dict) or not wanted:
            raise TemplateError(f"{where}: the condition {operator} names no keys")
        form = _ARN if operator.startswith("Arn") else "true|false" if operator == "Bool" else ".*"
        # A true of YAML is the text true to IAM.
        conditions[operator] = {
            key.lower(): _texts(
                "true" if value is True else "false" if value is False else value, form, operator, where
            )
            for key, value in wanted.items()
        }
    return conditions


def _texts(value: Any, form: str, what: str, where: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise TemplateError(f"{where}: an empty list where {what} is needed")
    for each in values:
        _check(each, form, what, where)
    return values


def _check(value: Any, form: str, what: str, where: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(form, value, re.DOTALL):
        raise TemplateError(f"{where}: {value!r} is not {what}")
    if "${" in value:
        raise TemplateError(f"{where}: policy variables are not evaluated: {value!r}")


def _check_keys(value: Any, needed: set[str], optional: set[str], where: str) -> None:
    if not isinstance(value, dict) or not needed <= value.keys() <= needed | optional:
        known = ", ".join(sorted(needed | optional))
        raise TemplateError(
            f"{where}: not a mapping of {known}: {sorted(value) if isinstance(value, dict) else value!r}"
        )
