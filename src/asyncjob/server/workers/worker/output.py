"""Writes what job functions print once a line is complete, and the rest of a line once the job ends.

Python would buffer up to 8 KB that is printed to a file or a pipe, and a worker may be killed before it writes them.
"""

import io
import sys
import threading
from contextlib import suppress
from typing import TextIO


class _OfThread(threading.local):
    """What each thread has written."""

    begun = False


class Output(io.TextIOWrapper):
    """A standard stream that is written by lines, and knows which threads have begun one and not ended it."""

    def __init__(self, stream: TextIO) -> None:
        encoding, errors = stream.encoding, stream.errors
        super().__init__(stream.detach(), encoding, errors, line_buffering=True)  # type: ignore[attr-defined]
        self._of_thread = _OfThread()

    def write(self, text: str, /) -> int:
        written = super().write(text)
        self._of_thread.begun = not text.endswith("\n")
        return written

    def flush_rest(self) -> None:
        """Write the line that this thread has begun; one that printed nothing must not wait for one that is blocked."""
        if self._of_thread.begun:
            self._of_thread.begun = False
            with suppress(Exception):  # nobody reads it any more, or the disk is full
                self.flush()


def write_by_lines() -> list[Output]:
    """Write both standard streams by lines, as far as they are open."""
    outputs = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            outputs.append(Output(stream))
            setattr(sys, name, outputs[-1])
            setattr(sys, f"__{name}__", outputs[-1])
    return outputs
