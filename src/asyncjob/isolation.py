"""What a job function finds around it: what its module's import has set, and nothing that an earlier job left.

Each job has its own context variables and decimal context. The current folder and the umask are put back after each
job; on Linux each thread has its own of these two, so that jobs in other threads do not see a change either. The
standard streams are put back once no job runs, since those that run may have replaced them for a while. Everything else
that a process shares (the environment, the locale, warning filters, loggers) is shared by its jobs.
"""

import contextvars
import decimal
import os
import sys
from contextlib import suppress

_CLONE_FS = 0x200  # from <linux/sched.h>


class Isolation:
    """What the import of the job functions has left. Make it right after that import."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        # Also a context variable, but its value is changed in place. If the import has not asked for it, there is none
        # yet, and each job's context gets its own from `decimal` when the job asks.
        self._decimal = next((value for value in self._context.values() if isinstance(value, decimal.Context)), None)
        self._streams = sys.stdout, sys.stderr
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._folder: int | None = None
        with suppress(OSError):
            self._folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)

    def context(self) -> contextvars.Context:
        """A context for one job."""
        context = self._context.copy()
        if self._decimal is not None:
            context.run(decimal.setcontext, self._decimal.copy())
        return context

    def restore(self) -> None:
        """Undo what the job that has just ended in this thread has changed."""
        os.umask(self._umask)
        if self._folder is not None:
            self._go_back(self._folder)

    @staticmethod
    def _go_back(folder: int) -> None:
        """Not with `suppress`, which costs more than the call."""
        try:
            os.fchdir(folder)
        except OSError:
            return

    def restore_streams(self) -> None:
        """Undo what jobs have done to `sys.stdout` and `sys.stderr`. Call it while none runs."""
        sys.stdout, sys.stderr = self._streams

    @staticmethod
    def separate_thread() -> None:
        """Give the current thread its own folder and umask, if the system can."""
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).unshare(_CLONE_FS)  # if a container forbids it, the threads share them
