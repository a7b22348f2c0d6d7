"""A ranking: which document comes where, and with which score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RankedDocument", "best"]


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document's place in a ranking.

    Attributes:
        index: Where the caller had it.
        score: How well it answers the query; a plain Python float.
    """

    index: int
    score: float


def best(
    sums: NDArray[np.float32], scores: Sequence[float], *, top_n: int | None, score_threshold: float | None
) -> list[RankedDocument]:
    """Sort by raw MaxSim, equal ones in the caller's order, and cut; scores may have rounded what the sums tell apart."""
    ranking = [RankedDocument(index, scores[index]) for index in _order(sums, top_n).tolist()]
    if score_threshold is None:
        return ranking
    return [document for document in ranking if document.score >= score_threshold]


def _order(sums: NDArray[np.float32], top_n: int | None) -> NDArray[np.intp]:
    """Return the places of the highest sums, highest first, equal ones in order, without sorting the rest."""
    if top_n is None or top_n >= len(sums):
        return np.argsort(-sums, kind="stable")
    lowest = np.partition(sums, len(sums) - top_n)[len(sums) - top_n]
    candidates = np.flatnonzero(sums >= lowest)
    return candidates[np.argsort(-sums[candidates], kind="stable")][:top_n]
