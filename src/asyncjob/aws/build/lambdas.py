"""What Lambda runs functions on: its versions of Python, its processors, its longest time."""

from datetime import date
from enum import StrEnum

MAX_TIMEOUT = 900


class Architecture(StrEnum):
    """Lambda's processors; the first costs less."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


class Python(StrEnum):
    """Lambda's versions of Python, of those that asyncjob itself runs on."""

    V3_11 = "3.11"
    V3_12 = "3.12"
    V3_13 = "3.13"
    V3_14 = "3.14"
    V3_15 = "3.15"


DEFAULT_PYTHON = Python.V3_13
"""The newest generally available one on which the tests have run the code."""

PREVIEWS = {Python.V3_15}
"""Versions that AWS offers for trying out, not for production use."""

LAST_CREATION = {
    Python.V3_11: date(2027, 7, 31),
    Python.V3_12: date(2028, 11, 30),
    Python.V3_13: date(2029, 7, 31),
    Python.V3_14: date(2029, 7, 31),
}
"""The day from which Lambda creates no functions with a version. AWS moves these; a test compares cfn-lint's."""

GLIBC = {Python.V3_11: 26, Python.V3_12: 34, Python.V3_13: 34, Python.V3_14: 34, Python.V3_15: 34}
"""The minor version of glibc 2 on Lambda: a wheel must not need a newer one."""

MACHINES = {Architecture.ARM64: "aarch64", Architecture.X86_64: "x86_64"}
"""What wheels call these processors in their names."""


def refusal(python: Python, today: date) -> str | None:
    """Why functions can no longer be created with this version, or None."""
    last = LAST_CREATION.get(python)
    if last is None or today < last:
        return None
    return f"Lambda creates no functions with Python {python} since {last}: name a newer one with --python"


def warning(python: Python) -> str | None:
    """What someone who chooses this version should know, or None."""
    if python not in PREVIEWS:
        return None
    return f"Python {python} is a preview on Lambda, not for production use; the default is {DEFAULT_PYTHON}"
