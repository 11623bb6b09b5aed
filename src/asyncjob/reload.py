"""`asyncjob serve --reload`: the server as a child process, started again when a file of the job functions changes.

This process never imports the user's modules, so each server reads them afresh, and one that cannot be imported ends
only that server. The listener is opened here and inherited: a client's request waits while the server starts again.
"""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from asyncjob.commands.output import complain
from asyncjob.serve import listen, serve, stop_signals
from asyncjob.server.settings import Settings, SettingsError
from asyncjob.signature import RegistrationError

LOOK_SECONDS = 0.5  # between looks at the files
SETTLE_SECONDS = 0.1  # without a change, after which an editor has written everything
REFUSE_SECONDS = 0.2  # for the request of a client that is refused
MAX_FILES = 10_000
UNLOADABLE = 3  # how a server exits whose functions cannot be loaded

_SAID = b'{"message":"the job functions cannot be loaded; the terminal of asyncjob serve says why"}'
UNLOADED = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_SAID), _SAID)
)

Seen = dict[str, tuple[int, int, int]]
"""Of each file: when it was changed, its size, and which file it is (editors replace it)."""


def serve_reloading(settings: Settings) -> None:
    """Serve, and start again whenever a Python file in the target's folder, or below it, has changed.

    It returns in each server, when that is done. Here it exits, with the status of the last server.

    Raises:
        SettingsError: there is no target.
        AddressError: the address cannot be listened on.
        Unusable: in a server, as `serve` does.
    """
    if settings.target is None:
        raise SettingsError(
            "--reload needs job functions to look at: name a file, as in asyncjob serve mine.py --reload"
        )
    with listen(settings) as listener:
        Reloader(settings, _folder(settings.target), listener).run()


class Reloader:
    """The process that starts servers, one after the other.

    Args:
        settings: of each server.
        folder: where the files are.
        listener: of all servers.
    """

    def __init__(self, settings: Settings, folder: Path, listener: socket.socket) -> None:
        self._settings = settings
        self._folder = folder
        self._listener = listener
        self._child = 0
        self._link: socket.socket | None = None
        self._told = False  # the server, to stop
        self._stopping = False

    def run(self) -> None:
        """Start servers until a signal, or until one ends for a reason that no change of a file removes."""
        before = {signum: signal.signal(signum, self._forward) for signum in stop_signals()}
        while not self._stopping:
            seen = _files(self._folder)
            if self._start(before):
                self._serve()
                return
            changed = self._wait(seen)
            status = self._end()
            if self._stopping or (not changed and status != UNLOADABLE):
                sys.exit(status)
            if not changed:
                complain("the server starts again when a file changes")
                changed = self._wait(seen)
            if changed:
                complain(f"{changed} has changed: the server starts again")

    def _start(self, before: dict[signal.Signals, Any]) -> bool:
        """Start a server. True in that process, which handles signals as before and ends when this one does."""
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, before)  # until it is clear whose they are
        self._child = os.fork()
        if is_server := self._child == 0:
            os.setpgid(0, 0)  # Ctrl-C goes to the other process, which forwards it once
            for signum, handler in before.items():
                signal.signal(signum, handler)
            ours.close()
            threading.Thread(target=_end_with, args=[theirs], daemon=True).start()
        else:
            theirs.close()
            self._link, self._told = ours, False
        signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
        return is_server

    def _serve(self) -> None:
        # Compiled files are told apart by the second and the size: a quick change of a digit would not be seen.
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # for the workers
        try:
            serve(self._settings, self._listener)
        except RegistrationError as error:
            complain(error)
            sys.exit(UNLOADABLE)

    def _wait(self, seen: Seen) -> str:
        """Wait for a file to change, and for no further change; its name. Empty after a signal or the server's end."""
        while not self._stopping:
            if self._link is not None and select.select([self._link], [], [], LOOK_SECONDS)[0]:
                return ""
            if self._link is None:
                self._refuse(LOOK_SECONDS)
            now = _files(self._folder)
            if now != seen:
                changed = min(name for name in now.keys() | seen.keys() if now.get(name) != seen.get(name))
                last: Seen = {}
                while now != last:
                    time.sleep(SETTLE_SECONDS)
                    last, now = now, _files(self._folder)
                return os.path.relpath(changed, self._folder)
        return ""

    def _refuse(self, seconds: float) -> None:
        """For so long, answer whoever connects that there is no server: nobody should wait for a file to change."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and select.select([self._listener], [], [], left)[0]:
            with suppress(OSError):
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(REFUSE_SECONDS)
                    connection.recv(1 << 16)  # a close with unread bytes would lose the answer
                    connection.sendall(UNLOADED)

    def _end(self) -> int:
        """End the server gently, if it has not ended; its exit status, as a shell tells it."""
        assert self._link is not None
        if not self._told:
            self._send(signal.SIGTERM)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        self._link.close()
        self._link = None
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return code
        if self._told and -code in stop_signals():  # before it could handle any
            return 0
        complain(f"the server was killed by {signal.Signals(-code).name}")
        return 128 - code

    def _forward(self, signum: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._send(signum)

    def _send(self, signum: int) -> None:
        if self._child:
            self._told = True
            with suppress(ProcessLookupError):
                os.kill(self._child, signum)


def _end_with(link: socket.socket) -> None:
    """Stop this server when the process that started it is gone."""
    link.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _folder(target: str) -> Path:
    """Where a target's modules are: beside its file, or below the current folder."""
    source = target.partition(":")[0]
    return Path(os.path.realpath(source)).parent if source.endswith(".py") else Path.cwd()


def _files(folder: Path) -> Seen:
    seen = {}
    for path in _python_files(folder):
        try:
            found = os.stat(path)
        except OSError:  # it is being replaced
            continue
        seen[path] = (found.st_mtime_ns, found.st_size, found.st_ino)
        if len(seen) == MAX_FILES:
            break
    return seen


def _python_files(folder: Path) -> Iterator[str]:
    """The Python files in a folder and below it, but not those of an environment or of a tool."""
    for place, folders, names in os.walk(folder):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = sorted(each for each in folders if each[0] != "." and each not in ("__pycache__", "node_modules"))
        yield from (os.path.join(place, name) for name in sorted(names) if name.endswith(".py"))
