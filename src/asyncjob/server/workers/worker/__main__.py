"""A worker process, from its first line to its last.

    python -m asyncjob.server.workers.worker FD NUMBER [TARGET [FOLDER ...]]

FD is the number of the socket to the server, NUMBER that of the worker's place, TARGET the user's file or module;
without it, the built-in sleep. FOLDER is where else modules may lie.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress

from asyncjob import streams
from asyncjob.loading import load, look_in
from asyncjob.server import logs
from asyncjob.server.logs import LogLevel, log
from asyncjob.server.workers.channel import Said
from asyncjob.server.workers.lines import readable_traceback
from asyncjob.server.workers.worker.capture import Capture, attempt
from asyncjob.server.workers.worker.executor import Executor
from asyncjob.server.workers.worker.outbox import Outbox
from asyncjob.server.workers.worker.output import replace_streams, write_through
from asyncjob.server.workers.worker.signals import ignore_stop_signals, let_go_in_children
from asyncjob.server.workers.worker.written import Written
from asyncjob.signature import RegistrationError

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def main() -> None:
    """Serve one server until it is gone."""
    streams.settle(output_matters=False)
    ignore_stop_signals()
    _die_with_parent()
    _give_way()
    process, status = os.getpid(), 1
    try:
        connection = socket.socket(fileno=int(sys.argv[1]))
        connection.set_inheritable(False)
        connection.setblocking(True)  # it does not if a user's module in the server has called setdefaulttimeout
        outbox, written = _speak(connection)
        look_in(sys.argv[4:])
        jobs = load(sys.argv[3] if len(sys.argv) > 3 else None)
        write_through()
        if os.getpid() == process:  # a process that was forked during the import goes no further
            executor = Executor(connection, outbox, written, jobs, int(sys.argv[2]))
            executor.start()
            if os.getpid() == process:
                executor.work()
        status = 0
    except ConnectionError:
        status = 0
    except RegistrationError as error:
        log(logging.ERROR, "worker cannot start", error=str(error))
    except BaseException:
        with suppress(Exception):
            log(logging.ERROR, "worker cannot start", exception=readable_traceback(traceback.format_exc()))
    finally:
        os._exit(status)  # threads may still run jobs, but nobody is left to take their outcomes


def _speak(connection: socket.socket) -> tuple[Outbox, Written]:
    """Send to the server what this process has to say, and what the functions in it log and print."""
    outbox = Outbox(connection)
    level = logging.getLevelNamesMapping()[os.environ.get("ASYNCJOB_LOG_LEVEL", LogLevel.INFO).upper()]
    written = Written(outbox, level)

    def let_go() -> None:
        written.close()
        outbox.close()

    let_go_in_children(let_go)
    Capture(written, level).start(replace_streams(written, attempt))
    logs.hand_over(level, lambda level, message, fields: outbox.send(Said(level, message, fields)))
    return outbox, written


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
