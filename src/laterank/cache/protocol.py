"""What a cache of document token embeddings must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from laterank.rows import StoredRows

__all__ = ["CacheStats", "DocumentCache", "SearchableCache", "TieredCache"]


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache holds and how often it helped.

    Attributes:
        documents: Documents held now.
        size_bytes: Bytes of their rows.
        max_bytes: The most bytes it keeps; None for no bound.
        hits: Look-ups that found a document, since it was made.
        misses: Look-ups that did not.
        evictions: Documents dropped for room.
    """

    documents: int
    size_bytes: int
    max_bytes: int | None
    hits: int
    misses: int
    evictions: int


@runtime_checkable
class DocumentCache(Protocol):
    """Documents' token embeddings, kept by key.

    A key is a digest of the model's fingerprint and the text, so one cache serves many models, and what it holds never
    goes stale. Implementations must be safe to share between threads. They may forget anything at any time.
    """

    def get_many(self, keys: Sequence[bytes]) -> list[StoredRows | None]:
        """Return each key's rows, or None. *Shape:* ``(document_tokens, dim)`` each; the caller must not write to them.

        Arrays of float32 will always do. Those of float16, and ``laterank.rows.QuantizedRows`` in INT8, are scored as they
        are, without a copy in float32.
        """

    def put_many(self, documents: Mapping[bytes, StoredRows]) -> Mapping[bytes, StoredRows] | None:
        """Keep documents. *Shape:* ``(document_tokens, dim)`` each, float32 as an encoder gives them.

        Returns:
            What ``get_many`` will give for each, where keeping rounds them, so that they are scored so from the first
            time; None where it does not.
        """

    def stats(self) -> CacheStats:
        """Return what it holds and how often it helped."""

    def clear(self) -> None:
        """Forget every document."""


@runtime_checkable
class SearchableCache(DocumentCache, Protocol):
    """A cache that can tell what it has without giving it, so that warming a corpus again takes no time."""

    def contains_many(self, keys: Sequence[bytes]) -> Sequence[bool]:
        """Tell which keys are there; it counts as a use of them, and neither as a hit nor as a miss."""


@runtime_checkable
class TieredCache(SearchableCache, Protocol):
    """A cache on disk with rows in memory before it, which may have what the disk could not take or has lost."""

    def remembers_many(self, keys: Sequence[bytes]) -> Sequence[bool]:
        """Tell which keys are in memory, whatever the disk has; it counts as a use of them there."""
