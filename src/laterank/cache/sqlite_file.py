"""Lending connections to a cache file.

SQLite forbids to carry a connection through a fork: the child would believe that it holds locks which it does not. So
connections are lent for one operation at a time, and all are closed while the process forks.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from laterank.cache.sqlite_opening import (
    Opened,
    damaged,
    identity,
    is_damage,
    log_of,
    open_file,
    set_waiting,
)
from laterank.errors import CacheError
from laterank.forking import renew_after_fork

__all__ = ["SqliteFile"]

IDLE_CONNECTIONS = 8
FORK_WAIT_SECONDS = 10.0


class SqliteFile:
    """A cache file: made where it is not there, refused where it is something else, its connections lent one by one."""

    def __init__(self, path: Path) -> None:
        """Remember the path, which is absolute; nothing is opened yet."""
        self.path = path
        self.closed = False
        self._idle: list[Opened] = []
        self._lent = 0
        self._in_use: list[Opened] = []
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
                set_waiting(opened.connection, wait=False)
            yield opened.connection
            if not wait:
                set_waiting(opened.connection, wait=True)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._give_back(opened, keep=False)
            if opened.immutable:
                raise sqlite3.OperationalError(f"it may have changed while it was read: {error}") from error
            if is_damage(error):
                raise damaged(self.path, error) from error
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

    def _take(self) -> Opened:
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
            self._refuse_earlier_log()
            opened = open_file(self.path)
            with self._change:
                self._in_use.append(opened)
            return opened
        except BaseException:
            self._give_back(opened, keep=False)
            raise

    def _drop_earlier(self, opened: Opened | None) -> None:
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

    def _give_back(self, opened: Opened | None, *, keep: bool) -> None:
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

    def _refuse_earlier_log(self) -> None:
        """Leave a file alone that was put in place of the one in use: SQLite would write the earlier one's log into it."""
        if self._earlier_log is None:
            return
        log = log_of(self.path)
        if identity(self.path) is not None and identity(log) == self._earlier_log:
            raise sqlite3.OperationalError(
                f"another file was put in its place while it was in use, and {log.name} is still the earlier one's: end "
                f"the processes that use it, then delete {log.name} and {self.path.name}-shm"
            )
        self._earlier_log = None
