"""Lengths of time as people write them: seconds, or `90s`, `1h30m`, `7d`; one grammar for settings, code, requests."""

import re
from datetime import timedelta

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
MAX_SECONDS = 36_500 * UNITS["d"]
_PARTS = re.compile("".join(rf"(?:([0-9]{{1,10}}) *{unit} *)?" for unit in UNITS))
RULE = 'a number of seconds, such as 90, or text such as "90s", "1h30m" or "7d", up to 36500d'


def seconds(length: object) -> float:
    """The seconds of a length of time.

    Args:
        length: a number of seconds, 0 or more, text with units, the longest first: w, d, h, m, s, or a timedelta.

    Raises:
        ValueError: it is neither, or longer than 36,500 days.
    """
    if isinstance(length, timedelta):
        length = length.total_seconds()
    if isinstance(length, (int, float)) and not isinstance(length, bool):
        value: float = length
    else:
        match = _PARTS.fullmatch(length.strip()) if isinstance(length, str) else None
        if match is None or not any(match.groups()):
            raise ValueError(f"{length!r} is not a length of time: write {RULE}")
        value = sum(int(part) * unit for part, unit in zip(match.groups(), UNITS.values(), strict=True) if part)
    if not 0 <= value <= MAX_SECONDS:  # NaN is not, either
        raise ValueError(f"{length!r} is out of range: write {RULE}")
    return float(value)
