"""Event patterns, as the filters of an event source mapping have them: which records a function gets.

A pattern is a JSON object of the record's shape whose leaves are lists of what may stand there: values, and objects
with one operator. https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax lists
them; those that the double does not know are refused. A value equals in its type: the numbers of DynamoDB are texts
(`{"N": "5"}`), so no number and no `numeric` ever fits one.
"""

import json
from typing import Any

from tests.aws.double.cloudformation import TemplateError

COMPARISONS = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
ABSENT = object()

Pattern = dict[str, Any]


def parsed(text: Any, where: str) -> Pattern:
    """A pattern out of its JSON.

    Raises:
        TemplateError: it is none, or has an operator that the double does not know.
    """
    try:
        pattern = json.loads(text)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"{where}: a Pattern is JSON text: {error}") from None
    _check(pattern, where)
    found: Pattern = pattern
    return found


def matches(pattern: Pattern, event: Any) -> bool:
    """Whether an event fits: each field of the pattern does."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(each, event) for each in wanted):
                return False
            continue
        value = event.get(name, ABSENT) if isinstance(event, dict) else ABSENT
        fits = matches(wanted, value) if isinstance(wanted, dict) else any(_fits(each, value) for each in wanted)
        if not fits:
            return False
    return True


def _fits(wanted: Any, value: Any) -> bool:
    if isinstance(value, list):  # one of its elements is enough
        return any(_fits(wanted, each) for each in value)
    if not isinstance(wanted, dict):
        return type(wanted) is type(value) and wanted == value
    ((operator, operand),) = wanted.items()
    leaf = value is not ABSENT and not isinstance(value, dict)
    match operator:
        case "exists":  # of leaves alone
            return leaf is operand
        case "prefix":
            return isinstance(value, str) and value.startswith(operand)
        case "suffix":
            return isinstance(value, str) and value.endswith(operand)
        case "equals-ignore-case":
            return isinstance(value, str) and value.lower() == operand.lower()
        case "anything-but":
            refused = operand if isinstance(operand, list) else [operand]
            return leaf and not any(_fits(each, value) for each in refused)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    pairs = zip(operand[::2], operand[1::2], strict=True)
    return is_number and all(COMPARISONS[sign](value, bound) for sign, bound in pairs)


def _check(pattern: Any, where: str) -> None:
    if not isinstance(pattern, dict) or not pattern:
        raise TemplateError(f"{where}: a pattern is an object that is not empty, not {pattern!r}")
    for name, wanted in pattern.items():
        if name == "$or":
            for each in wanted:
                _check(each, f"{where}.$or")
        elif isinstance(wanted, dict):
            _check(wanted, f"{where}.{name}")
        elif not isinstance(wanted, list) or not wanted:
            raise TemplateError(f"{where}.{name}: the values that may be there stand in a list, not {wanted!r}")
        else:
            for each in wanted:
                _check_leaf(each, f"{where}.{name}")


def _check_leaf(wanted: Any, where: str) -> None:
    if isinstance(wanted, str | int | float | bool) or wanted is None:
        return
    operator, operand = next(iter(wanted.items())) if isinstance(wanted, dict) and len(wanted) == 1 else ("", None)
    texts = isinstance(operand, str)
    values = operand if isinstance(operand, list) else [operand]
    known = {
        "exists": isinstance(operand, bool),
        "prefix": texts,
        "suffix": texts,
        "equals-ignore-case": texts,
        "anything-but": all(isinstance(each, str | int | float) or _is_prefix(each) for each in values),
        "numeric": isinstance(operand, list) and len(operand) in (2, 4) and set(operand[::2]) <= COMPARISONS.keys(),
    }
    if not known.get(operator):
        raise TemplateError(f"{where}: this double knows no {wanted!r} in a pattern")


def _is_prefix(wanted: Any) -> bool:
    return isinstance(wanted, dict) and wanted.keys() == {"prefix"} and isinstance(wanted["prefix"], str)
