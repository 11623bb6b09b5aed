"""The memory of a process that runs the jobs of one function: its limit, and word to the server when it is nearly met.

The limit is on data (RLIMIT_DATA): what is allocated beyond it fails. Python makes a MemoryError of that, of which the
job can tell. Other code may end the process, so the server is told beforehand what its death would be about.
"""

import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

NEARLY = 0.9  # of the limit
LOOK_SECONDS = 0.05
WATCH = "asyncjob-memory"  # the thread that looks, and ends when it has told

_KIB = 1024


class Memory:
    """The limit of this process, once it has one.

    Args:
        nearly_met: called, in a thread of its own, once a job needs nearly all of it.
    """

    def __init__(self, nearly_met: Callable[[], None]) -> None:
        self.limit: int | None = None
        self._nearly_met = nearly_met

    def set_limit(self, limit: int) -> None:
        """Let this process have that many bytes of data. It holds for good, and on Linux alone."""
        if self.limit is None and sys.platform == "linux":
            self.limit = limit
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            threading.Thread(target=self._watch, name=WATCH, daemon=True).start()
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    def _watch(self) -> None:
        assert self.limit is not None
        with suppress(MemoryError):  # not even enough to look
            while _data_bytes() < NEARLY * self.limit:
                time.sleep(LOOK_SECONDS)
        self._nearly_met()


def _data_bytes() -> int:
    """What counts against the limit; 0 where there is no /proc."""
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            return int(file.read(4_096).partition(b"VmData:")[2].split(maxsplit=1)[0]) * _KIB
    except (OSError, IndexError, ValueError):
        return 0
