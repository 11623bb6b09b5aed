"""The socket beside the database, where the process that owns it listens for the others of its application.

It is for this user alone. Only the owner, who has the file's lock, makes or removes it: what lies there already when it
comes is stale.
"""

import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asyncjob import forked
from asyncjob.store import Unusable

MAX_PATH = 107  # bytes of a socket's path, which the system allows
MAX_NAME = 80  # bytes of the name alone, so that there is always a way to it that is short enough
BACKLOG = 2_048  # connections that may wait to be accepted
OWNER_ONLY = 0o600


def address_of(database: Path) -> str:
    """The path of the socket; the database may be a link, and its name too long for a socket's."""
    folder, name = os.path.split(os.path.realpath(database))
    if len(os.fsencode(name)) > MAX_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return os.path.join(folder, f"{name}.sock")


def listen(address: str) -> socket.socket:
    """Listen there. Nobody can connect before the socket is this user's alone.

    Raises:
        Unusable: it is not possible.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove(address)
        with _short(address) as path:
            listener.bind(path)
        os.chmod(address, OWNER_ONLY)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        forked.keep_from_children(listener.fileno())
    except OSError as error:
        listener.close()
        raise Unusable(f"cannot listen on {address}: {error.strerror or error}") from None
    return listener


def look(address: str) -> tuple[int, int] | None:
    """Which file lies there, if one does."""
    try:
        found = os.lstat(address)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove(address: str) -> None:
    """Take the socket away.

    Raises:
        OSError: something else lies there, or it cannot be taken away.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(address).st_mode):
            raise FileExistsError(0, "there is something that is no socket: take it away")
        os.unlink(address)


def connect(address: str) -> socket.socket:
    """Connect to who listens there.

    Raises:
        OSError: nobody does.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)  # if many wait to be accepted, this fails at once
        with _short(address) as path:
            connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _short(address: str) -> Iterator[str]:
    """Another way to the same place if the path is too long: through its folder's descriptor."""
    if len(os.fsencode(address)) <= MAX_PATH:
        yield address
        return
    folder = os.open(os.path.dirname(address), getattr(os, "O_PATH", os.O_RDONLY))
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(address)}"
    finally:
        os.close(folder)
