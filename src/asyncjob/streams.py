"""Standard input, output and error of a process of ours: each is open, and none is why something else ends.

A process may be started with one of them closed. The next file or socket that it opens takes the place, and what is
printed then goes there: so /dev/null takes it first. And what is printed may find no room, or nobody who reads it. A
server or a worker goes on without it; a command of which it is the purpose ends with `OutputLost`.
"""

import io
import os
import sys
from typing import TextIO

INPUT, OUTPUT, ERROR = 0, 1, 2


class OutputLost(Exception):
    """Standard output takes no more; `error` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write the output: {error.strerror}")
        self.error = error


class _Descriptor(io.FileIO):
    """A descriptor that fails once at most, and then takes everything: the interpreter writes to it again at its end.

    Attributes:
        patient: whether it does not even fail once.
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
    """Open what is closed, and have what cannot be written end nothing: of a command before anything else is opened.

    Args:
        output_matters: whether standard output that cannot be written raises OutputLost, once.
    """
    for descriptor in (INPUT, OUTPUT, ERROR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free is this one
    if sys.stdin is None:
        sys.stdin = open(INPUT, closefd=False)  # noqa: SIM115
    sys.stdout = _text(sys.stdout, OUTPUT, patient=not output_matters)
    sys.stderr = _text(sys.stderr, ERROR, patient=True)


def _text(earlier: TextIO | None, descriptor: int, *, patient: bool) -> TextIO:
    at_once = getattr(earlier, "write_through", False)  # as -u and PYTHONUNBUFFERED have it
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor, patient)),
        encoding=getattr(earlier, "encoding", None),
        errors="backslashreplace",  # a terminal of another encoding, a file name that is no text
        line_buffering=descriptor == ERROR or getattr(earlier, "line_buffering", False),
        write_through=at_once,
    )


def flush() -> None:
    """Write what is left of both.

    Raises:
        OutputLost: standard output takes no more, and it matters.
    """
    for stream in (sys.stderr, sys.stdout):
        if not stream.closed:
            stream.flush()
