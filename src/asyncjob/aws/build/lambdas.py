"""What Lambda has to run functions on: its versions of Python, its processors, its longest time."""

import sys
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


GLIBC = {Python.V3_11: 26, Python.V3_12: 34, Python.V3_13: 34, Python.V3_14: 34, Python.V3_15: 34}
"""The second number of the glibc 2.x that is there: a wheel may need no newer one."""

MACHINES = {Architecture.ARM64: "aarch64", Architecture.X86_64: "x86_64"}
"""What the names of wheels call the processors."""

_HERE = "{}.{}".format(*sys.version_info)
DEFAULT_PYTHON = Python(_HERE) if _HERE in list(Python) else list(Python)[-1]
"""The one that runs this, where Lambda has it: what was tried here is what runs there."""
