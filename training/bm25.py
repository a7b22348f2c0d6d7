"""BM25 candidates, because a reranker is trained and judged on what a first stage hands it."""

from __future__ import annotations

import bm25s
import numpy as np


class Bm25:
    """The first stage: bm25s with its defaults and English stop words."""

    def __init__(self, documents: list[str]) -> None:
        self.index = bm25s.BM25()
        self.index.index(bm25s.tokenize(documents, stopwords="en", show_progress=False), show_progress=False)
        self.size = len(documents)

    def search(self, queries: list[str], depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and scores of the best documents. *Shape:* ``(queries, depth)`` each."""
        tokens = bm25s.tokenize(queries, stopwords="en", show_progress=False)
        positions, scores = self.index.retrieve(
            tokens, k=min(depth, self.size), show_progress=False, n_threads=1
        )
        return positions, scores
