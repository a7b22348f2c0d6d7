"""Raw MaxSim of many queries over their documents, whose rows come from the cache where they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laterank.cache.lookup import DocumentRows
from laterank.checks import is_blank
from laterank.early_exit import EarlyExit
from laterank.encoding.protocol import Encoder
from laterank.errors import CacheError
from laterank.rows import StoredRows
from laterank.scoring import maxsim

__all__ = ["DocumentSums"]

Floats = NDArray[np.float32]

DOCUMENTS_AT_ONCE = 1024
"""Documents whose rows are held at one time, so that 10,000 candidates take no more memory than 1,000."""


@dataclass(frozen=True, slots=True)
class DocumentSums:
    """Scores texts, encoding each distinct one once, however many queries have it.

    Attributes:
        encoder: The model.
        rows: Where documents' rows come from.
    """

    encoder: Encoder
    rows: DocumentRows

    def of(
        self,
        queries: Sequence[Floats],
        documents_per_query: Sequence[Sequence[str]],
        early: EarlyExit,
    ) -> list[Floats]:
        """Return raw MaxSim.

        Args:
            queries: Each query's rows. *Shape:* ``(query_rows, dim)``
            documents_per_query: Each query's texts.
            early: When to stop encoding; what is left then is NaN.

        Returns:
            Minus infinity for a text without anything to score. *Shape:* ``(documents,)`` for each query

        Raises:
            CacheError: If the cache gives broken rows.
        """
        if not early.on:
            return self._all(queries, documents_per_query)
        pairs = zip(queries, documents_per_query, strict=True)
        return [self._promising(query, documents, early) for query, documents in pairs]

    def _all(self, queries: Sequence[Floats], documents_per_query: Sequence[Sequence[str]]) -> list[Floats]:
        sum_of: list[dict[str, float]] = [{} for _ in queries]
        askers: dict[str, list[int]] = {}
        for asker, documents in enumerate(documents_per_query):
            for text in dict.fromkeys(documents):
                if not is_blank(text):
                    askers.setdefault(text, []).append(asker)
        to_score = list(askers)
        threads = getattr(
            self.encoder, "threads", None
        )  # an encoder of the caller's may have no such setting
        for start in range(0, len(to_score), DOCUMENTS_AT_ONCE):
            piece = to_score[start : start + DOCUMENTS_AT_ONCE]
            mine: dict[int, dict[str, StoredRows]] = {}
            for text, rows in zip(piece, self.rows.of(piece), strict=True):
                if len(rows):
                    for asker in askers[text]:
                        mine.setdefault(asker, {})[text] = rows
            for asker, rows_of in mine.items():
                sums = maxsim(queries[asker], list(rows_of.values()), threads=threads)
                if not np.isfinite(sums).all():
                    raise CacheError(
                        f"a score of {self.encoder.name} is not finite: the cache holds broken rows; clear it"
                    )
                sum_of[asker].update(zip(rows_of, sums.tolist(), strict=True))
        return [
            np.array([found.get(text, -np.inf) for text in documents], dtype=np.float32)
            for found, documents in zip(sum_of, documents_per_query, strict=True)
        ]

    def _promising(self, query: Floats, documents: Sequence[str], early: EarlyExit) -> Floats:
        texts = [text for text in dict.fromkeys(documents) if not is_blank(text)]
        keys = self.rows.keys(texts)
        missing = {keys[key] for key in self.rows.missing(list(keys))}
        free = [text for text in texts if text not in missing]
        found = early.score(texts, set(free), lambda some: self._all([query], [some])[0])
        unread = (-np.inf if is_blank(text) else np.nan for text in documents)
        sums = [found.get(text, other) for text, other in zip(documents, unread, strict=True)]
        return np.array(sums, dtype=np.float32)
