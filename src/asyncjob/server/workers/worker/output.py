"""What job functions print is written when a line is complete, and the rest of a line when the job ends.

Python keeps what is printed into a file or a pipe until there are 8 KB of it, and a worker may be killed before.
"""

import io
import sys
import threading
from contextlib import suppress
from typing import TextIO


class Output(io.TextIOWrapper):
    """A standard stream that is written by lines, and knows in which threads one is begun and not ended."""

    def __init__(self, stream: TextIO) -> None:
        encoding, errors = stream.encoding, stream.errors
        super().__init__(stream.detach(), encoding, errors, line_buffering=True)  # type: ignore[attr-defined]
        self._of_thread = threading.local()

    def write(self, text: str, /) -> int:
        written = super().write(text)
        self._of_thread.begun = not text.endswith("\n")
        return written

    def flush_rest(self) -> None:
        """Write what this thread has begun; the flush of one that printed nothing could wait for one that cannot."""
        if getattr(self._of_thread, "begun", False):
            self._of_thread.begun = False
            with suppress(Exception):  # nobody reads it any more, or there is no room for it
                self.flush()


def write_by_lines() -> list[Output]:
    """Have both standard streams written by lines, those of them that are open."""
    outputs = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            outputs.append(Output(stream))
            setattr(sys, name, outputs[-1])
            setattr(sys, f"__{name}__", outputs[-1])
    return outputs
