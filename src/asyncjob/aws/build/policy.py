"""What a user's functions need besides the table: IAM statements from a file, checked before they reach a role.

Only what a role's statement can contain gets through, and word for word. Otherwise CloudFormation would find a missing
or misspelt word in the middle of a deployment, or the statement would mean more than was intended.
"""

import json
from pathlib import Path
from typing import Any

from asyncjob.aws.build.archive import BuildError

REQUIRED = ("Effect", "Action", "Resource")
ALLOWED = (*REQUIRED, "Sid", "Condition")

Statement = dict[str, Any]


def load_statements(file: Path) -> list[Statement]:
    """The statements in a JSON file: a list of them, one alone, or a policy document.

    Raises:
        BuildError: it is not JSON, or a statement lacks Effect, Action or Resource, or has what a role's cannot.
    """
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BuildError(f"{file} is no JSON that can be read: {error}") from None
    if isinstance(content, dict) and "Statement" in content:
        content = content["Statement"]
    statements = content if isinstance(content, list) else [content]
    if not statements:
        raise BuildError(f"{file} has no statement")
    for number, statement in enumerate(statements, start=1):
        _check(f"{file}, statement {number}", statement)
    return statements


def _check(where: str, statement: Any) -> None:
    if not isinstance(statement, dict):
        raise BuildError(f"{where}: an IAM statement is an object with {', '.join(REQUIRED)}")
    for name in REQUIRED:
        if name not in statement:
            raise BuildError(f"{where}: {name} is missing")
    for name in statement:
        if name not in ALLOWED:
            raise BuildError(f"{where}: {name} cannot be there; known: {', '.join(ALLOWED)}")
    if statement["Effect"] not in ("Allow", "Deny"):
        raise BuildError(f"{where}: Effect is Allow or Deny, not {statement['Effect']!r}")
    if not _is_texts(statement["Action"]):
        raise BuildError(f"{where}: Action is a text such as s3:GetObject, or a list of them")
    if not _is_texts(statement["Resource"], intrinsic=True):
        raise BuildError(f"{where}: Resource is an ARN, or a list of them")
    for action in statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]:
        if action != "*" and ":" not in action:
            raise BuildError(f"{where}: {action!r} is no action; one is written service:Action, as s3:GetObject")


def _is_texts(value: Any, intrinsic: bool = False) -> bool:
    """Whether it is a text or a list of texts. With `intrinsic`, functions such as Fn::Sub count as texts."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(
        (isinstance(each, str) and each != "")
        or (intrinsic and isinstance(each, dict) and len(each) == 1 and next(iter(each)).startswith(("Fn::", "Ref")))
        for each in values
    )
