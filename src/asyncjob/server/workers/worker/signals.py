"""A worker ignores the signals that stop a server; the processes that its jobs fork do not.

Ctrl-C and service managers signal a whole process group at once, but the server alone decides when its workers stop.
"""

import os
import signal
import threading
from collections.abc import Callable

_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def ignore_stop_signals() -> None:
    """Do nothing on a stop signal. Not by SIG_IGN, which programs that a job starts would inherit."""
    for signum in _STOP_SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(signum, _ignore)


def _ignore(signum: int, frame: object) -> None:
    """Do nothing."""


def let_go_in_children(let_go: Callable[[], None]) -> None:
    """Have every process that a job forks let go of what is the worker's, and stop on stop signals again.

    The signals are blocked from before the fork until the child has its own handlers, so that none is lost.

    Args:
        let_go: called in each forked child.
    """
    masks = threading.local()

    def before() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def in_child() -> None:
        let_go()
        for signum in _STOP_SIGNALS:
            if signal.getsignal(signum) is _ignore:
                signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
