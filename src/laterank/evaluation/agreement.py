"""How alike two rankings of the same documents are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laterank.errors import InputError

__all__ = ["PERSISTENCE", "kendall_tau", "overlap", "rank_biased_overlap"]

PERSISTENCE = 0.9
"""How probable it is that a reader goes on to the next document: the first ten have 86% of the weight."""


def kendall_tau(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how many more pairs are in the same order than in the opposite one, as a share of all (Kendall 1938).

    Args:
        one: The documents, the best first.
        other: The same documents in another order.

    Returns:
        1 for the same order, -1 for the opposite one; 1 where there is no pair.

    Raises:
        InputError: If the two do not rank the same documents.

    Examples:
        >>> kendall_tau(["a", "b", "c"], ["a", "c", "b"])
        0.3333333333333333
    """
    _check_same(one, other)
    if len(one) < 2:
        return 1.0
    place = {document: number for number, document in enumerate(other)}
    places = np.array([place[document] for document in one])
    signs = np.sign(places[None, :] - places[:, None])[np.triu_indices(len(one), k=1)]
    return float(signs.mean())


def rank_biased_overlap(
    one: Sequence[str], other: Sequence[str], *, persistence: float = PERSISTENCE
) -> float:
    """Return the overlap at every depth, with less weight the deeper it is (Webber, Moffat & Zobel 2010, RBO_ext).

    ``RBO_ext = X_k / k * p^k + (1 - p) / p * sum_d X_d / d * p^d``, where ``X_d`` is how many documents the first ``d`` of both
    have in common, and ``k`` is the length.

    Args:
        one: The documents, the best first.
        other: The same documents in another order.
        persistence: ``p``, between 0 and 1.

    Returns:
        From 0 to 1, for the same order.

    Raises:
        InputError: If the two do not rank the same documents.

    Examples:
        >>> round(rank_biased_overlap(["a", "b", "c"], ["a", "c", "b"]), 3)
        0.955
    """
    _check_same(one, other)
    if not one:
        return 1.0
    depths = np.arange(1, len(one) + 1)
    place = {document: number for number, document in enumerate(other)}
    deeper = np.array([max(number, place[document]) for number, document in enumerate(one)])
    common = np.array([(deeper < depth).sum() for depth in depths])
    weights = persistence**depths
    tail = common[-1] / depths[-1] * weights[-1]
    return float(tail + (1 - persistence) / persistence * (common / depths * weights).sum())


def overlap(one: Sequence[str], other: Sequence[str], depth: int) -> float:
    """Return which share of the first ``depth`` documents both have in common; 1 where there are none."""
    size = min(depth, len(one))
    return len(set(one[:depth]) & set(other[:depth])) / size if size else 1.0


def _check_same(one: Sequence[str], other: Sequence[str]) -> None:
    if len(set(one)) != len(one) or len(one) != len(other) or set(one) != set(other):
        raise InputError(
            f"the rankings have {len(one)} and {len(other)} documents; expected the same ones in both, each once"
        )
