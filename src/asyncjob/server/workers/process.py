"""One worker process as the server sees it: start it, talk to it, notice its end.

What the process inherits is decided here: one socket, pipes for standard output and error, an environment without the
server's secrets, and a session of its own, so that Ctrl-C in the terminal reaches the server alone.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import IO, Self, cast

from asyncjob import forked
from asyncjob.server.settings import Settings
from asyncjob.server.workers import guard
from asyncjob.server.workers.channel import FromWorker, Message, Unbelievable, Unpacker, check, pack
from asyncjob.server.workers.lines import STREAMS
from asyncjob.server.workers.pipes import PipeReader, open_pipe

Printed = Callable[[str, list[str], int], None]

LAST_WORDS_SECONDS = 0.5  # for what a dead worker had sent, which may still lie in the socket
MAX_UNREAD_BYTES = 1 << 20  # that a worker may leave unread before it is not answered for a while
SECRETS = ("ASYNCJOB_API_KEY", "ASYNCJOB_NOTIFY_SECRET")  # not for job functions


class WorkerProcess(asyncio.Protocol):
    """The server's end of the socket to a worker. `start` makes one; nothing is read from it before `connect`.

    Attributes:
        pid: the process, which also leads a session of that id.
        nonsense: what the worker sent that none of our workers would, and why it is nonsense; nothing more is read.

    Args:
        process: as it was started.
        connection: the server's end.
        mark: in the environment of this worker alone; see guard.py.
        received: called with the messages that came, in order.
        ended: called once, after the last message, when the process is gone or has closed its end.
        printed: called with the name of a stream, lines from its pipe, and how many are left out after these.
        pipes: the ends to read, by the name of the stream.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        connection: socket.socket,
        mark: str,
        received: Callable[[list[FromWorker]], None],
        ended: Callable[[], None],
        printed: Printed,
        pipes: Mapping[str, IO[bytes]],
    ) -> None:
        self.pid = process.pid
        self.nonsense: str | None = None
        self._process = process
        self._connection = connection
        self._descriptor = connection.fileno()
        forked.keep_from_children(self._descriptor)
        self._mark = mark
        self._received = received
        self._ended = ended
        self._printed = printed
        self._pipes = pipes
        self._readers: list[PipeReader] = []
        self._unpacker = Unpacker()
        self._transport: asyncio.Transport | None = None
        self._noticing: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        settings: Settings,
        mark: str,
        received: Callable[[list[FromWorker]], None],
        ended: Callable[[], None],
        printed: Printed,
        number: int = 0,
    ) -> Self:
        """Start a process: a fresh interpreter (spawn, not fork), which imports the registry itself.

        Args:
            settings: of the server.
            mark: as above, like `received`, `ended` and `printed`.
            number: of its place among the workers.

        Raises:
            OSError: there are too many processes or open files.
        """
        with ExitStack() as ours, ExitStack() as theirs:
            connection, their_end = socket.socketpair()
            ours.enter_context(connection)
            theirs.enter_context(their_end)
            pipes: dict[str, IO[bytes]] = {}
            ends: dict[str, int] = {}
            for name in STREAMS:
                pipes[name], ends[name] = open_pipe()
                ours.enter_context(pipes[name])
                theirs.callback(os.close, ends[name])
            process = await _spawn(settings, mark, their_end.fileno(), ends, number)
            ours.pop_all()
        return cls(process, connection, mark, received, ended, printed, pipes)

    async def connect(self) -> None:
        """Read what the worker sends and notice its end, from now on."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=self._connection)
        for name, pipe in self._pipes.items():
            self._readers.append(await PipeReader.open(pipe, partial(self._printed, name)))
        self._noticing = loop.create_task(self._notice_end())

    async def _notice_end(self) -> None:
        """A dead worker's socket closes by itself, unless a process that a job started holds it open too."""
        await self._process.wait()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        if self._transport is not None:
            self._transport.abort()
        self._close_pipes()

    def _close_pipes(self) -> None:
        """Whoever has left the worker's family may hold them open, and finds them closed from now on."""
        for reader in self._readers:
            reader.close()
        for pipe in self._pipes.values() if not self._readers else ():
            pipe.close()

    def send(self, messages: list[Message]) -> None:
        """Hand messages over; if the process is gone they are lost, and `ended` is called."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(messages))

    @property
    def is_unread(self) -> bool:
        """Whether much that was sent still waits here for the process to read it."""
        return self._transport is not None and self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES

    def kill(self) -> None:
        """End the process at once; `ended` is called when it is over."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> int:
        """Wait for its end and end what its jobs have started; the exit status, negative for a signal."""
        status = await self._process.wait()
        await asyncio.to_thread(guard.end_left, self._mark, [self.pid])
        return status

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    async def close(self) -> None:
        """End the process and let go of it: nothing more is read, and `ended` is not called any more."""
        self._ended = _nobody_waits
        self.kill()
        await self.wait()
        if self._noticing is not None:
            self._noticing.cancel()
        if self._transport is not None:
            self._transport.abort()
        else:
            forked.forget(self._descriptor)
            self._connection.close()
        self._close_pipes()

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
        forked.forget(self._descriptor)
        self._ended()


def _nobody_waits() -> None:
    """Do nothing: the server has let go of the process."""


async def _spawn(
    settings: Settings, mark: str, socket_number: int, outputs: Mapping[str, int], number: int
) -> asyncio.subprocess.Process:
    # -P: what lies in the current folder must not stand in for a module of the standard library.
    command = [sys.executable, "-P", "-m", "asyncjob.server.workers.worker", str(socket_number), str(number)]
    command += [] if settings.target is None else [settings.target, *settings.path]
    inherited = {name: value for name, value in os.environ.items() if name not in SECRETS}
    own = {
        guard.VARIABLE: mark,
        "ASYNCJOB_LOG_FORMAT": settings.log_format,
        "ASYNCJOB_LOG_LEVEL": settings.log_level,
        **({} if settings.url is None else {"ASYNCJOB_URL": settings.url}),
    }
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=outputs["stdout"],
        stderr=outputs["stderr"],
        pass_fds=[socket_number],
        env=inherited | own,
        start_new_session=True,
    )
