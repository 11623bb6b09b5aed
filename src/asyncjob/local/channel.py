"""What the server and a worker process say to each other, and how it is framed on their socket.

A frame is a length of four bytes and a MessagePack list of messages: whatever there is to say goes in one write, so a
thousand short jobs do not cost a thousand system calls. Both ends are this program; nothing here is read from outside.
"""

import struct

import msgspec

from asyncjob.job import Progress
from asyncjob.runner import Outcome

_LENGTH = struct.Struct("!I")


class Run(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the worker: run this attempt of a job."""

    job_id: str
    attempt: int
    type: str
    parameters: bytes
    traceparent: str | None


class Cancel(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the worker: what this attempt does is not wanted any more."""

    job_id: str
    attempt: int


class Ready(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: the functions are imported, jobs may come."""


class Noticed(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: it has read a Cancel, so its process is not stuck."""


class Advanced(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: a running job told its progress."""

    job_id: str
    attempt: int
    progress: Progress


class Ended(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: this attempt is over."""

    job_id: str
    attempt: int
    outcome: Outcome


Message = Run | Cancel | Ready | Noticed | Advanced | Ended

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


def pack(messages: list[Message]) -> bytes:
    """One frame that holds the messages."""
    body = _encoder.encode(messages)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Collects received bytes and gives back the messages of every frame that is complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Add what was read.

        Returns:
            The messages that are now complete, in the order in which they were sent.
        """
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            messages += _decoder.decode(memoryview(buffer)[start + _LENGTH.size : end].tobytes())
            start = end
        del buffer[:start]
        return messages
