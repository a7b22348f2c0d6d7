"""Opening a cache file, and lending connections to it.

SQLite forbids to carry a connection through a fork: the child would believe that it holds locks which it does not. So
connections are lent for one operation at a time, and all are closed while the process forks.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from laterank.cache.sqlite_table import APPLICATION_ID, FILE_FORMAT, SCHEMA, transaction
from laterank.errors import CacheError
from laterank.forking import renew_after_fork

__all__ = ["SqliteFile", "bytes_of", "is_damage", "out_of_use"]

PAGE_BYTES = 16 * 1024
"""A document takes 5 to 30 KB: with SQLite's 4 KB pages it would be written at 0.6 times this speed."""
SMALLEST_DATABASE = 512
WAL_BYTES_KEPT = 64 * 1024 * 1024
IDLE_CONNECTIONS = 8
BUSY_SECONDS = 30.0
"""How long to wait for other processes that write; each of their turns takes well under a second."""
FORK_WAIT_SECONDS = 10.0
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
class _Opened:
    """A connection, and the file and its write-ahead log that it was opened to, by device and number.

    An immutable one was told that nobody writes, so that a change of the file makes it another.
    """

    connection: sqlite3.Connection
    identity: tuple[int, ...] | None
    log: tuple[int, ...] | None
    immutable: bool

    def fits(self, path: Path) -> bool:
        """Tell whether it reads what is at the path now."""
        return self.identity == _identity(path, with_content=self.immutable)


