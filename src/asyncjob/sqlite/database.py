"""The SQLite file: locking it, checking that it is ours, upgrading its schema, and connecting to it.

Nothing here knows what a job is: store.py says what is written, writer.py when.
"""

import errno
import fcntl
import os
import re
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

from asyncjob import forked
from asyncjob.sqlite.statements import MIGRATIONS, SQL
from asyncjob.store import InUse, Unusable

APPLICATION_ID = 0x4A4F4253  # "JOBS", in the file's header: marks our files
SCHEMA_VERSION = len(MIGRATIONS)
OLDEST_SQLITE = (3, 38, 0)  # the first with the operator ->>
PARTS = ("-wal", "-shm", "-journal")  # the files that SQLite keeps beside the database
OWNER_ONLY = 0o600  # the file holds all parameters and results
OWNER = re.compile(rb"\d*\n?")  # what our lock files contain
COUNTER = slice(24, 28)  # in the file's header: a number that grows with each change
BUSY_TIMEOUT_MS = 5_000  # another process may lock the file for a moment
WAL_BYTES = 64 << 20  # to which the -wal shrinks after a long reader, such as a backup, has let it grow


def check_kind(path: str | Path) -> None:
    """Refuse a path that is not an ordinary file before it is opened: to open a pipe or a device is to use it.

    Raises:
        Unusable: there is a link, a folder, a pipe or a device.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        raise Unusable(f"{path} is no ordinary file, and is left alone: choose another name, or take it away")


class Database:
    """One SQLite file, which no other server can open while this object is open.

    There are two locks. The lock on a file beside the database protects the name, and so the names of the files that
    SQLite puts beside it, even if the name leads to another file in the meantime. The lock on the database itself
    protects the file, whatever its name.

    Args:
        path: the file.
        create: whether to make it if it does not exist, or is empty.

    Raises:
        InUse: another server has the file.
        Unusable: it is not ours, or it cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            needed = ".".join(map(str, OLDEST_SQLITE))
            raise Unusable(f"this Python has SQLite {sqlite3.sqlite_version}; {needed} or newer is needed")
        self.path = Path(os.path.realpath(path))
        self._create = create
        for part in ("", ".lock", *PARTS):
            check_kind(f"{self.path}{part}")
        self._lock = self._lock_name()
        try:
            self._file = self._lock_file()
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self._connection = self._migrate()
        except BaseException:
            self._unlock()
            raise
        for descriptor in (self._file, self._lock):
            forked.keep_from_children(descriptor)
        self._wal = _identity(f"{self.path}-wal")  # it exists as long as there is a connection
        self._counter = self._header()[COUNTER]

    def connect(self) -> sqlite3.Connection:
        """Open another connection, in autocommit mode, for one thread at a time."""
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Let other servers open the file. Whoever opened another connection must have closed it before."""
        self._connection.close()
        self._unlock()

    def gather(self) -> None:
        """Copy the contents of the -wal into the file itself, through the open descriptors.

        If the file was moved, SQLite would leave the -wal behind, to be applied to whatever file has the name next.
        """
        if not self._is_overwritten():
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _unlock(self) -> None:
        for descriptor in (self._file, self._lock):
            forked.forget(descriptor)
            os.close(descriptor)

    def fault(self) -> str | None:
        """What has happened to the file, if somebody has moved it, deleted it or written over it.

        SQLite would go on with the files that it has open, and everything that it saves would be lost with them. This
        costs a few system calls and reads 72 bytes.
        """
        try:
            return self._fault()
        except OSError:
            return None  # we cannot tell at the moment

    def _fault(self) -> str | None:
        ours = os.fstat(self._file)
        if _identity(self.path) != (ours.st_dev, ours.st_ino):
            return f"{self.path} was moved, deleted or replaced while it was served"
        if _identity(f"{self.path}-wal") != self._wal:
            return f"{self.path}-wal, a part of the database, was moved, deleted or replaced while it was served"
        if self._is_overwritten():
            return f"{self.path} was written over while it was served: if by a copy, restore that again"
        return None

    def _is_overwritten(self) -> bool:
        header = self._header()
        if not _is_ours(header) or header[COUNTER] < self._counter:  # an older copy has a smaller one
            return True
        self._counter = header[COUNTER]
        return False

    @property
    def leaves_neighbours_alone(self) -> bool:
        """True if closing the last connection deletes no other database's -wal, since SQLite deletes it by name."""
        return _identity(f"{self.path}-wal") in (None, self._wal)

    def _header(self) -> bytes:
        return os.pread(self._file, 72, 0)

    def _lock_name(self) -> int:
        # The kernel drops both locks when the process ends, however it ends.
        path = f"{self.path}.lock"
        lock = self._open(path)
        try:
            said = os.read(lock, 21)
            if os.fstat(lock).st_nlink > 1 or not OWNER.fullmatch(said):
                raise Unusable(f"{path} is no lock file of this program, and is left alone: take it away")
            self._lock_now(lock, f"process {said.decode().strip() or 'unknown'}")
            os.truncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _lock_file(self) -> int:
        """Lock the file itself. SQLite's own locks are of another kind and do not conflict with this one.

        But SQLite's locks are lost if any descriptor of the file is closed. So this one is opened before the first
        connection and closed after the last.
        """
        file = self._open(self.path, create=self._create)
        try:
            self._lock_now(file, "under another name, a hard link")
        except BaseException:
            os.close(file)
            raise
        return file

    def _open(self, path: str | Path, *, create: bool = True) -> int:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_CREAT if create else 0)
        try:
            return os.open(path, flags, OWNER_ONLY)
        except OSError as error:
            raise Unusable(f"cannot open {self.path}: {error.strerror}") from None

    def _lock_now(self, descriptor: int, owner: str) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise Unusable(
                    f"{self.path} cannot be locked: {error.strerror}; choose a database on a disk of this machine"
                ) from None
            raise InUse(
                f"{self.path} is in use by another server ({owner}): stop it, or choose another database"
            ) from None

    def _migrate(self) -> sqlite3.Connection:
        """Bring the file to our schema; a connection to it, which keeps its -wal in existence."""
        try:
            connection = self.connect()
            try:
                self._check_owner(connection)
                self._keep_private()
                connection.execute("PRAGMA journal_mode = WAL")
                self._upgrade(connection)
            finally:
                connection.close()
            connection = self.connect()
            connection.execute(SQL["find_status"], {"job_id": ""}).fetchone()
        except (sqlite3.DatabaseError, OSError) as error:
            raise Unusable(f"cannot use {self.path} as the database: {error}") from None
        return connection

    def _check_owner(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute(SQL["count_tables"]).fetchone()
        if application_id != APPLICATION_ID and (application_id or tables):
            raise Unusable(f"{self.path} is a database of another program: choose another database")
        if application_id != APPLICATION_ID and not self._create:
            raise Unusable(f"{self.path} is empty, and is not the database that was there")

    def _keep_private(self) -> None:
        """Take away the access that an earlier umask, a copy or a restore may have given to others."""
        os.fchmod(self._file, OWNER_ONLY)  # SQLite gives the same mode to the files beside it
        for part in PARTS:  # by name, since closing a descriptor of theirs would drop SQLite's locks
            with suppress(FileNotFoundError):
                os.chmod(f"{self.path}{part}", OWNER_ONLY)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise Unusable(
                f"{self.path} has schema {version}, from a newer version; this one knows {SCHEMA_VERSION}: upgrade"
            )
        for step, migration in enumerate(MIGRATIONS[version:], start=version + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE; {migration}\n"  # a migration may end with a comment
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step}; COMMIT;"
            )


def _identity(path: str | Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _is_ours(header: bytes) -> bool:
    return header[:16] == b"SQLite format 3\0" and header[68:72] == APPLICATION_ID.to_bytes(4, "big")
