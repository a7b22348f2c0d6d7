"""Mixing the reranker's ranking with the first stage's: by reciprocal ranks, or by weighted scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from laterank.checks import as_float
from laterank.errors import InputError, InputTypeError

__all__ = ["Fusion", "FusionKind", "checked_fusion", "checked_scores", "normalised", "ranks"]

FusionKind = Literal["rrf", "weighted"]
Floats = NDArray[np.float64]

RRF_K = 60
"""What is added to every rank, so that the first few do not decide alone; the paper's value."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """One way to mix two rankings of the same documents.

    ``rrf`` adds reciprocal ranks: ``2 (w / (60 + rank) + (1 - w) / (60 + first_rank))``, with equal weights the sum of Cormack,
    Clarke & Büttcher 2009 (doi 10.1145/1571941.1572114). ``weighted`` adds scores, each side's scaled to [0, 1] over the list:
    ``w scaled + (1 - w) first_scaled`` (Bruch, Gai & Ingber 2023, arXiv 2210.11934).

    Attributes:
        kind: ``rrf`` or ``weighted``.
        weight: The reranker's share, from 0 (the first stage's order) to 1 (the reranker's).
    """

    kind: FusionKind
    weight: float = 0.5

    def of(self, sums: NDArray[np.float32], first_scores: Sequence[float] | None) -> Floats:
        """Mix one query's rankings.

        Args:
            sums: Raw MaxSim; minus infinity for a document without anything to score. *Shape:* ``(documents,)``
            first_scores: The first stage's, higher for better, checked; None where the documents' order is all there is,
                which ``rrf`` needs no more than. *Shape:* ``(documents,)``

        Returns:
            Higher for better; minus infinity where the sum is. *Shape:* ``(documents,)``
        """
        places = -np.arange(len(sums), dtype=np.float64)
        first = places if first_scores is None else np.array(first_scores, dtype=np.float64)
        readable = ~np.isneginf(sums)
        mixed = np.full(len(sums), -np.inf)
        mine, other = sums[readable].astype(np.float64), first[readable]
        if self.kind == "rrf":
            mine, other = 2 / (RRF_K + ranks(mine)), 2 / (RRF_K + ranks(first)[readable])
        else:
            mine, other = normalised(mine), normalised(other)
        mixed[readable] = self.weight * mine + (1 - self.weight) * other
        return mixed


def ranks(scores: Floats) -> Floats:
    """Return each score's rank from 1, the highest first, equal ones in the given order. *Shape:* ``(documents,)``"""
    found = np.empty(len(scores))
    found[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return found


def normalised(scores: Floats) -> Floats:
    """Scale scores to [0, 1], the lowest to 0 and the highest to 1; all to 0 where all are equal. *Shape:* ``(documents,)``"""
    if not len(scores):
        return scores
    halves = scores / 2  # the span of the largest numbers would overflow
    span = halves.max() - halves.min()
    return np.zeros(len(scores)) if span == 0 else np.asarray((halves - halves.min()) / span)


def checked_fusion(kind: FusionKind | None, weight: float) -> Fusion | None:
    """Return the fusion, or None for none.

    Raises:
        InputError: If there is no such kind, or the weight is not between 0 and 1.
    """
    if isinstance(weight, (bool, np.bool_)) or not isinstance(weight, Real) or not 0 <= weight <= 1:
        raise InputError(f"fusion_weight is {weight!r}, expected the reranker's share, from 0 to 1")
    if kind is None:
        return None
    if kind not in get_args(FusionKind):
        known = ", ".join(map(repr, get_args(FusionKind)))
        raise InputError(f"fusion is {kind!r}, expected one of {known}, or None")
    return Fusion(kind, float(weight))


def checked_scores(
    fusion: Fusion | None,
    scores_per_query: Sequence[Sequence[float]] | None,
    documents_per_query: Sequence[Sequence[str]],
) -> list[list[float] | None]:
    """Return each query's first-stage scores as Python floats, or None where there are none and none are needed.

    Raises:
        InputTypeError: If a score is no number, naming its position.
        InputError: If there are scores and no fusion, a fusion that lacks them, not one for each document, or one that is
            not finite.
    """
    name, queries = "first_stage_scores", len(documents_per_query)
    if scores_per_query is None:
        if fusion is not None and fusion.kind == "weighted":
            raise InputError(
                f'fusion="weighted" mixes scores: pass {name}, or fusion="rrf", which mixes ranks'
            )
        return [None] * queries
    if fusion is None:
        raise InputError(f'{name} is given without a fusion: pass fusion="rrf" or fusion="weighted"')
    if not isinstance(scores_per_query, (Sequence, np.ndarray)):
        raise InputTypeError(
            f"{name} is {type(scores_per_query).__name__}, expected one list of numbers for each query"
        )
    if len(scores_per_query) != queries:
        raise InputError(f"{name} has {len(scores_per_query)} lists for {queries} queries")
    names = [name] if queries == 1 else [f"{name}[{position}]" for position in range(queries)]
    return [
        _checked(scores, len(documents), name)
        for scores, documents, name in zip(scores_per_query, documents_per_query, names, strict=True)
    ]


def _checked(scores: Sequence[float], documents: int, name: str) -> list[float]:
    if isinstance(scores, (str, bytes)) or not isinstance(scores, (Sequence, np.ndarray)):
        raise InputTypeError(f"{name} is {type(scores).__name__}, expected one number for each document")
    if len(scores) != documents:
        raise InputError(f"{name} has {len(scores)} scores for {documents} documents")
    for position, score in enumerate(scores):
        if isinstance(score, (bool, np.bool_)) or not isinstance(score, Real):
            raise InputTypeError(
                f'{name}[{position}] is {score!r}, expected a number; fusion="rrf" can do without scores'
            )
        if not isfinite(as_float(score)):
            raise InputError(f"{name}[{position}] is {score!r}, expected a finite number")
    return [float(score) for score in scores]
