"""Raw MaxSim of many queries over their documents, whose rows come from the cache where they are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from laterank.cache.lookup import DocumentRows
from laterank.checks import is_blank
from laterank.early_exit import EarlyExit
from laterank.encoding.protocol import Encoder
from laterank.errors import CacheError
from laterank.long_documents import Pieces
from laterank.rows import StoredRows
from laterank.scoring import maxsim

__all__ = ["DocumentSums"]

Floats = NDArray[np.float32]

DOCUMENTS_AT_ONCE = 1024
"""Documents whose rows are held at one time, so that 10,000 candidates take no more memory than 1,000."""
CHARACTERS_AT_ONCE = 1 << 21
"""Characters of these documents, unless one alone has more: some 50 MB of INT8 rows of 128 numbers, or four times that in
float32, where a model reads English to its end."""


@dataclass(frozen=True, slots=True)
class DocumentSums:
    """Scores texts, encoding each distinct one once, however many queries have it.

    Attributes:
        encoder: The model.
        rows: Where documents' rows come from.
        counts: How many rows each text had that was scored here.
    """

    encoder: Encoder
    rows: DocumentRows
    counts: dict[str, int] = field(default_factory=dict)

    def of(
        self,
        queries: Sequence[Floats],
        pieces_per_query: Sequence[Pieces],
        early: EarlyExit,
    ) -> list[Floats]:
        """Return raw MaxSim.

        Args:
            queries: Each query's rows. *Shape:* ``(query_rows, dim)``
            pieces_per_query: Each query's documents, or their windows.
            early: When to stop encoding documents; what is left then is NaN, for all windows of a document.

        Returns:
            Minus infinity for a text without anything to score. *Shape:* ``(pieces,)`` for each query

        Raises:
            CacheError: If the cache gives broken rows.
        """
        if not early.on:
            return self._all(queries, [pieces.texts for pieces in pieces_per_query])
        pairs = zip(queries, pieces_per_query, strict=True)
        return [self._promising(query, pieces.of_documents, early) for query, pieces in pairs]

    def _all(self, queries: Sequence[Floats], documents_per_query: Sequence[Sequence[str]]) -> list[Floats]:
        sum_of: list[dict[str, float]] = [{} for _ in queries]
        askers: dict[str, list[int]] = {}
        for asker, documents in enumerate(documents_per_query):
            for text in dict.fromkeys(documents):
                if not is_blank(text):
                    askers.setdefault(text, []).append(asker)
        for piece in _pieces(list(askers)):
            for asker, found in self._sums_of(piece, queries, askers).items():
                sum_of[asker].update(found)
        return [
            np.array([found.get(text, -np.inf) for text in documents], dtype=np.float32)
            for found, documents in zip(sum_of, documents_per_query, strict=True)
        ]

    def _sums_of(
        self, texts: Sequence[str], queries: Sequence[Floats], askers: Mapping[str, Sequence[int]]
    ) -> dict[int, dict[str, float]]:
        """Return what each query gives its texts; a function of its own, so that no rows outlive it."""
        mine: dict[int, dict[str, StoredRows]] = {}
        for text, rows in zip(texts, self.rows.of(texts), strict=True):
            self.counts[text] = len(rows)
            if len(rows):
                for asker in askers[text]:
                    mine.setdefault(asker, {})[text] = rows
        threads = getattr(
            self.encoder, "threads", None
        )  # an encoder of the caller's may have no such setting
        sums_of: dict[int, dict[str, float]] = {}
        for asker, rows_of in mine.items():
            sums = maxsim(queries[asker], list(rows_of.values()), threads=threads)
            if not np.isfinite(sums).all():
                raise CacheError(
                    f"a score of {self.encoder.name} is not finite: the cache holds broken rows; clear it"
                )
            sums_of[asker] = dict(zip(rows_of, sums.tolist(), strict=True))
        return sums_of

    def _promising(self, query: Floats, documents: Sequence[Sequence[str]], early: EarlyExit) -> Floats:
        """Score documents, each given as its texts, whole or not at all."""
        candidates = [tuple(texts) for texts in documents]
        readable = [texts for texts in dict.fromkeys(candidates) if not all(map(is_blank, texts))]
        keys = self.rows.keys(text for texts in readable for text in texts if not is_blank(text))
        missing = {keys[key] for key in self.rows.to_encode(list(keys))}
        free = {texts for texts in readable if missing.isdisjoint(texts)}
        sum_of: dict[str, float] = {}

        def score(some: Sequence[tuple[str, ...]]) -> Floats:
            distinct = list(dict.fromkeys(text for texts in some for text in texts))
            sum_of.update(zip(distinct, self._all([query], [distinct])[0].tolist(), strict=True))
            return np.array([max(sum_of[text] for text in texts) for texts in some], dtype=np.float32)

        found = early.score(readable, free, score)
        sums: list[float] = []
        for texts in candidates:
            if texts in found:
                sums += [sum_of[text] for text in texts]
            else:
                sums += [-np.inf if all(map(is_blank, texts)) else np.nan] * len(texts)
        return np.array(sums, dtype=np.float32)


def _pieces(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in order, as many together as their rows may be held at one time."""
    piece: list[str] = []
    characters = 0
    for text in texts:
        if piece and (len(piece) == DOCUMENTS_AT_ONCE or characters + len(text) > CHARACTERS_AT_ONCE):
            yield piece
            piece, characters = [], 0
        piece.append(text)
        characters += len(text)
    if piece:
        yield piece
