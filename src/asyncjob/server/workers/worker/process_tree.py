"""Finds the processes that a process started, and ends them with everything that they started in turn.

It reads /proc, so elsewhere than on Linux it finds nothing. A process whose parent has ended has left its tree, and is
not found either.
"""

import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_WNOTHREAD = 0x20000000  # from <linux/wait.h>: only the processes that this thread has started


class Process(NamedTuple):
    """A process. Its start tells it from a later one with the same number.

    Attributes:
        started: in clock ticks since the machine started.
    """

    pid: int
    started: int


def find(pid: int) -> Process | None:
    """The process that has this number now; None if there is none, or only a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else Process(pid, int(fields[19]))


def children(pid: int, thread: int | None = None) -> list[Process]:
    """The living processes that a process has started; with `thread`, a native id, those that this thread started."""
    threads = _threads(pid) if thread is None else [thread]
    found = (find(child) for each in threads for child in _children(pid, each))
    return [process for process in found if process is not None]


def thread_has_children() -> bool:
    """Whether the current thread has started processes that live or that nobody has waited for. Much cheaper to ask."""
    if sys.platform != "linux":
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WNOTHREAD)
    except ChildProcessError:
        return False
    except OSError:  # a sandbox does not know that flag
        return True
    return True


def end(processes: Iterable[Process]) -> list[Process]:
    """Kill processes and all their descendants.

    Each is stopped before its children are looked for, so that it cannot start another meanwhile, or end and leave its
    children to another parent.

    Returns:
        Those that were killed: neither those that had ended nor those of another user.
    """
    stopped: list[Process] = []
    seen: set[Process] = set()
    found = list(processes)
    while found:
        seen.update(found)
        stopped += [process for process in found if _signal(process, signal.SIGSTOP)]
        found = list({child for process in stopped for child in children(process.pid)} - seen)
    return [process for process in stopped if _signal(process, signal.SIGKILL)]


def _signal(process: Process, number: signal.Signals) -> bool:
    """Send a signal to this process, but never to another that has been given its number."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:  # it has ended, or the system has no such handles
        with suppress(OSError):
            if find(process.pid) == process:
                os.kill(process.pid, number)
                return True
        return False
    try:
        if find(process.pid) != process:
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC / str(pid) / "task")]
    except OSError:
        return []


def _children(pid: int, thread: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []
