"""Which document token each query row met, and its share of the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.reading import Token

__all__ = ["Match", "align", "shares"]

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Match:
    """One query row and the document token that it met: the one with the highest similarity.

    Where tokens are pooled, a document's row stands for several tokens, and all of them were met.

    Attributes:
        query: The row's token.
        document: The token that it met, the first of equals; of pooled ones the first.
        position: That token's place among the document's scored tokens.
        positions: The places of all tokens of the row that it met: ``position`` alone, unless tokens are pooled.
        similarity: Their cosine, in [-1, 1]. The similarities of all rows add up to raw MaxSim.
        share: The row's part of everything that speaks for the document, in [0, 1]: its similarity over the sum of all
            similarities above zero. A row below zero has a share of 0; its similarity says what it took off. The
            shares add up to 1, or are all 0 where nothing speaks for the document.
    """

    query: Token
    document: Token
    position: int
    positions: tuple[int, ...]
    similarity: float
    share: float


def align(
    query: Rows,
    document: Rows,
    *,
    query_tokens: Sequence[Token],
    document_tokens: Sequence[Token],
    pooled: Sequence[tuple[int, ...]] | None = None,
) -> tuple[Match, ...]:
    """Match each query row with the document row that MaxSim takes for it.

    ``score(q, d) = sum_i max_j <q_i, d_j>`` (Khattab & Zaharia 2020, arXiv 2004.12832): i has the match argmax j.

    Args:
        query: Unit-length rows. *Shape:* ``(query_tokens, dim)``
        document: Unit-length rows, at least one. *Shape:* ``(document_rows, dim)``
        query_tokens: One a row.
        document_tokens: One a row, unless they are pooled.
        pooled: The places of the tokens behind each of the document's rows; None for one each.
    """
    similarities = query.astype(np.float32) @ document.astype(np.float32).T
    met = similarities.argmax(axis=1)
    best = similarities[np.arange(len(query)), met]
    positions = [(row,) if pooled is None else pooled[row] for row in met.tolist()]
    return tuple(
        Match(token, document_tokens[places[0]], places[0], places, similarity, share)
        for token, places, similarity, share in zip(
            query_tokens, positions, best.tolist(), shares(best.tolist()), strict=True
        )
    )


def shares(similarities: Sequence[float]) -> list[float]:
    """Return each similarity's part of the sum of those above zero; zeros where none is."""
    positive = [max(similarity, 0.0) for similarity in similarities]
    total = sum(positive)
    return [part / total if total > 0 else 0.0 for part in positive]
