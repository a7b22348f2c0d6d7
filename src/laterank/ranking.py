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
        scored: Whether the model read it; False behind an early exit, where ``score`` is the lowest there is.
    """

    index: int
    score: float
    scored: bool = True


def best(
    sums: NDArray[np.float32], scores: Sequence[float], *, top_n: int | None, score_threshold: float | None
) -> list[RankedDocument]:
    """Sort by raw MaxSim, equal ones in the caller's order, and cut; scores may have rounded what the sums tell apart.

    NaN is a document that was not scored: it comes after those that were, before blank ones, and reaches no threshold.
    """
    unscored = np.isnan(sums)
    order = np.argsort(-np.where(unscored, np.finfo(np.float32).min, sums), kind="stable")[:top_n].tolist()
    ranking = [RankedDocument(index, scores[index], not unscored[index]) for index in order]
    if score_threshold is None:
        return ranking
    return [document for document in ranking if document.scored and document.score >= score_threshold]
