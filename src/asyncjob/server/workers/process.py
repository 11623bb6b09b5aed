"""One worker process as the server sees it: start it, talk to it, notice its end.

What the process inherits is decided here: one socket, standard output and error, an environment without the server's
secrets, and a session of its own, so that a Ctrl-C in the terminal is the server's business alone.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from asyncjob.server.settings import Settings
from asyncjob.server.workers import guard
from asyncjob.server.workers.channel import FromWorker, Message, Unbelievable, Unpacker, check, pack

LAST_WORDS_SECONDS = 0.5  # what a dead worker had sent may still lie in the socket
SECRETS = ("ASYNCJOB_API_KEY", "ASYNCJOB_NOTIFY_SECRET")  # job functions are not to have them


class WorkerProcess(asyncio.Protocol):
    """The server's end of the socket to a worker.

    Attributes:
        pid: the process; the id of its session too.
        nonsense: what the worker sent that no worker of ours would send, and why; it gets no further hearing.

    Args:
        settings: of the server.
        mark: of this worker alone, for its environment; see guard.py.
        received: called with the messages that came, in order.
        ended: called once, after the last message, when the process is gone or has closed its end.
    """

    def __init__(
        self,
        settings: Settings,
        mark: str,
        received: Callable[[list[FromWorker]], None],
        ended: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._mark = mark
        self._received = received
        self._ended = ended
        self._unpacker = Unpacker()
        self.nonsense: str | None = None

    async def start(self) -> None:
        """Start the process: a fresh interpreter (spawn, not fork), which imports the registry itself.

        Raises:
            OSError: there are too many processes or open files.
        """
        loop = asyncio.get_running_loop()
        target = self._settings.target
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: what lies in the current folder must not stand in for a module of the standard library.
            command = [sys.executable, "-P", "-m", "asyncjob.server.workers.worker", str(theirs.fileno())]
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    *([] if target is None else [target]),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=self._environment(),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self.pid = self._process.pid
        self._transport, _ = await loop.create_connection(lambda: self, sock=ours)
        self._watch = loop.create_task(self._notice_end())

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in SECRETS}
        return inherited | {
            guard.VARIABLE: self._mark,
            "ASYNCJOB_LOG_FORMAT": self._settings.log_format,
            "ASYNCJOB_LOG_LEVEL": self._settings.log_level,
        }

    async def _notice_end(self) -> None:
        """The socket of a dead worker closes by itself, unless a process that a job started holds it open too."""
        await self._process.wait()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        self._transport.abort()

    def send(self, messages: list[Message]) -> None:
        """Hand messages over; they are lost if the process is gone, and then `ended` is called."""
        if not self._transport.is_closing():
            self._transport.write(pack(messages))

    def kill(self) -> None:
        """End the process at once; `ended` is called when it is over."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> int:
        """Wait for its end, and end what its jobs have started; the exit status, negative for a signal."""
        status = await self._process.wait()
        await asyncio.to_thread(guard.end_left, self._mark, [self.pid])
        return status

    def data_received(self, data: bytes) -> None:
        if self.nonsense is not None:
            return
        try:
            messages = check(self._unpacker.feed(data))
        except Unbelievable as error:
            self.nonsense = str(error)
            self.kill()
        else:
            self._received(messages)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()
