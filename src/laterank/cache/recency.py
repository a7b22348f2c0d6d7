"""When documents were last used, noted in memory and written to disk many at a time."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from time import monotonic, time_ns

from laterank.cache.sqlite_file import SqliteFile
from laterank.cache.sqlite_table import touch, transaction
from laterank.errors import CacheError
from laterank.forking import renew_after_fork

__all__ = ["Recency", "finish", "write_uses"]

logger = logging.getLogger(__name__)

USES_AT_ONCE = 4096
"""Uses to gather before one write: some 20 ms once in forty rankings of 100 documents, rather than a write for each."""
SECONDS_AT_MOST = 10.0
"""How long the first use waits for others, if documents are still asked for: who prunes the file goes by what is written there."""


class Recency:
    """The uses that are not yet written down. A use is a time in microseconds, and no two notes have the same."""

    def __init__(self) -> None:
        self._uses: dict[bytes, int] = {}
        self._last = 0
        self._first_noted = 0.0
        self._lock = threading.RLock()
        renew_after_fork(self)

    def renew(self) -> None:
        """Leave the parent's uses to the parent in a forked process."""
        self._lock = threading.RLock()
        self._uses = {}

    @property
    def pending(self) -> int:
        """How many documents' uses are not yet written down."""
        return len(self._uses)

    def now(self) -> int:
        """Return a time later than every one before it, in microseconds since 1970."""
        with self._lock:
            self._last = max(self._last + 1, time_ns() // 1000)
            return self._last

    def note(self, keys: Iterable[bytes]) -> bool:
        """Note that documents are used now, and tell whether it is time to write down what is noted."""
        with self._lock:
            if not self._uses:
                self._first_noted = monotonic()
            self._uses.update(dict.fromkeys(keys, self.now()))
            return len(self._uses) >= USES_AT_ONCE or monotonic() - self._first_noted >= SECONDS_AT_MOST

    def take(self) -> dict[bytes, int]:
        """Return what is to be written down, and forget it."""
        with self._lock:
            uses, self._uses = self._uses, {}
            return uses

    def put_back(self, uses: Mapping[bytes, int]) -> None:
        """Keep what could not be written for another time, if that is little; later uses of the same documents stay."""
        with self._lock:
            if len(uses) < USES_AT_ONCE:
                self._uses = {**uses, **self._uses}
                self._first_noted = monotonic()


def write_uses(file: SqliteFile, recency: Recency) -> None:
    """Write down what was used when, unless somebody else is writing, or nobody can: it only makes the next eviction wiser."""
    uses = recency.take()
    try:
        if file.path.exists():  # a deleted file is not made anew
            with file.lend(wait=False) as connection, transaction(connection):
                touch(connection, uses)
    except (sqlite3.OperationalError, CacheError, OSError) as error:
        recency.put_back(uses)
        logger.debug("%s: %d uses were not written down: %s", file.path, len(uses), error)


def finish(file: SqliteFile, recency: Recency) -> None:
    """Close the file, when its cache is closed or forgotten, or the interpreter ends."""
    if recency.pending:
        write_uses(file, recency)
    file.close()
