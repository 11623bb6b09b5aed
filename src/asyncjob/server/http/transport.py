"""Between uvicorn and a socket: answers leave in one packet, and a connection ends without losing its last one."""

import asyncio
from collections.abc import Callable
from typing import Any

LINGER_SECONDS = 2.0  # for a client that is still sending to read why its connection ends
COPIED_BYTES = 65_536  # larger answers are not copied to leave in one write


class GatheringTransport:
    """A transport that joins what one iteration of the event loop writes, and that closes gently.

    uvicorn writes the head and the body of an answer separately, and uvloop makes a system call of each: two packets
    for one small answer, which wake the client twice.

    Args:
        transport: the real one.
        is_sending: whether the client is in the middle of a request. If the connection were closed at once then, the
            system would throw away the answer that the client has not read yet.
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

    def write_whole(self, answer: bytes) -> None:
        """Write an answer that nothing follows."""
        if self._written:
            self.write(answer)
        elif not (self._lingers or self._transport.is_closing()):
            self._transport.write(answer)

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
