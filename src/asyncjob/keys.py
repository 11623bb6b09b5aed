"""What makes two jobs of a function the same, or counts them together: a text made of some of their parameters.

The parameters are compared as the function sees them: converted to its type hints, with its defaults filled in. So a
parameter that is left out and one that says the default are equal.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from asyncjob.registry import InvalidParameters, JobFunction

MAX_VALUE = 200  # characters of a value that are kept as they are; of a longer one, its hash
KIND_LENGTH = 16  # characters
_encode = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode


def limit_key(function: JobFunction, parameters: bytes) -> str | None:
    """The key that the limits of the function count a job under; None if they count all its jobs together.

    Args:
        function: the job's.
        parameters: JSON, as they were accepted.
    """
    per = function.limits.per
    if per is None:
        return None
    value = _values(function, [per], parameters)[1:-1].decode()
    return f"{per}={value if len(value) <= MAX_VALUE else sha256(value.encode()).hexdigest()}"


def unique_key(function: JobFunction, parameters: bytes) -> str | None:
    """A text that is equal in jobs of this function that are the same; None if no two of them are.

    Args:
        function: the job's.
        parameters: as above.
    """
    kind = unique_kind(function)
    return None if kind is None else f"{kind}.{sha256(_values(function, _compared(function), parameters)).hexdigest()}"


def unique_kind(function: JobFunction) -> str | None:
    """What the unique keys of a function begin with, as long as it compares the same parameters; None without."""
    if function.unique is None:
        return None
    return sha256(_encode([function.name, *_compared(function)])).hexdigest()[:KIND_LENGTH]


def _compared(function: JobFunction) -> list[str]:
    assert function.unique is not None
    return sorted(function.unique.parameters or function.parameters.__struct_fields__)


def _values(function: JobFunction, names: Iterable[str], parameters: bytes) -> bytes:
    """The values as a JSON array, equal for equal values."""
    try:
        given = function.read(parameters)
        values = [given[name] for name in names]
        return _encode(_alike(msgspec.to_builtins(values, builtin_types=(Decimal, datetime), str_keys=True)))
    except (InvalidParameters, TypeError, ValueError, RecursionError):  # the function was changed since it took them
        return parameters


def _alike(value: Any) -> Any:
    """The same in the one way of several in which equal values can be written."""
    if isinstance(value, Decimal):
        return value.normalize() + 0  # -0 becomes 0
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, float):
        return value + 0.0  # -0.0 becomes 0.0
    if isinstance(value, dict):
        return {name: _alike(part) for name, part in value.items()}
    return [_alike(part) for part in value] if isinstance(value, (list, tuple)) else value
