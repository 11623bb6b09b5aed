"""Descriptors that no process forked from this one may hold open: locks, and connections whose end means something.

`asyncjob serve` forks nothing, and what is executed inherits nothing. But an application that we are mounted in may
fork, as multiprocessing does. A child would then keep the lock of a database whose owner is dead, and its end of
connections, at which others wait to see the owner's end.
"""

import os
from contextlib import suppress

_own: set[int] = set()


def keep_from_children(descriptor: int) -> None:
    """Close it in each child that is forked from now on, until `forget`."""
    _own.add(descriptor)


def forget(descriptor: int) -> None:
    """It is about to be closed, and its number may soon be another's."""
    _own.discard(descriptor)


def _close() -> None:
    for descriptor in _own:
        with suppress(OSError):
            os.close(descriptor)
    _own.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close)
