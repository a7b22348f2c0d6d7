"""Optimal Brain Surgeon over the inputs of a linear map: which can go, and what the others then do in their place.

The error of a map ``V`` in the place of ``W``, over inputs ``x`` with second moments ``H = sum x x^T``, is
``tr((W - V) H (W - V)^T)``. Without some of the inputs it is least for the least-squares map of the rest (Hassibi and Stork
1993; for whole heads and neurons of transformers Kurtic et al. 2023, arXiv 2302.04089).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cut", "Matrix", "correction", "cuts", "refitted"]

Matrix = NDArray[np.float64]
Positions = NDArray[np.intp]

DAMPING = 1e-3
"""Of the mean second moment, added to each: inputs that nearly repeat each other would have no inverse."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The inputs that are left, in order, and the least error without the others."""

    kept: Positions
    error: float


def damped(moments: Matrix) -> Matrix:
    """Return ``moments`` with a little more on the diagonal."""
    return np.asarray(moments + DAMPING * np.mean(np.diag(moments)) * np.eye(len(moments)))


def refitted(weight: Matrix, moments: Matrix, kept: Positions) -> Matrix:
    """Return the map of the inputs ``kept`` that comes nearest to ``weight``.

    Args:
        weight: *Shape:* ``(out, in)``
        moments: Sum of ``x x^T``. *Shape:* ``(in, in)``
        kept: *Shape:* ``(kept,)``

    Returns:
        *Shape:* ``(out, kept)``
    """
    solid = damped(moments)
    return np.asarray(np.linalg.solve(solid[np.ix_(kept, kept)], solid[kept] @ weight.T).T)


def correction(moments: Matrix, missing: Matrix) -> Matrix:
    """Return what to add to a map so that its outputs come nearest to the wanted ones.

    Args:
        moments: Sum of ``x x^T``. *Shape:* ``(in, in)``
        missing: Sum of ``(wanted - found) x^T``. *Shape:* ``(out, in)``

    Returns:
        *Shape:* ``(out, in)``
    """
    return np.asarray(np.linalg.solve(damped(moments), missing.T).T)


def cuts(weight: Matrix, moments: Matrix, group: int = 1, at_once: int = 1) -> list[Cut]:
    """Leave out the groups of inputs that cost least, ``at_once`` in each round, until that many or fewer are left.

    Args:
        weight: *Shape:* ``(out, in)``
        moments: Sum of ``x x^T``. *Shape:* ``(in, in)``
        group: How many neighbouring inputs stay or go together: 1, or the size of an attention head.
        at_once: Groups that go before all costs are computed again.

    Returns:
        One for each round, the first with every input.
    """
    inverse, kept, error = np.linalg.inv(damped(moments)), np.arange(len(moments)), 0.0
    found = [Cut(kept, error)]
    while len(kept) > at_once * group:
        cheapest = np.sort(np.argsort(_costs(weight, inverse, group))[:at_once])
        gone = (cheapest[:, None] * group + np.arange(group)).ravel()
        stays = np.delete(np.arange(len(kept)), gone)
        own, lost = inverse[np.ix_(gone, gone)], weight[:, gone]
        error += float(np.sum(np.linalg.solve(own, lost.T) * lost.T))
        taken_over = np.linalg.solve(own, inverse[np.ix_(gone, stays)])
        weight = weight[:, stays] - lost @ taken_over
        inverse = inverse[np.ix_(stays, stays)] - inverse[np.ix_(stays, gone)] @ taken_over
        kept = kept[stays]
        found.append(Cut(kept, error))
    return found


def _costs(weight: Matrix, inverse: Matrix, group: int) -> NDArray[np.float64]:
    """Return the error that leaving out each group would add. *Shape:* ``(groups,)``"""
    count = len(inverse) // group
    blocks = inverse.reshape(count, group, count, group)
    own = np.stack([blocks[i, :, i] for i in range(count)])
    parts = weight.reshape(len(weight), count, group).transpose(1, 2, 0)
    return np.asarray(np.sum(np.linalg.solve(own, parts) * parts, axis=(1, 2)))
