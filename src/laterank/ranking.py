"""A ranking: which document comes where, and with which score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RankedDocument", "best"]


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document's place in a ranking.

    Attributes:
        index: Where the caller had it.
        score: How well it answers the query; a plain Python float.
        fused: What it is sorted by where a fusion was asked for; None without.
        truncated: Whether its end was not read, because it is longer than the model reads.
        window: The characters that the score is of, first and one after last, of a document that was read in windows.
        scored: Whether the model read it; False behind an early exit, where ``score`` is the lowest there is.
    """

    index: int
    score: float
    fused: float | None = None
    truncated: bool = False
    window: tuple[int, int] | None = None
    scored: bool = True


def best(
    sums: NDArray[np.float32],
    scores: Sequence[float],
    *,
    top_n: int | None,
    score_threshold: float | None,
    fused: NDArray[np.float64] | None = None,
) -> list[RankedDocument]:
    """Sort by raw MaxSim or what it was fused to, equal ones in the caller's order, and cut.

    Scores may have rounded what the sums tell apart. The threshold is one of scores, whatever the order. NaN is a document that
    was not scored: it comes after those that were, before blank ones, and reaches no threshold.
    """
    scored = ~np.isnan(sums)
    keys = np.where(scored, sums, np.finfo(np.float32).min) if fused is None else fused
    if score_threshold is None:
        order = _order(keys, top_n)
    else:
        order = [index for index in _order(keys) if scored[index] and scores[index] >= score_threshold][
            :top_n
        ]
    if fused is None:
        return [RankedDocument(index, scores[index], scored=bool(scored[index])) for index in order]
    values = np.maximum(fused, 0.0).tolist()  # nothing to read is minus infinity
    return [RankedDocument(index, scores[index], values[index]) for index in order]


def _order(keys: NDArray[np.floating[Any]], top_n: int | None = None) -> list[int]:
    """Return the places of the highest keys, highest first, equal ones in order, without sorting the rest."""
    places = np.arange(len(keys))
    if top_n is not None and top_n < len(keys):
        lowest = np.partition(keys, len(keys) - top_n)[len(keys) - top_n]
        places = np.flatnonzero(keys >= lowest)
    order: list[int] = places[np.argsort(-keys[places], kind="stable")][:top_n].tolist()
    return order
