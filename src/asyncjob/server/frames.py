"""Frames on a socket between two of our processes: a length of four bytes, and so many bytes."""

import struct

_LENGTH = struct.Struct("!I")


class TooLong(Exception):
    """A frame is longer than any may be; the message says how long."""


def frame(body: bytes) -> bytes:
    """The bytes with their length before them."""
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Collects received bytes and returns the body of every complete frame.

    Args:
        most: bytes that a body may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes that were read.

        Returns:
            The bodies that are now complete, in the order in which they were sent.

        Raises:
            TooLong: one says that it will be.
        """
        buffer = self._buffer
        buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > self._most:
                raise TooLong(f"a frame of {length:,} bytes")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            bodies.append(memoryview(buffer)[start + _LENGTH.size : end].tobytes())
            start = end
        del buffer[:start]
        return bodies
