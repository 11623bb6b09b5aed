"""What some peers need beside Python: Redis and PostgreSQL, each started for one measurement and ended with it.

Both keep their defaults and new files. PostgreSQL refuses to run as root, so root starts it as another user. It listens
on a Unix socket in its own folder, where only that user and root can connect.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import running

START_SECONDS = 30
DEBIAN = Path("/usr/lib/postgresql")  # where Debian keeps each version's programs, away from the PATH


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no word of why")


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something that was started is there.

    Raises:
        TimeoutError: it is not, after `START_SECONDS`.
    """
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not start")
        time.sleep(0.01)


def accepts(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def redis() -> Iterator[tuple[str, int]]:
    """A Redis server: its address and its process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder]
        with running(command, folder) as process:
            wait_until(lambda: accepts(port), "Redis")
            yield f"redis://127.0.0.1:{port}/0", process.pid


def postgres_program(name: str) -> str | None:
    """Where one of PostgreSQL's programs is: on the PATH, or in the newest of Debian's folders."""
    folders = sorted(DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)]))


def as_another_user(folder: str) -> list[str]:
    """What to write before a command to run it as a user who is not root; the folder becomes that user's."""
    if os.geteuid() != 0:
        return []
    user = next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """A PostgreSQL server: its address and its process."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = as_another_user(folder)
        files = f"{folder}/files"
        initdb = [*prefix, str(postgres_program("initdb")), "-D", files, "--username", "postgres", "--auth", "trust"]
        done = subprocess.run(initdb, check=False, capture_output=True, text=True, cwd=folder)
        if done.returncode != 0:
            raise RuntimeError(f"initdb: {last_line(done.stderr)}")
        server = [*prefix, str(postgres_program("postgres")), "-D", files, "-k", folder, "-c", "listen_addresses="]
        ready = [str(postgres_program("pg_isready")), "--quiet", "--host", folder]
        with running(server, folder) as process:
            wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL")
            yield f"postgresql://postgres@/postgres?host={folder}", process.pid


class Service(NamedTuple):
    """One of them: the environment variable that tells a peer its address, the program that it needs, its start."""

    variable: str
    program: str
    found: Callable[[], str | None]
    start: Callable[[], AbstractContextManager[tuple[str, int]]]


SERVICES = {
    "redis": Service("REDIS_URL", "redis-server", lambda: shutil.which("redis-server"), redis),
    "postgres": Service("POSTGRES_URL", "postgres", lambda: postgres_program("postgres"), postgres),
}
