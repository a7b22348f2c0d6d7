"""How near a graph's rows are to those that they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.projection import Projection
from laterank.encoding.tokenization import ColbertTokenizer, Tokens
from laterank.export.graph import Floats
from laterank.export.network import Network
from laterank.scoring import maxsim

__all__ = ["Fidelity", "Sample", "batch_difference", "compare", "least_row_cosine", "reference_rows"]

TOP = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts to look at a model with."""

    documents: tuple[str, ...]
    queries: tuple[str, ...]

    def tokens(self, tokenizer: ColbertTokenizer) -> list[Tokens]:
        """Tokenise the documents, then the queries."""
        return [*tokenizer.documents(self.documents), *tokenizer.queries(self.queries)]

    def rows(self, encoder: ColbertEncoder) -> Encoded:
        """Encode the documents and the queries."""
        encoder.say_nothing_of_cuts()
        return Encoded(encoder.encode_documents(self.documents), encoder.encode_queries(self.queries))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample's rows."""

    documents: list[Floats]
    queries: list[Floats]

    def joined(self) -> Floats:
        """Return all rows. *Shape:* ``(tokens of all texts, dim)``"""
        return np.concatenate([*self.documents, *self.queries])


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How near INT8 rows and rankings are to those of full precision, on sample texts.

    Attributes:
        cosine_mean: Of token embeddings, on average.
        cosine_p1: The same, at the first percentile.
        top_10_overlap: How many of a query's ten best documents are the same, in [0, 1], on average over queries.
    """

    cosine_mean: float
    cosine_p1: float
    top_10_overlap: float


def compare(exact: Encoded, rounded: Encoded) -> Fidelity:
    """Compare two encodings of the same sample."""
    cosines = np.einsum("ij,ij->i", exact.joined(), rounded.joined())
    overlaps = [
        len(_best(one, exact.documents) & _best(other, rounded.documents)) / min(TOP, len(exact.documents))
        for one, other in zip(exact.queries, rounded.queries, strict=True)
    ]
    return Fidelity(float(cosines.mean()), float(np.percentile(cosines, 1)), float(np.mean(overlaps or 1.0)))


def least_row_cosine(encoded: Encoded, expected: Encoded) -> float:
    """Return the cosine of the row that is farthest from what it should be."""
    return float(np.einsum("ij,ij->i", encoded.joined(), expected.joined()).min())


def reference_rows(
    network: Network, projection: Projection | None, tokenizer: ColbertTokenizer, sample: Sample
) -> Encoded:
    """Encode a sample by the network's definition, without any graph."""

    def rows(tokens: Tokens) -> Floats:
        states = network.states(tokens.ids, tokens.attention)[tokens.scored]
        projected = projection(states) if projection else states
        unit: Floats = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        return unit

    documents, queries = tokenizer.documents(sample.documents), tokenizer.queries(sample.queries)
    return Encoded([rows(tokens) for tokens in documents], [rows(tokens) for tokens in queries])


def batch_difference(encoder: ColbertEncoder, together: Encoded, sample: Sample) -> float:
    """Return by how much a number of a row changes at most where a document is encoded alone."""
    alone = [encoder.encode_documents([text])[0] for text in sample.documents]
    return max(_difference(one, other) for one, other in zip(alone, together.documents, strict=True))


def _difference(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).max(initial=0.0))


def _best(query: NDArray[np.float32], documents: Sequence[Floats]) -> set[int]:
    return set(np.argsort(-maxsim(query, documents), kind="stable")[:TOP].tolist())
