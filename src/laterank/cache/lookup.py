"""Documents' rows: from the cache where they are there, encoded and kept where they are not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from laterank.cache.protocol import DocumentCache, SearchableCache, TieredCache
from laterank.encoding.protocol import Encoder, encoded_documents
from laterank.errors import CacheError, EncodingError
from laterank.rows import QuantizedRows, StoredRows

__all__ = ["DocumentRows"]


@dataclass(frozen=True, slots=True)
class DocumentRows:
    """An encoder behind a cache.

    Attributes:
        encoder: The model.
        cache: Where rows are kept; None for nowhere.
    """

    encoder: Encoder
    cache: DocumentCache | None

    def of(self, texts: Sequence[str]) -> list[StoredRows]:
        """Return each text's rows, as the cache keeps them, whether they were there or not.

        Args:
            texts: Distinct and not blank.

        Returns:
            *Shape:* ``(document_tokens, dim)`` each

        Raises:
            CacheError: If the cache gives what cannot be this model's rows.
            EncodingError: If the encoder does.
        """
        if self.cache is None:
            return list(encoded_documents(self.encoder, texts))
        keys = self.keys(texts)
        found = self._look_up(self.cache, list(keys))
        encoded = self.encode({key: keys[key] for key, rows in found.items() if rows is None})
        return [rows if rows is not None else encoded[key] for key, rows in found.items()]

    def keys(self, texts: Iterable[str]) -> dict[bytes, str]:
        """Return the texts under digests of the model and the text."""
        fingerprint = self.encoder.fingerprint
        if not isinstance(fingerprint, bytes):
            raise EncodingError(
                f"fingerprint of {type(self.encoder).__name__} is {type(fingerprint).__name__}, expected bytes: a digest "
                "of everything that decides a document's rows"
            )
        model = hashlib.blake2b(fingerprint, digest_size=16)
        keys = {}
        for text in texts:
            digest = model.copy()
            digest.update(text.encode("utf-8", "surrogatepass"))
            keys[digest.digest()] = text
        return keys

    def to_encode(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the keys that ``of`` would encode: the missing ones, but for those that are in memory alone."""
        missing = self.missing(keys)
        if not isinstance(self.cache, TieredCache):
            return missing
        remembered = self.cache.remembers_many(missing)
        return [key for key, is_known in zip(missing, remembered, strict=True) if not is_known]

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the keys that the cache will not have later, on disk if it has one, without reading rows where it can tell."""
        if isinstance(self.cache, SearchableCache):
            return [key for key, known in zip(keys, self.cache.contains_many(keys), strict=True) if not known]
        if self.cache is None:
            return list(keys)
        return [key for key, rows in self._look_up(self.cache, keys).items() if rows is None]

    def encode(self, texts: Mapping[bytes, str]) -> dict[bytes, StoredRows]:
        """Encode texts, keep their rows under their keys, and return the rows as they were kept."""
        if not texts:
            return {}
        encoded: dict[bytes, StoredRows] = dict(
            zip(texts, encoded_documents(self.encoder, list(texts.values())), strict=True)
        )
        kept = self.cache.put_many(encoded) if self.cache is not None else None
        if kept is None:
            return encoded
        if not isinstance(kept, Mapping):
            raise CacheError(
                f"put_many of the cache gave {type(kept).__name__}, expected rows by key, or None"
            )
        for rows in kept.values():
            self._check(rows)
        return {**encoded, **kept}

    def _look_up(self, cache: DocumentCache, keys: Sequence[bytes]) -> dict[bytes, StoredRows | None]:
        """Ask the cache, and refuse what cannot be this model's rows."""
        found = cache.get_many(keys)
        if not isinstance(found, list):
            raise CacheError(
                f"the cache gave {type(found).__name__}, expected a list with rows or None for each key"
            )
        if len(found) != len(keys):
            raise CacheError(f"the cache gave {len(found)} answers to {len(keys)} keys")
        for rows in found:
            if rows is not None:
                self._check(rows)
        return dict(zip(keys, found, strict=True))

    def _check(self, rows: object) -> None:
        if not _are_rows(rows, self.encoder.dim):
            raise CacheError(
                f"the cache gave {_described(rows)}, but {self.encoder.name} makes {self.encoder.dim} numbers a token; "
                "clear the cache or use one for each model"
            )


def _are_rows(rows: object, dim: int) -> bool:
    if isinstance(rows, QuantizedRows):
        return rows.shape[1:] == (dim,)
    return isinstance(rows, np.ndarray) and rows.dtype.kind == "f" and rows.ndim == 2 and rows.shape[1] == dim


def _described(rows: object) -> str:
    if isinstance(rows, (np.ndarray, QuantizedRows)):
        kind = rows.dtype if isinstance(rows, np.ndarray) else "int8"
        return f"rows of shape {rows.shape} and {kind}"
    return f"a {type(rows).__name__}"
