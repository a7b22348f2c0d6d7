"""Looking after a cache file: what it holds, whether it is whole, a copy to carry elsewhere."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from laterank.cache.codec import decode_many, describe_rows
from laterank.cache.sqlite import SqliteCache
from laterank.cache.sqlite_file import SqliteFile
from laterank.cache.sqlite_opening import bytes_of, out_of_use
from laterank.cache.sqlite_table import give_back_space, totals, transaction
from laterank.checks import expanded
from laterank.errors import CacheError

__all__ = [
    "CacheContents",
    "Verification",
    "contents",
    "copy_cache",
    "forget_unused",
    "open_existing",
    "verify",
]

ENTRIES_AT_ONCE = 256
MICROSECONDS_PER_DAY = 24 * 3600 * 1_000_000

Tell = Callable[[int], object]
"""Told how many documents are done."""


@dataclass(frozen=True, slots=True)
class CacheContents:
    """What a cache file holds.

    Attributes:
        documents: Documents held.
        size_bytes: Bytes of their rows.
        file_bytes: Bytes on disk, the write-ahead log among them.
        kinds: Documents by storage and numbers a token, such as ``{"int8 x 96": 152}``; two models show as two where their
            sizes differ.
        oldest_use: When the least recently used was used, in seconds since 1970; None for an empty cache.
        latest_use: When one was used last.
    """

    documents: int
    size_bytes: int
    file_bytes: int
    kinds: dict[str, int]
    oldest_use: float | None
    latest_use: float | None


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading every document of a cache found.

    Attributes:
        documents: Documents read.
        damaged: Keys of those whose checksum is wrong, in hexadecimal.
        structure: What SQLite's own check found; empty for a file in order.
        removed: How many of the damaged were deleted.
    """

    documents: int
    damaged: tuple[str, ...]
    structure: tuple[str, ...]
    removed: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong, or nothing any more."""
        return not self.structure and self.removed == len(self.damaged)


def open_existing(path: Path) -> SqliteCache:
    """Open a cache that is there; ``SqliteCache`` would make one.

    Raises:
        CacheError: If there is no file, or it is no cache.
    """
    path = expanded(path)
    if not path.is_file():
        raise CacheError(f"there is no cache {path}; `laterank warm FILE --cache {path}` makes one")
    return SqliteCache(path, memory_bytes=0)


def contents(cache: SqliteCache) -> CacheContents:
    """Say what a cache holds.

    Raises:
        CacheError: If the file is damaged or out of reach.
    """
    with _lent(cache) as connection:
        documents, size = totals(connection)
        [(oldest, latest)] = connection.execute(
            "SELECT CAST(min(used) AS INTEGER), CAST(max(used) AS INTEGER) FROM entries"
        )
        kinds: dict[str, int] = {}
        for (head,) in connection.execute("SELECT CAST(substr(body, 1, 16) AS BLOB) FROM bodies"):
            kind = describe_rows(head) or "damaged"
            kinds[kind] = kinds.get(kind, 0) + 1
    on_disk = sum(bytes_of(file) or 0 for file in (cache.path, Path(f"{cache.path}-wal")))
    return CacheContents(documents, size, on_disk, kinds, _seconds(oldest), _seconds(latest))


def verify(cache: SqliteCache, *, remove: bool = False, tell: Tell = lambda done: None) -> Verification:
    """Read every document and compare it with its checksum.

    Args:
        cache: The cache.
        remove: Whether to delete what is damaged; the documents are encoded again when they are next asked for.
        tell: Told now and then how many were read.

    Raises:
        CacheError: If the file is damaged as a whole.
    """
    damaged: list[tuple[int, bytes]] = []
    documents = 0
    with _lent(cache) as connection:
        structure = [line for (line,) in connection.execute("PRAGMA quick_check") if line != "ok"]
        for piece in _entries(connection):
            decoded, _ = decode_many({key: body for _, key, body in piece})
            damaged += [(id_, key) for id_, key, _ in piece if key not in decoded]
            tell(documents := documents + len(piece))
        if remove and damaged:
            with transaction(connection):
                connection.executemany("DELETE FROM entries WHERE id = ?", [(id_,) for id_, _ in damaged])
    return Verification(
        documents,
        tuple(key.hex() for _, key in damaged),
        tuple(structure),
        removed=len(damaged) if remove else 0,
    )


def forget_unused(cache: SqliteCache, days: float) -> int:
    """Forget documents that were not used for some days, such as those of a model that is no longer in use.

    Returns:
        How many went.

    Raises:
        CacheError: If the file is damaged or cannot be written.
    """
    before = time.time_ns() // 1000 - int(days * MICROSECONDS_PER_DAY)
    with _lent(cache) as connection:
        with transaction(connection):
            gone = connection.execute("DELETE FROM entries WHERE used < ?", (before,)).rowcount
        give_back_space(connection)
    return gone


def copy_cache(cache: SqliteCache, target: Path) -> int:
    """Write a compact copy of a cache, one file without a log beside it, while others use the original.

    Returns:
        The bytes of the copy.

    Raises:
        CacheError: If the target exists or cannot be written.
    """
    target = expanded(target).absolute()
    for name in (target.name, f"{target.name}-wal"):  # SQLite would write a left log into the copy
        if target.with_name(name).exists():
            raise CacheError(f"{target.with_name(name)} exists; name a file that does not, nor its log")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(f"{target.parent} cannot be made: {error.strerror}; name another file") from error
    unfinished = target.with_name(f"{target.name}.{uuid4().hex[:8]}.unfinished")
    try:
        with _lent(cache) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        return unfinished.rename(target).stat().st_size
    finally:  # a full disk, or Ctrl-C, leaves no part of a cache under its name
        unfinished.unlink(missing_ok=True)


def _entries(connection: sqlite3.Connection) -> Iterator[list[tuple[int, bytes, bytes]]]:
    """Yield id, key and body of every document, some at a time; a document without a body has an empty one."""
    query = (
        "SELECT entries.id, CAST(coalesce(key, x'') AS BLOB), CAST(coalesce(body, x'') AS BLOB) "
        "FROM entries LEFT JOIN bodies USING (id) "
        "WHERE entries.id > ? ORDER BY entries.id LIMIT ?"
    )
    last = -1
    while piece := connection.execute(query, (last, ENTRIES_AT_ONCE)).fetchall():
        if piece[-1][0] <= last:  # where pages are mixed up, this would go round for ever
            raise sqlite3.DatabaseError("its documents are out of order")
        yield piece
        last = piece[-1][0]


@contextmanager
def _lent(cache: SqliteCache) -> Iterator[sqlite3.Connection]:
    file = SqliteFile(cache.path)
    try:
        with file.lend() as connection:
            yield connection
    except sqlite3.OperationalError as error:
        raise out_of_use(cache.path, error) from error
    finally:
        file.close()


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000
