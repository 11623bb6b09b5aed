"""What a function's process runs first: its time is the double's, which may be ahead. Then Lambda's runtime client.

The module time is ahead, and what asks it, such as logging. datetime.now() is not: its class cannot be replaced without
harm to those who compare types (pydantic). So botocore signs with this machine's time, which signature.py takes too.

It is given to the interpreter as text (`python -c`), so that nothing of the project can be imported there. Arguments:
the file in which the seconds ahead stand, and the handler.
"""

import mmap
import runpy
import struct
import sys
import time
from collections.abc import Callable

_, path, handler = sys.argv
with open(path, "rb") as file:
    ahead = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

_time, _time_ns, _strftime = time.time, time.time_ns, time.strftime


def _seconds() -> float:
    return float(struct.unpack("d", ahead[:8])[0])


def _now() -> float:
    return _time() + _seconds()


class _NowByDefault:  # no function: logging keeps one in a class, where a function would become a method
    def __init__(self, function: Callable[[float], time.struct_time]) -> None:
        self.function = function

    def __call__(self, seconds: float | None = None) -> time.struct_time:
        return self.function(_now() if seconds is None else seconds)


for name, value in {
    "time": _now,
    "time_ns": lambda: _time_ns() + int(_seconds() * 1e9),
    "gmtime": _NowByDefault(time.gmtime),
    "strftime": lambda text, moment=None: _strftime(text, moment or time.localtime()),
    "localtime": _NowByDefault(time.localtime),
}.items():
    setattr(time, name, value)

sys.argv = ["awslambdaric", handler]
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
