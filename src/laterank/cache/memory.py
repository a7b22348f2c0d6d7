"""The cache that every reranker has by default: least recently used, bounded by bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from laterank.cache.protocol import CacheStats
from laterank.checks import checked_count
from laterank.forking import renew_after_fork
from laterank.rows import QuantizedRows, StoredRows

__all__ = ["DEFAULT_MAX_BYTES", "MemoryCache"]

T = TypeVar("T", bound=np.generic)

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
"""256 MiB: about 2,600 documents of 200 tokens at 128 numbers a token (100 KiB each)."""

ENTRY_OVERHEAD_BYTES = 256
"""What a key, an array's header and a table entry cost beside the rows."""
HEADER_BYTES = 64
"""What may stand before rows that were read from a file."""


class MemoryCache:
    """Document token embeddings in memory; the least recently used go first when the bytes run out.

    Threads may share one. Pickling carries the bound along and leaves the documents behind.

    Examples:
        >>> from laterank import MemoryCache
        >>> cache = MemoryCache(max_bytes=1_000_000_000)
        >>> cache.stats().documents
        0
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Make an empty cache.

        Raises:
            InputError: If ``max_bytes`` is no whole number of at least 1.
        """
        self.max_bytes = checked_count(max_bytes, "max_bytes")
        self._lock = threading.RLock()  # a signal's handler may look at the cache that it interrupted
        self._documents: OrderedDict[bytes, StoredRows] = OrderedDict()
        self._bytes = self._hits = self._misses = self._evictions = 0
        renew_after_fork(self)

    def renew(self) -> None:
        """Take a new lock in a forked process, and start empty where a thread of the parent was in the middle of a change."""
        if not self._lock.acquire(blocking=False):
            self._documents, self._bytes = OrderedDict(), 0
        self._lock = threading.RLock()

    def get_many(self, keys: Sequence[bytes]) -> list[StoredRows | None]:
        """Return each key's rows, read-only, or None. *Shape:* ``(document_tokens, dim)`` each"""
        with self._lock:
            found = [self._documents.get(key) for key in keys]
            for key, rows in zip(keys, found, strict=True):
                if rows is not None:
                    self._documents.move_to_end(key)
            missing = sum(rows is None for rows in found)
            self._misses += missing
            self._hits += len(found) - missing
        return found

    def contains_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Tell which keys are there; it counts as a use of them."""
        with self._lock:
            known = [key in self._documents for key in keys]
            for key, is_known in zip(keys, known, strict=True):
                if is_known:
                    self._documents.move_to_end(key)
        return known

    def put_many(self, documents: Mapping[bytes, StoredRows]) -> None:
        """Keep documents; one larger than the bound is not kept. *Shape:* ``(document_tokens, dim)`` each

        INT8 rows and float16 are kept as they are, every other type of numbers as float32.
        """
        kept = {key: _own(rows) for key, rows in documents.items()}
        with self._lock:
            try:
                for key, rows in kept.items():
                    self._forget(key)
                    if _cost(rows) <= self.max_bytes:
                        self._documents[key] = rows
                        self._bytes += _cost(rows)
                while self._bytes > self.max_bytes:
                    self._forget(next(iter(self._documents)))
                    self._evictions += 1
            except BaseException:  # Ctrl-C between two lines must not leave a wrong count behind
                self._bytes = sum(map(_cost, self._documents.values()))
                raise

    def stats(self) -> CacheStats:
        """Return what it holds and how often it helped."""
        with self._lock:
            return CacheStats(
                len(self._documents), self._bytes, self.max_bytes, self._hits, self._misses, self._evictions
            )

    def clear(self) -> None:
        """Forget every document; the counts of hits and misses go on."""
        with self._lock:
            self._documents, self._bytes = OrderedDict(), 0  # at once, whatever interrupts it

    def _forget(self, key: bytes) -> None:
        rows = self._documents.pop(key, None)
        if rows is not None:
            self._bytes -= _cost(rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # locks do not travel

    def __deepcopy__(self, memo: dict[int, Any]) -> MemoryCache:
        return self  # what it holds is the same for every holder


def _cost(rows: StoredRows) -> int:
    return rows.nbytes + ENTRY_OVERHEAD_BYTES


def _own(rows: StoredRows) -> StoredRows:
    """Return rows that nobody can write to and that keep nothing larger than themselves alive."""
    if isinstance(rows, QuantizedRows):
        if _is_own(rows.numbers, rows.nbytes) and _is_own(rows.scales, rows.nbytes):
            return rows
        return QuantizedRows(_read_only(rows.numbers.copy()), _read_only(rows.scales.copy()))
    if rows.dtype not in (np.float16, np.float32):
        return _read_only(rows.astype(np.float32))
    return rows if _is_own(rows, rows.nbytes) else _read_only(rows.copy(order="C"))


def _is_own(array: NDArray[Any], size: int) -> bool:
    """Tell whether an array has all its memory to itself, or with its like in bytes that hold little else."""
    if array.flags.writeable or not array.flags.c_contiguous:
        return False
    return array.base is None or (isinstance(array.base, bytes) and len(array.base) <= size + HEADER_BYTES)


def _read_only(array: NDArray[T]) -> NDArray[T]:
    array.flags.writeable = False
    return array
