"""Copies the database while a server runs on it.

One read transaction lasts for the whole copy: it sees the file as it was at one moment and keeps no writer waiting.
Without it SQLite would start again at every commit, and under load never finish. The copy has a temporary name until it
is complete and on the disk, so that half a copy is never taken for a backup.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from asyncjob.sqlite.database import APPLICATION_ID, PARTS, check_kind
from asyncjob.store import Unusable

PAGES = 1_000  # copied between two reports of progress


class BackupError(Exception):
    """The database cannot be copied. The message says why."""


def backup(database: Path, file: Path, progress: Callable[[int, int], None]) -> None:
    """Copy a database.

    Args:
        database: the SQLite file, which a server may be using.
        file: the copy, which must not exist.
        progress: called with the number of pages that were copied and the number of all pages.

    Raises:
        BackupError: the database cannot be read, or the copy exists or cannot be written.
    """
    try:
        for part in ("", *PARTS):
            check_kind(f"{os.path.realpath(database)}{part}")
        if os.path.lexists(file):
            raise BackupError(f"{file} exists already: choose another name")
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # only its owner can read it
        os.close(handle)
        try:
            _copy(database, Path(name), progress)
            os.link(name, file)  # unlike a rename, this never replaces a file
            _sync(file.parent)
        finally:
            for leftover in (name, f"{name}-journal"):
                with suppress(FileNotFoundError):
                    os.unlink(leftover)
    except FileExistsError:
        raise BackupError(f"{file} exists already: choose another name") from None
    except Unusable as error:
        raise BackupError(str(error)) from None
    except OSError as error:
        raise BackupError(f"cannot write {file}: {error.strerror}") from None


def _copy(database: Path, file: Path, progress: Callable[[int, int], None]) -> None:
    try:
        uri = f"{Path(os.path.realpath(database)).as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as source, closing(_new(file)) as copy:
            source.execute("BEGIN")
            if source.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise BackupError(f"{database} is no database of this program")
            source.backup(copy, pages=PAGES, progress=lambda _, left, pages: progress(pages - left, pages))
    except sqlite3.Error as error:
        raise BackupError(f"cannot copy {database}: {error}") from None


def _new(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA synchronous = FULL")  # the copy is on the disk when it is closed
    return connection


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # saves the name
    finally:
        os.close(handle)
