"""Keeps standard input, output and error open, and keeps a failure to write to them from ending anything else.

A process may be started with one of them closed. Then the next file or socket that it opens takes that number, and
whatever is printed goes there; so /dev/null takes it first. And a disk may be full, or a reader gone. A server or a
worker goes on without its output; a command whose purpose is its output ends with `OutputLost`.
"""

import io
import os
import sys
from typing import TextIO

INPUT, OUTPUT, ERROR = 0, 1, 2


class OutputLost(Exception):
    """Standard output cannot be written; `error` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write the output: {error.strerror}")
        self.error = error


class _Descriptor(io.FileIO):
    """A descriptor that fails at most once and then drops everything: the interpreter writes to it again at its end.

    Attributes:
        patient: whether it does not fail even once.
    """

    def __init__(self, descriptor: int, patient: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.patient = patient

    def write(self, data) -> int | None:  # type: ignore[no-untyped-def,override]  # noqa: ANN001  # any buffer
        try:
            return super().write(data)
        except OSError as error:
            if not self.patient:
                self.patient = True
                raise OutputLost(error) from None
            return len(data)


def settle(*, output_matters: bool) -> None:
    """Open the streams that are closed, and let failing writes end nothing. Call it before anything else is opened.

    Args:
        output_matters: whether a failure to write standard output raises OutputLost, once.
    """
    for descriptor in (INPUT, OUTPUT, ERROR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(INPUT, closefd=False)  # noqa: SIM115
    # Python's other names for them keep them open, too: a module may put another text stream around their bytes.
    sys.stdout = sys.__stdout__ = _text(sys.stdout, OUTPUT, patient=not output_matters)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(sys.stderr, ERROR, patient=True)  # type: ignore[misc]


def _text(earlier: TextIO | None, descriptor: int, *, patient: bool) -> io.TextIOWrapper:
    at_once = getattr(earlier, "write_through", False)  # -u and PYTHONUNBUFFERED set it
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor, patient)),
        encoding=getattr(earlier, "encoding", None),
        errors="backslashreplace",  # for a terminal of another encoding, a file name that is not text
        line_buffering=descriptor == ERROR or getattr(earlier, "line_buffering", False),
        write_through=at_once,
    )


def flush() -> None:
    """Write what is buffered for standard output and error.

    Raises:
        OutputLost: standard output cannot be written, and it matters.
    """
    for name in ("stderr", "stdout"):
        stream = getattr(sys, name)
        try:
            if not stream.closed:
                stream.flush()
        except OutputLost:
            raise
        except Exception:  # of a stream that a user's module has put there; the interpreter would meet it again
            setattr(sys, name, None)
