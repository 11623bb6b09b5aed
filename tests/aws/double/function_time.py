"""What a function's process runs first: its time is the double's, which may be ahead. Then Lambda's runtime client.

It is given to the interpreter as text (`python -c`), so that nothing of the project can be imported there. Arguments:
the file in which the seconds ahead stand, and the handler.
"""

import datetime
import mmap
import runpy
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

_, path, handler = sys.argv
with open(path, "rb") as file:
    ahead = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

_time, _time_ns = time.time, time.time_ns


def _seconds() -> float:
    return float(struct.unpack("d", ahead[:8])[0])


def _now() -> float:
    return _time() + _seconds()


class _NowByDefault:  # no function: logging keeps one in a class, where a function would become a method
    def __init__(self, function: Callable[[float], time.struct_time]) -> None:
        self.function = function

    def __call__(self, seconds: float | None = None) -> time.struct_time:
        return self.function(_now() if seconds is None else seconds)


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _datetime)


_datetime = datetime.datetime


class _Datetime(_datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _datetime.fromtimestamp(_now(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _datetime.fromtimestamp(_now(), datetime.UTC).replace(tzinfo=None)


_replaced: dict[Any, dict[str, Any]] = {
    time: {
        "time": _now,
        "time_ns": lambda: _time_ns() + int(_seconds() * 1e9),
        "gmtime": _NowByDefault(time.gmtime),
        "localtime": _NowByDefault(time.localtime),
    },
    datetime: {"datetime": _Datetime},
}
for module, names in _replaced.items():
    for name, value in names.items():
        setattr(module, name, value)

sys.argv = ["awslambdaric", handler]
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