class SqliteFile:
    """A cache file: made where it is not there, refused where it is something else, its connections lent one by one."""

    def __init__(self, path: Path) -> None:
        """Remember the path, which is absolute; nothing is opened yet."""
        self.path = path
        self.closed = False
        self._idle: list[_Opened] = []
        self._lent = 0
        self._in_use: list[_Opened] = []
        self._forking: set[int] = set()
        self._torn = False
        self._earlier_log: tuple[int, ...] | None = None
        self._change = threading.Condition()
        renew_after_fork(self)

    @contextmanager
    def lend(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """Lend a connection that nobody else has. An error inside closes it, which rolls back what it was doing.

        Args:
            wait: Whether it waits for other processes that write, or fails at once.

        Raises:
            CacheError: If the file is damaged, no cache or of a newer format, or its folder cannot be made; or after ``close``.
            sqlite3.OperationalError: If it is locked, full, read-only or out of reach.
        """
        opened = self._take()
        try:
            if not wait:
                opened.connection.execute("PRAGMA busy_timeout = 0")
            yield opened.connection
            if not wait:
                opened.connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._give_back(opened, keep=False)
            if opened.immutable:
                raise sqlite3.OperationalError(f"it may have changed while it was read: {error}") from error
            if is_damage(error):
                raise self._damaged(error) from error
            raise
        except BaseException:
            self._give_back(opened, keep=False)
            raise
        self._give_back(opened, keep=True)

    def refuse_closed(self) -> None:
        """Raise CacheError after ``close``."""
        if self.closed:
            raise CacheError(f"the cache {self.path} is closed; make a new SqliteCache")

    def close(self) -> None:
        """Close what nobody has, and what others have when they give it back."""
        with self._change:
            self.closed = True
            self._close_idle()

    # --- forks --------------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Close every connection before a fork, after waiting for those in use."""
        with self._change:
            self._forking.add(threading.get_ident())
            self._change.wait_for(lambda: not self._lent, timeout=FORK_WAIT_SECONDS)
            self._close_idle()

    def resume(self) -> None:
        """Lend again after a fork of this thread, whether it had paused this file or not."""
        with self._change:
            self._forking.discard(threading.get_ident())
            self._change.notify_all()

    def renew(self) -> None:
        """Start anew in a forked process; one that forked in the middle of an operation must not touch the file."""
        self._torn = self._torn or bool(self._lent)
        self._idle, self._in_use, self._lent, self._forking = [], [], 0, set()
        self._change = threading.Condition()

    # --- lending ------------------------------------------------------------------------------------------------------

    def _take(self) -> _Opened:
        with self._change:
            self._change.wait_for(lambda: not self._forking)
            self.refuse_closed()
            if self._torn:
                raise sqlite3.OperationalError(
                    "this process was forked while a thread was using the file, and cannot use it safely; fork "
                    "before the first call, or start processes with spawn"
                )
            self._lent += 1
            opened = self._idle.pop() if self._idle else None
            if opened is not None:
                self._in_use.append(opened)
        try:
            if opened is not None and opened.fits(self.path):
                return opened
            self._drop_earlier(opened)
            opened = None
            opened = self._open()
            with self._change:
                self._in_use.append(opened)
            return opened
        except BaseException:
            self._give_back(opened, keep=False)
            raise

    def _drop_earlier(self, opened: _Opened | None) -> None:
        """Close what was opened to a file that was deleted or replaced meanwhile.

        SQLite keeps its locks in a file that the earlier one and a new one share by name, and the system drops all of a
        process's locks on a file as soon as it closes that once: so both must never be open at the same time.
        """
        with self._change:
            if opened is not None:
                self._earlier_log = opened.log
                self._in_use.remove(opened)
                opened.connection.close()
                self._close_idle()
            if not all(used.fits(self.path) for used in self._in_use):
                raise sqlite3.OperationalError("it was deleted or replaced while other threads are using it")

    def _give_back(self, opened: _Opened | None, *, keep: bool) -> None:
        with self._change:
            self._lent -= 1
            if opened is not None:
                if opened in self._in_use:
                    self._in_use.remove(opened)
                if keep and not self.closed and not self._forking and len(self._idle) < IDLE_CONNECTIONS:
                    self._idle.append(opened)
                else:
                    opened.connection.close()
            self._change.notify_all()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().connection.close()

    # --- opening ------------------------------------------------------------------------------------------------------

    def _open(self) -> _Opened:
        """Open the file, or make it, waiting while other processes do the same."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._open_once()
            except sqlite3.OperationalError as error:
                if "lock" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise self._damaged(error) from error

    def _open_once(self) -> _Opened:
        uri, writable = self._uri()
        immutable = uri.endswith(IMMUTABLE)
        self._refuse_earlier_log()
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            identity = _identity(self.path, with_content=immutable)
            connection.execute("BEGIN")  # one view of the file: another process may be making it just now
            is_new = self._is_new(connection)
            connection.execute("COMMIT")
            if is_new:
                self._make(connection)
            for setting in SETTINGS if writable else ():
                connection.execute(setting)
        except BaseException:
            connection.close()
            raise
        return _Opened(connection, identity, _identity(self._log), immutable)

    @property
    def _log(self) -> Path:
        return Path(f"{self.path}-wal")

    def _refuse_earlier_log(self) -> None:
        """Leave a file alone that was put in place of the one in use: SQLite would write the earlier one's log into it."""
        if self._earlier_log is None:
            return
        if self.path.exists() and self._log.exists() and _identity(self._log) == self._earlier_log:
            raise sqlite3.OperationalError(
                f"another file was put in its place while it was in use, and {self._log.name} is still the earlier one's: end "
                f"the processes that use it, then delete {self._log.name} and {self.path.name}-shm"
            )
        self._earlier_log = None

    def _uri(self) -> tuple[str, bool]:
        """Return how to open the file, and whether that is for writing.

        A file or folder that cannot be written is read all the same: a cache in a container's image, for one.
        """
        folder, path = self.path.parent, self.path
        try:
            size = bytes_of(path)
            if size is None:
                folder.mkdir(parents=True, exist_ok=True)
                return f"{path.as_uri()}?mode=rwc", True
            if path.is_dir():
                raise CacheError(f"{path} is a folder, expected a file, such as {path / 'rows.sqlite'}")
            if 0 < size < SMALLEST_DATABASE:  # SQLite would write over it
                raise self._damaged(f"{size} bytes are no database")
            has_log = bool(bytes_of(self._log))
        except OSError as error:
            raise CacheError(f"the cache {path} is out of reach: {error}") from error
        folder_is_writable = os.access(folder, os.W_OK)
        if folder_is_writable and os.access(path, os.W_OK):
            return f"{path.as_uri()}?mode=rwc", True
        return f"{path.as_uri()}?mode=ro{'' if folder_is_writable or has_log else IMMUTABLE}", False

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Tell an empty file from a cache, and refuse everything else before anything is written to it."""
        [(application,)] = connection.execute("PRAGMA application_id")
        [(file_format,)] = connection.execute("PRAGMA user_version")
        [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master")
        if not (application or file_format or tables):
            return True
        if application != APPLICATION_ID:
            raise CacheError(
                f"{self.path} is a database of another program; choose another path for the cache"
            )
        if file_format != FILE_FORMAT:
            raise CacheError(
                f"{self.path} has the format {file_format}, and this laterank reads {FILE_FORMAT}: it was made by "
                f"{'a newer' if file_format > FILE_FORMAT else 'an older'} one; use that, or choose another path"
            )
        return False

    def _make(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if self._is_new(connection):  # no other process was faster
                for statement in SCHEMA:
                    connection.execute(statement)

    def _damaged(self, error: Exception | str) -> CacheError:
        return CacheError(
            f"{self.path} is no cache, or a damaged one ({error}). A cache only holds what can be encoded again: delete it, "
            f"with {self.path.name}-wal and {self.path.name}-shm beside it, if it was one; otherwise choose another path"
        )


def bytes_of(path: Path) -> int | None:
    """Return a file's size, or None where there is none: asked once, as others make and delete it meanwhile."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _identity(path: Path, *, with_content: bool = False) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    content = (status.st_size, status.st_mtime_ns) if with_content else ()
    return status.st_dev, status.st_ino, *content
