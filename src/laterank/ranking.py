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
        fused: What it is sorted by where a fusion was asked for; None without.
        truncated: Whether its end was not read, because it is longer than the model reads.
        window: The characters that the score is of, first and one after last, of a document that was read in windows.
    """

    index: int
    score: float
    fused: float | None = None
    truncated: bool = False
    window: tuple[int, int] | None = None


def best(
    sums: NDArray[np.float32],
    scores: Sequence[float],
    *,
    top_n: int | None,
    score_threshold: float | None,
    fused: NDArray[np.float64] | None = None,
) -> list[RankedDocument]:
    """Sort by raw MaxSim or what it was fused to, equal ones in the caller's order, and cut.

    Scores may have rounded what the sums tell apart. The threshold is one of scores, whatever the order.
    """
    order = np.argsort(-sums if fused is None else -fused, kind="stable").tolist()
    if score_threshold is not None:
        order = [index for index in order if scores[index] >= score_threshold]
    if fused is None:
        return [RankedDocument(index, scores[index]) for index in order[:top_n]]
    values = np.maximum(fused, 0.0).tolist()  # nothing to read is minus infinity
    return [RankedDocument(index, scores[index], values[index]) for index in order[:top_n]]
