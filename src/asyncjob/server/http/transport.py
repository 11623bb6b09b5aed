"""What lies between uvicorn and a connection: when its answers leave, and how it ends."""

import asyncio
from collections.abc import Callable
from typing import Any

LINGER_SECONDS = 2.0  # a client that still sends when it is refused gets so long to read why
COPIED_BYTES = 65_536  # answers up to this size leave in one packet; larger ones are not copied for that


class GatheringTransport:
    """A transport that sends what one iteration of the event loop writes at once, and that closes gently.

    uvicorn writes the head and the body of an answer separately and uvloop makes a system call of each: two packets,
    and two wake-ups of the client, for one small answer.

    Args:
        transport: the real one.
        is_sending: whether the client is in the middle of a request. To close then at once would have the system
            throw away the answer that the client has not read yet.
    """

    def __init__(self, transport: asyncio.Transport, is_sending: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._is_sending = is_sending
        self._written: list[bytes] = []
        self._lingers = False

    def write(self, data: bytes) -> None:
        self._written.append(data)
        if len(self._written) == 1:
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        if self._written and not self.is_closing():
            if sum(map(len, self._written)) > COPIED_BYTES:
                self._transport.writelines(self._written)
            else:
                self._transport.write(b"".join(self._written))
        self._written = []

    def is_closing(self) -> bool:
        return self._lingers or self._transport.is_closing()

    def close(self) -> None:
        self._send()
        if self._lingers or self._transport.is_closing() or not self._is_sending():
            self._transport.close()
            return
        self._lingers = True
        self._transport.resume_reading()
        self._transport.write_eof()
        self._loop.call_later(LINGER_SECONDS, self._transport.close)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
