"""The standard streams of a worker: what is printed becomes lines of the attempt that prints it.

What does not come through here (a child process, C code, a fork) writes to the descriptors, which are pipes to the
server. All jobs share the two streams, so none can close them for the others.
"""

import codecs
import io
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from asyncjob.server.workers.channel import AttemptKey
from asyncjob.server.workers.worker.written import Written


class Output(io.TextIOBase):
    """A standard stream. In a process that a job forked it writes to its descriptor, as any other would.

    Args:
        stream: as Python has made it.
        name: `stdout` or `stderr`.
        written: where the lines go.
        attempt: says whose code runs.

    Attributes:
        leaves_out: whether what is written now is a line already.
    """

    def __init__(self, stream: TextIO, name: str, written: Written, attempt: Callable[[], AttemptKey]) -> None:
        self.leaves_out: Callable[[], bool] = lambda: False
        self._stream = stream
        self._name = name
        self._written = written
        self._attempt = attempt
        self._buffer = _Bytes(self, stream)

    def write(self, text: str, /) -> int:
        """Write text."""
        if self._written.closed:
            return self._stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not self.leaves_out():
            self._written.write(self._attempt(), self._name, str(text))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back but a line that is not whole."""
        if self._written.closed:
            self._stream.flush()

    def close(self) -> None:
        """Do nothing: the stream is not one job's."""

    def detach(self) -> "_Bytes":  # type: ignore[override]
        """The stream of bytes; this one can still be used."""
        return self._buffer

    def reconfigure(self, **options: object) -> None:
        """Do nothing: what is written is never encoded here."""

    def fileno(self) -> int:
        """The descriptor, for a child process."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """True."""
        return True

    @property
    def name(self) -> str:
        """As Python names it."""
        return f"<{self._name}>"

    @property
    def mode(self) -> str:
        """As Python has it."""
        return "w"

    @property
    def buffer(self) -> "_Bytes":
        """The stream of bytes."""
        return self._buffer

    @property
    def line_buffering(self) -> bool:
        """True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the descriptor."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """As Python has it."""
        return self._stream.errors


class _Decoder(threading.local):
    """Of each thread, since one may write half of a character."""

    def __init__(self) -> None:
        self.decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode


class _Bytes(io.BufferedIOBase):
    """The same for bytes: `sys.stdout.buffer`."""

    def __init__(self, output: Output, stream: TextIO) -> None:
        self._output = output
        self._stream = stream
        self._decoder = _Decoder()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        content = bytes(data)
        if self._output._written.closed:
            return self._stream.buffer.write(content)
        self._output.write(self._decoder.decode(content))
        return len(content)

    def flush(self) -> None:
        self._output.flush()

    def close(self) -> None:
        """Do nothing."""

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True


def replace_streams(written: Written, attempt: Callable[[], AttemptKey]) -> list[Output]:
    """Have both standard streams write lines."""
    outputs = [Output(getattr(sys, name), name, written, attempt) for name in ("stdout", "stderr")]
    for output, name in zip(outputs, ("stdout", "stderr"), strict=True):
        setattr(sys, name, output)
        setattr(sys, f"__{name}__", output)
    return outputs


def write_through() -> None:
    """Have text streams that a module has put around the bytes of ours keep nothing back: for a pipe, Python would."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and isinstance(stream.buffer, _Bytes):
            stream.reconfigure(write_through=True)
