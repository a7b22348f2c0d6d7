"""Dense vectors without a download: a small stand-in for your embedding model."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class LatentSemanticAnalysis:
    """TF-IDF, projected onto the main directions of a collection (Deerwester et al. 1990).

    It lets the examples run offline. A neural embedding model finds more, and fits in its place.
    """

    def __init__(self, texts: Sequence[str], *, dim: int = 64) -> None:
        """Learn the words and the directions of a collection."""
        found_in = Counter(word for text in texts for word in set(_words(text)))
        self.column = {word: position for position, word in enumerate(found_in)}
        self.rarity = np.log((1 + len(texts)) / (1 + np.array(list(found_in.values()))))
        *_, directions = np.linalg.svd(self._tf_idf(texts), full_matrices=False)
        self.directions = directions[:dim].T

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a unit vector for each text; zeros for one without a known word."""
        vectors: list[list[float]] = _unit(self._tf_idf(texts) @ self.directions).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return one text's vector."""
        return self.embed_documents([text])[0]

    def _tf_idf(self, texts: Sequence[str]) -> NDArray[np.float64]:
        weights = np.zeros((len(texts), len(self.column)))
        for row, text in enumerate(texts):
            for word, count in Counter(_words(text)).items():
                if (column := self.column.get(word)) is not None:
                    weights[row, column] = (1 + np.log(count)) * self.rarity[column]
        return _unit(weights)


def _words(text: str) -> list[str]:
    return re.findall(r"\w\w+", text.lower())


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
