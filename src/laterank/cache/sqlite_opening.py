"""A cache file opened: made where it is not there, refused where it is something else."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from laterank.cache.sqlite_table import APPLICATION_ID, FILE_FORMAT, SCHEMA, transaction
from laterank.errors import CacheError

__all__ = [
    "Opened",
    "bytes_of",
    "damaged",
    "identity",
    "is_damage",
    "log_of",
    "open_file",
    "out_of_use",
    "set_waiting",
]

PAGE_BYTES = 16 * 1024
"""A document takes 5 to 30 KB: with SQLite's 4 KB pages it would be written at 0.6 times this speed."""
SMALLEST_DATABASE = 512
WAL_BYTES_KEPT = 64 * 1024 * 1024
BUSY_SECONDS = 30.0
"""How long to wait for other processes that write; each of their turns takes well under a second."""
RETRY_SECONDS = 0.02

SETTINGS = (
    "PRAGMA synchronous = NORMAL",  # a power cut may lose the last documents, and never damages the file
    f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}",
    "PRAGMA secure_delete = OFF",  # no zeros over evicted documents
    "PRAGMA temp_store = MEMORY",
)

DAMAGE = (sqlite3.DatabaseError, sqlite3.IntegrityError, UnicodeDecodeError)
"""The last is of sqlite3 itself: SQLite's words on a damaged schema quote it, whatever its bytes are."""


def is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Tell a damaged file from a locked, full, read-only or unreachable one, which sqlite3 calls operational errors."""
    return type(error) in DAMAGE


def set_waiting(connection: sqlite3.Connection, *, wait: bool) -> None:
    """Let a connection wait for other processes that write, or fail at once."""
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000) if wait else 0}")


def out_of_use(path: Path, error: sqlite3.OperationalError) -> CacheError:
    """Return what to say where there is no way to go on without the file."""
    cure = "it needs a file that can be written on a local disk"
    if "full" in str(error):  # even forgetting writes, to the log
        cure = (
            f"make room on its disk, or delete it, with {path.name}-wal and {path.name}-shm beside it: it only holds what can be "
            "encoded again"
        )
    return CacheError(f"{path} cannot be used as a cache: {error}; {cure}")


IMMUTABLE = "&immutable=1"
"""How SQLite reads a file in a folder where it can make no other: without locks, as if nobody ever wrote."""


@dataclass(slots=True)
class Opened:
    """A connection, and the file and its write-ahead log that it was opened to, by device and number.

    An immutable one was told that nobody writes, so that a change of the file makes it another.
    """

    connection: sqlite3.Connection
    identity: tuple[int, ...] | None
    log: tuple[int, ...] | None
    immutable: bool

    def fits(self, path: Path) -> bool:
        """Tell whether it reads what is at the path now."""
        return self.identity == identity(path, with_content=self.immutable)


def open_file(path: Path) -> Opened:
    """Open the file, or make it, waiting while other processes do the same.

    Raises:
        CacheError: If the file is damaged, no cache or of a newer format, or its folder cannot be made.
        sqlite3.OperationalError: If it is locked, full or out of reach.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return _open_once(path)
        except sqlite3.OperationalError as error:
            if "lock" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise damaged(path, error) from error


def _open_once(path: Path) -> Opened:
    uri, writable = _uri(path)
    immutable = uri.endswith(IMMUTABLE)
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        opened_to = identity(path, with_content=immutable)
        connection.execute("BEGIN")  # one view of the file: another process may be making it just now
        is_new = _is_new(path, connection)
        connection.execute("COMMIT")
        if is_new:
            _make(path, connection)
        for setting in SETTINGS if writable else ():
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return Opened(connection, opened_to, identity(log_of(path)), immutable)


def _uri(path: Path) -> tuple[str, bool]:
    """Return how to open the file, and whether that is for writing.

    A file or folder that cannot be written is read all the same: a cache in a container's image, for one.
    """
    folder = path.parent
    try:
        size = bytes_of(path)
        if size is None:
            folder.mkdir(parents=True, exist_ok=True)
            return f"{path.as_uri()}?mode=rwc", True
        if path.is_dir():
            raise CacheError(f"{path} is a folder, expected a file, such as {path / 'rows.sqlite'}")
        if 0 < size < SMALLEST_DATABASE:  # SQLite would write over it
            raise damaged(path, f"{size} bytes are no database")
        has_log = bool(bytes_of(log_of(path)))
    except OSError as error:
        raise CacheError(f"the cache {path} is out of reach: {error}") from error
    folder_is_writable = os.access(folder, os.W_OK)
    if folder_is_writable and os.access(path, os.W_OK):
        return f"{path.as_uri()}?mode=rwc", True
    return f"{path.as_uri()}?mode=ro{'' if folder_is_writable or has_log else IMMUTABLE}", False


def _is_new(path: Path, connection: sqlite3.Connection) -> bool:
    """Tell an empty file from a cache, and refuse everything else before anything is written to it."""
    [(application,)] = connection.execute("PRAGMA application_id")
    [(file_format,)] = connection.execute("PRAGMA user_version")
    [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master")
    if not (application or file_format or tables):
        return True
    if application != APPLICATION_ID:
        raise CacheError(f"{path} is a database of another program; choose another path for the cache")
    if file_format != FILE_FORMAT:
        raise CacheError(
            f"{path} has the format {file_format}, and this laterank reads {FILE_FORMAT}: it was made by "
            f"{'a newer' if file_format > FILE_FORMAT else 'an older'} one; use that, or choose another path"
        )
    return False


def _make(path: Path, connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        if _is_new(path, connection):  # no other process was faster
            for statement in SCHEMA:
                connection.execute(statement)


def damaged(path: Path, error: Exception | str) -> CacheError:
    """Return what to say of a file that is no cache, or was one."""
    return CacheError(
        f"{path} is no cache, or a damaged one ({error}). A cache only holds what can be encoded again: delete it, "
        f"with {path.name}-wal and {path.name}-shm beside it, if it was one; otherwise choose another path"
    )


def bytes_of(path: Path) -> int | None:
    """Return a file's size, or None where there is none: asked once, as others make and delete it meanwhile."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def identity(path: Path, *, with_content: bool = False) -> tuple[int, ...] | None:
    """Return a file's device and number, with its size and time where it is to be the same inside, too; None for none."""
    try:
        status = path.stat()
    except OSError:
        return None
    content = (status.st_size, status.st_mtime_ns) if with_content else ()
    return status.st_dev, status.st_ino, *content


def log_of(path: Path) -> Path:
    """Return where SQLite keeps what was written to a file last."""
    return Path(f"{path}-wal")
