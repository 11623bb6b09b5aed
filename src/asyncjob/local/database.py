"""The SQLite file: who may open it, whether it is ours, its schema, and how connections to it are set.

Nothing here knows what a job is; store.py says what is written, writer.py when.
"""

import fcntl
import os
import re
import sqlite3
from importlib import resources
from pathlib import Path

from asyncjob.job import TRANSITIONS, Transition

APPLICATION_ID = 0x4A4F4253  # "JOBS", in the file's header: tells our files from everybody else's
SCHEMA_VERSION = 5
OLDEST_SQLITE = (3, 38, 0)  # the first with the operator ->>
BUSY_TIMEOUT_MS = 5_000  # a reader of the file outside this process may hold it for a moment


class DatabaseError(Exception):
    """The file cannot be used; the message says why, and what to do."""


def statements() -> dict[str, str]:
    """The SQL of statements.sql by name, with the transitions' guards filled in."""
    text = resources.files("asyncjob.local").joinpath("statements.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: _fill(name, sql.strip()) for name, sql in zip(parts[::2], parts[1::2], strict=True)}


def _fill(name: str, sql: str) -> str:
    sql = sql.replace("{claimed}", f"'{TRANSITIONS['claim'].target}'")
    transition = TRANSITIONS.get(name)
    if transition is None:
        return sql
    sources = ", ".join(f"'{status}'" for status in sorted(transition.sources))
    source = f"status IN ({sources})"
    return (
        sql.replace("{set}", _set(transition))
        .replace("{guard}", f"job_id = :job_id AND attempt = :attempt AND {source}")
        .replace("{from}", source)
    )


def _set(transition: Transition) -> str:
    target = f"status = '{transition.target}'"
    return f"{target}, attempt = attempt + 1" if transition.next_attempt else target


class Database:
    """One SQLite file, held by this process alone for as long as this object is open.

    Raises:
        DatabaseError: another server has it, it is not ours, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            needed = ".".join(map(str, OLDEST_SQLITE))
            raise DatabaseError(f"this Python has SQLite {sqlite3.sqlite_version}; {needed} or newer is needed")
        self.path = path.resolve()
        self._lock = self._acquire_lock()
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def connect(self) -> sqlite3.Connection:
        """A further connection, in autocommit mode, to be used by one thread at a time."""
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
        connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        return connection

    def close(self) -> None:
        """Give the file up to another server. Connections are closed by who opened them."""
        os.close(self._lock)

    def _acquire_lock(self) -> int:
        # A file of its own: SQLite's locks on the database would be lost when another descriptor of it is closed.
        # The kernel drops the lock with the process, however that ends.
        try:
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DatabaseError(f"cannot open {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(lock, 20).decode().strip() or "unknown"
            os.close(lock)
            raise DatabaseError(
                f"{self.path} is in use by another server (process {owner}): stop it, or choose another --database"
            ) from None
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        return lock

    def _migrate(self) -> None:
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # it holds everybody's parameters and results
            connection = self.connect()
            try:
                self._check_owner(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                self._upgrade(connection)
            finally:
                connection.close()
        except (sqlite3.DatabaseError, OSError) as error:
            raise DatabaseError(f"cannot use {self.path} as the database: {error}") from None

    def _check_owner(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id != APPLICATION_ID and (application_id or tables):
            raise DatabaseError(f"{self.path} is a database of another program: choose another --database")

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise DatabaseError(
                f"{self.path} has schema {version}, from a newer version; this one knows {SCHEMA_VERSION}: upgrade"
            )
        sql = statements()
        for step in range(version + 1, SCHEMA_VERSION + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE; {sql[f'schema_{step}']}\n"  # which may end with a comment
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step}; COMMIT;"
            )
