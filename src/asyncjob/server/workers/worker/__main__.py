"""A worker process, from its first line to its last.

    python -m asyncjob.server.workers.worker FD NUMBER [TARGET [FOLDER ...]]

FD is the number of the socket to the server, NUMBER that of the worker's place, TARGET the user's file or module;
without it, the built-in sleep. FOLDER is where else modules may lie.
"""

import ctypes
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress

from asyncjob import streams
from asyncjob.loading import load, look_in
from asyncjob.server import logs
from asyncjob.server.logs import LogFormat, LogLevel
from asyncjob.server.workers.worker.executor import Executor
from asyncjob.server.workers.worker.output import write_by_lines
from asyncjob.server.workers.worker.signals import ignore_stop_signals

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def main() -> None:
    """Serve one server until it is gone."""
    streams.settle(output_matters=False)
    ignore_stop_signals()
    _die_with_parent()
    _give_way()
    logs.configure(
        LogFormat(os.environ.get("ASYNCJOB_LOG_FORMAT", LogFormat.TEXT)),
        LogLevel(os.environ.get("ASYNCJOB_LOG_LEVEL", LogLevel.INFO)),
    )
    process, status = os.getpid(), 1
    try:
        outputs = write_by_lines()
        connection = socket.socket(fileno=int(sys.argv[1]))
        connection.set_inheritable(False)
        look_in(sys.argv[4:])
        jobs = load(sys.argv[3] if len(sys.argv) > 3 else None)
        if os.getpid() == process:  # a process that was forked during the import goes no further
            executor = Executor(connection, jobs, outputs, int(sys.argv[2]))
            executor.start()
            if os.getpid() == process:
                executor.work()
        status = 0
    except ConnectionError:
        status = 0
    except BaseException:
        with suppress(Exception):
            traceback.print_exc()
    finally:
        os._exit(status)  # threads may still run jobs, but nobody is left to take their outcomes


def _die_with_parent() -> None:
    """Have Linux kill this process with its server: while a function holds the GIL, `recv` notices nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _give_way() -> None:
    """Have Linux not take the processor from another process at the moment at which this one has something to do.

    Else each job that the server sends stops it in the middle of its answers, and with it all that waits for its lock.
    On a processor that nobody uses this changes nothing, and it takes nothing from this process's share of a busy one.
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


if __name__ == "__main__":
    main()
