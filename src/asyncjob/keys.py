"""What makes two jobs of a function the same, or counts them together: a text made of some of their parameters.

The parameters are compared as the function sees them: converted to its type hints, with its defaults filled in. So a
parameter that is left out and one that says the default are equal.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from asyncjob.registry import InvalidParameters, JobFunction

MAX_VALUE = 200  # characters of a value that are kept as they are; of a longer one, its hash
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
    if function.unique is None:
        return None
    names = sorted(function.unique.parameters or function.parameters.__struct_fields__)
    return sha256(_encode([function.name, *names]) + _values(function, names, parameters)).hexdigest()


def _values(function: JobFunction, names: Iterable[str], parameters: bytes) -> bytes:
    """The values as a JSON array, equal for equal values."""
    try:
        given = function.read(parameters)
        return _encode([given[name] for name in names])
    except (InvalidParameters, TypeError, ValueError, RecursionError):  # the function was changed since it took them
        return parameters
