"""The cache on disk: one SQLite file that threads, processes and restarts share."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laterank.cache import sqlite_table as table
from laterank.cache.codec import (
    CODEC_VERSION,
    RowStorage,
    check_storage,
    decode_many,
    encode_many,
    storage_code,
    stored_rows,
)
from laterank.cache.memory import MemoryCache
from laterank.cache.protocol import CacheStats
from laterank.cache.recency import Recency, finish, write_uses
from laterank.cache.sqlite_file import SqliteFile
from laterank.cache.sqlite_opening import out_of_use
from laterank.checks import checked_count, expanded
from laterank.errors import CacheError, InputError, InputTypeError
from laterank.forking import renew_after_fork
from laterank.rows import StoredRows

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["DEFAULT_MAX_BYTES", "SqliteCache"]

logger = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 4 * 1024**3
"""4 GiB: about 200,000 documents of 200 tokens at 96 numbers a token in INT8 (20 KB each)."""

DEFAULT_MEMORY_BYTES = 64 * 1024**2
"""64 MiB of rows as they are stored, ready to be scored: about 3,400 such documents."""

LARGEST_BODY = 900_000_000
"""SQLite takes a billion bytes in one value."""


class SqliteCache:
    """Document token embeddings in a file; the least recently used go first when the bytes run out.

    Threads and processes may share one file, and it may be killed at any moment. Only local disks will do: SQLite's
    locks do not work over a network. Pickling carries path and options along; the documents are in the file.

    A disk that is full, read-only or slow fails no ranking: what cannot be kept is scored all the same, with a warning
    in the log, and a damaged document is encoded again.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from laterank import SqliteCache
        >>> with TemporaryDirectory() as folder, SqliteCache(f"{folder}/rows.sqlite") as cache:
        ...     len(cache)
        0
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        storage: RowStorage = "int8",
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
    ) -> None:
        """Open a cache's file, or make it and its folders.

        Args:
            path: The file; ``~`` is the home folder. Two more stand beside it while it is open, ``-wal`` and ``-shm``.
            max_bytes: The most bytes of documents' rows to keep. The file is larger by some 100 bytes a document, and by what stays
                empty of its 16 KB pages: 1.1 to 1.5 times as large for mixed lengths, twice if all documents take a little over
                8 KB each.
            storage: ``"int8"`` (a byte a number, and four a token), ``"float16"`` (two) or ``"float32"`` (four). Documents
                kept under another storage stay in the file, unused until they are the least recently used.
            memory_bytes: The most bytes of rows to hold in memory, ready to be scored; 0 for none.

        Raises:
            InputError: If an option has a value that cannot work.
            CacheError: If the file is no cache, damaged, of a newer format, or cannot be made or read; or if the path is relative
                to a folder that is gone.
        """
        if not isinstance(path, (str, PathLike)) or isinstance(os.fspath(path), bytes):
            raise InputTypeError(f"path is {type(path).__name__}, expected a string or a path")
        if not os.fspath(path).strip() or "\0" in os.fspath(path):
            raise InputError(
                f"path is {os.fspath(path)!r}, expected the name of a file, such as 'rows.sqlite'"
            )
        try:
            absolute = Path(os.path.abspath(expanded(path)))  # noqa: PTH100  # resolve() would follow links
        except OSError as error:
            raise CacheError(
                f"{path} is relative to the working folder, which is gone: {error}; pass an absolute path"
            ) from error
        self._setup(
            path=absolute,
            max_bytes=checked_count(max_bytes, "max_bytes"),
            storage=check_storage(storage),
            memory_bytes=checked_count(memory_bytes, "memory_bytes", least=0),
        )
        with self._at_work():
            pass

    def _setup(self, *, path: Path, max_bytes: int, storage: RowStorage, memory_bytes: int) -> None:
        self.path, self.max_bytes, self.storage, self.memory_bytes = path, max_bytes, storage, memory_bytes
        self._suffix = bytes([CODEC_VERSION, storage_code(storage)])
        self._memory = MemoryCache(memory_bytes) if memory_bytes else None
        self._file = SqliteFile(path)
        self._recency = Recency()
        self._hits = self._misses = self._evictions = 0
        self._said: set[str] = set()
        self._finish = weakref.finalize(self, finish, self._file, self._recency)
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Take new locks in a forked process."""
        self._counting = threading.RLock()
        self._writing = threading.Lock()  # SQLite itself polls for its turn; among threads this is fairer

    # --- what a reranker calls ----------------------------------------------------------------------------------------

    def get_many(self, keys: Sequence[bytes]) -> list[StoredRows | None]:
        """Return each key's rows as they are stored, read-only, or None. *Shape:* ``(document_tokens, dim)`` each

        ``maxsim`` scores them in any storage; ``numpy.asarray`` makes float32 of those in INT8.

        Raises:
            CacheError: If the file is damaged; one damaged document is a miss.
        """
        self._file.refuse_closed()
        found: dict[bytes, StoredRows] = {}
        if self._memory is not None:
            at_hand = zip(keys, self._memory.get_many(keys), strict=True)
            found = {key: rows for key, rows in at_hand if rows is not None}
        if ask := [key for key in dict.fromkeys(keys) if key not in found]:
            found.update(self._read(ask))
        self._note_use(list(found))
        missing = sum(key not in found for key in keys)
        with self._counting:
            self._misses += missing
            self._hits += len(keys) - missing
        return [found.get(key) for key in keys]

    def put_many(self, documents: Mapping[bytes, StoredRows]) -> dict[bytes, StoredRows]:
        """Keep documents. *Shape:* ``(document_tokens, dim)`` each

        Returns:
            The rows as they were kept, which are those to score: as every later ``get_many`` gives them.

        Raises:
            InputError: If rows hold NaN or infinity.
            CacheError: If the file is damaged. A disk that is full or read-only is logged, once.
        """
        encoded = encode_many({self._stored(key): rows for key, rows in documents.items()}, self.storage)
        kept = {key: stored_rows(encoded[self._stored(key)]) for key in documents}
        if self._memory is not None:
            self._memory.put_many(kept)
        with self._going_on("takes no new documents", "ranking goes on without keeping them"):
            self._write(encoded)
        return kept

    def contains_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Tell which keys are in the file, without reading their rows; it counts as a use of them.

        What only this object's memory has, because the file was full or another process dropped it, is not there: warming
        writes it again for whoever comes next.
        """
        there: set[bytes] = set()
        with self._going_on("cannot be read", "documents are encoded again"), self._file.lend() as connection:
            there = table.known(connection, [self._stored(key) for key in keys])
        known = [self._stored(key) in there for key in keys]
        self._note_use([key for key, is_known in zip(keys, known, strict=True) if is_known])
        return known

    def remembers_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Tell which keys are in this object's memory, whatever the file has; it counts as a use of them there."""
        self._file.refuse_closed()
        return [False] * len(keys) if self._memory is None else self._memory.contains_many(keys)

    def stats(self) -> CacheStats:
        """Return what the file holds, of all processes, and how often it helped this object."""
        with self._at_work() as connection:
            documents, size = table.totals(connection)
        with self._counting:
            return CacheStats(documents, size, self.max_bytes, self._hits, self._misses, self._evictions)

    # --- what its owner calls -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.stats().documents

    def clear(self) -> None:
        """Forget every document, for every process that shares the file, and make it small.

        Raises:
            CacheError: If the file is damaged or cannot be written.
        """
        if self._memory is not None:
            self._memory.clear()
        with self._writing, self._at_work() as connection:
            with table.transaction(connection):
                table.clear(connection)
            table.give_back_space(connection)

    def prune(self, max_bytes: int | None = None) -> int:
        """Forget the least recently used documents until the rest fit, and make the file that small.

        Args:
            max_bytes: The most bytes to leave, this time; None for the bound that the cache was made with.

        Returns:
            How many documents went.

        Raises:
            CacheError: If the file is damaged or cannot be written.
        """
        most = self.max_bytes if max_bytes is None else checked_count(max_bytes, "max_bytes", least=0)
        with self._writing, self._at_work() as connection:
            with table.transaction(connection):
                table.touch(connection, self._recency.take())
                dropped = table.evict(connection, most)
            table.give_back_space(connection)
        with self._counting:
            self._evictions += dropped
        return dropped

    def close(self) -> None:
        """Write down what was used when, and close the file; every later call raises CacheError."""
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("path", "max_bytes", "storage", "memory_bytes")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._setup(**state)  # and open nothing: the file may be out of reach where this is read

    def __deepcopy__(self, memo: dict[int, Any]) -> SqliteCache:
        return self  # what it holds is the same for every holder

    def __repr__(self) -> str:
        return f"SqliteCache({str(self.path)!r}, max_bytes={self.max_bytes}, storage={self.storage!r})"

    # --- files --------------------------------------------------------------------------------------------------------

    def _stored(self, key: bytes) -> bytes:
        """Return the key in the file, which keeps storages and formats of rows apart."""
        return bytes(key) + self._suffix

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, StoredRows]:
        bodies: dict[bytes, bytes] = {}
        with self._going_on("cannot be read", "documents are encoded again"), self._file.lend() as connection:
            bodies = table.read(connection, [self._stored(key) for key in keys])
        decoded, damaged = decode_many(bodies)
        found = {stored[: -len(self._suffix)]: rows for stored, rows in decoded.items()}
        if damaged:
            logger.warning(
                "%s: %d of %d documents are damaged; they are encoded again", self.path, damaged, len(keys)
            )
        if self._memory is not None:
            self._memory.put_many(found)
        return found

    def _write(self, bodies: Mapping[bytes, bytes]) -> None:
        most = min(self.max_bytes, LARGEST_BODY)
        bodies = {key: body for key, body in bodies.items() if len(body) <= most}
        with self._writing, self._file.lend() as connection, table.transaction(connection):
            table.touch(connection, self._recency.take())
            table.add(connection, bodies, used=self._recency.now())
            dropped = table.evict(connection, self.max_bytes)
        with self._counting:
            self._evictions += dropped

    def _note_use(self, keys: Sequence[bytes]) -> None:
        if self._recency.note([self._stored(key) for key in keys]) and self._writing.acquire(blocking=False):
            try:
                write_uses(self._file, self._recency)
            finally:
                self._writing.release()

    @contextmanager
    def _at_work(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to a call that has no other way to go on than an error."""
        try:
            with self._file.lend() as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise out_of_use(self.path, error) from error

    @contextmanager
    def _going_on(self, fails: str, otherwise: str) -> Iterator[None]:
        """Let a ranking go on where the disk does not, and say so once."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if fails not in self._said:
                self._said.add(fails)
                logger.warning(
                    "the cache %s %s (%s); %s; this is said once", self.path, fails, error, otherwise
                )
