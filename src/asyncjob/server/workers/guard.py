"""Ends what workers leave behind: the processes that job functions started, at any depth, whoever their parent is now.

The kernel ends a worker with its server, but not what the worker's jobs have started. Two marks find those, even when
their parents are gone: each worker leads a session of its own and carries a token in its environment, and processes
inherit both. Only one that has left the session *and* cleared its environment is not found.

The server looks for them when a worker has ended. If the server itself is killed, nobody is left to look, so this file
is also a program: a small process beside the server that waits for its end and then looks.

    python -I -S guard.py MARK < pipe

It runs without the site module and imports nothing of this package, so it needs 3 MB of memory.
"""

import os
import signal
import sys
import time
from collections.abc import Collection, Iterator

VARIABLE = "ASYNCJOB_WORKER"  # in a worker's environment: its mark
ROUNDS = 100  # looks at most, in case processes are started faster than they are killed
PAUSE_SECONDS = 0.01
_SESSION = 3  # its place among the fields of /proc/PID/stat that follow the name


def end_left(mark: str, sessions: Collection[int]) -> int:
    """Kill every process that carries the mark or is in one of the sessions, until none is found.

    Args:
        mark: how the value of ASYNCJOB_WORKER begins.
        sessions: ids of sessions: the process ids of workers.

    Returns:
        How many processes were found; 0 where there is no /proc.
    """
    killed: set[int] = set()
    for _ in range(ROUNDS):
        left = [pid for pid in _processes() if _is_left(pid, f"{VARIABLE}={mark}".encode(), sessions)]
        if not left:
            break
        for pid in left:
            killed.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(PAUSE_SECONDS)
    return len(killed)


def _processes() -> Iterator[int]:
    try:
        entries = os.listdir("/proc")
    except OSError:
        return
    own = os.getpid()
    for entry in entries:
        if entry.isdigit() and int(entry) != own:
            yield int(entry)


def _is_left(pid: int, mark: bytes, sessions: Collection[int]) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b") ")[2].split()
        if fields[0] in (b"Z", b"X"):  # it has ended, and only its parent can remove it
            return False
        if int(fields[_SESSION]) in sessions:
            return True
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return any(variable.startswith(mark) for variable in environ.read().split(b"\0"))
    except (OSError, IndexError):  # it has just ended, or is another user's
        return False


def main() -> None:
    """Read the process ids of workers, one a line, until the server is gone; then end what they have left."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # it must outlive the server
    if os.fork():
        os._exit(0)  # an orphan from now on: the server's children are its workers alone
    os.chdir("/")
    sessions: set[int] = set()
    for line in sys.stdin:
        pid = int(line)
        if pid > 0:
            sessions.add(pid)
        else:
            sessions.discard(-pid)
    end_left(sys.argv[1], sessions)


if __name__ == "__main__":
    main()
