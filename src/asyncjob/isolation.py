"""What a job function finds around it: what the module set at its import, and nothing that a job before it left there.

Its own, for each job: context variables and the decimal context. Put back after each job: the current folder and the
umask. Linux lets each thread have these two for itself, so that jobs in other threads do not see the change either.
What else a whole process shares (the environment, the locale, warning filters, `sys.stdout`) is shared by its jobs.
"""

import contextvars
import decimal
import os
import sys
from contextlib import suppress

_CLONE_FS = 0x200  # from <linux/sched.h>


class Isolation:
    """Make it once the module of the job functions is imported."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._decimal = decimal.getcontext().copy()  # a context variable too, but its value is changed in place
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._folder: int | None = None
        with suppress(OSError):
            self._folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)

    def context(self) -> contextvars.Context:
        """A context for one job."""
        context = self._context.copy()
        context.run(decimal.setcontext, self._decimal.copy())
        return context

    def restore(self) -> None:
        """Put back what the job changed that has just ended in this thread."""
        os.umask(self._umask)
        if self._folder is not None:
            with suppress(OSError):
                os.fchdir(self._folder)

    @staticmethod
    def separate_thread() -> None:
        """Give the current thread a folder and a umask of its own, where the system can."""
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).unshare(_CLONE_FS)  # some containers forbid it; then the threads share them
