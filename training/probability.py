"""Calibration: the logistic map from MaxSim to the probability of relevance, and how far off it is.

``fit_calibration`` makes an entry of the ``calibration.json`` that ships with a model; the package applies it
(``src/laterank/model/calibration.py``) and a test keeps both in step. Fit on some queries and measure on others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FORMAT = 1
FEATURES = ("mean", "log_query_tokens", "interaction")
MOST_QUERY_TOKENS = 512
RIDGE = 1e-6
MOST_STEPS = 100
CONVERGED = 1e-10


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs of similar predicted probability.

    Attributes:
        predicted: The mean predicted probability.
        observed: The share of relevant pairs.
        count: How many pairs.
    """

    predicted: float
    observed: float
    count: int


def pair_features(sums: ArrayLike, query_rows: ArrayLike, query_tokens: ArrayLike) -> Floats:
    """Return what the map knows of each (query, document) pair.

    Args:
        sums: Raw MaxSim. *Shape:* ``(pairs,)``
        query_rows: The query's scored rows, expansion included. *Shape:* ``(pairs,)`` or one number
        query_tokens: The query's scored rows without expansion. *Shape:* ``(pairs,)`` or one number

    Returns:
        The columns of ``FEATURES``. *Shape:* ``(pairs, 3)``
    """
    mean = np.asarray(sums, dtype=np.float64) / np.asarray(query_rows, dtype=np.float64)
    length = np.log(np.clip(np.asarray(query_tokens, dtype=np.float64), 1, MOST_QUERY_TOKENS))
    length = np.broadcast_to(length, mean.shape)
    return np.stack([mean, length, mean * length], axis=1)


def fit_calibration(
    sums: ArrayLike,
    query_rows: ArrayLike,
    query_tokens: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
) -> dict[str, Any]:
    """Fit an entry of ``calibration.json`` by logistic regression.

    Platt scaling (Platt 1999) with the query's length beside the score, by Newton's method (iteratively reweighted
    least squares) and a ridge of 1e-6 on standardised features, which only keeps separable labels finite. Labels are
    taken as they are; Platt's smoothed targets differ by less than one pair in all. The interaction is left out where it
    would let the probability fall with the score of a query of any length from 1 to 512 tokens.

    Args:
        sums: Raw MaxSim. *Shape:* ``(pairs,)``
        query_rows: The query's scored rows, expansion included. *Shape:* ``(pairs,)``
        query_tokens: The query's scored rows without expansion. *Shape:* ``(pairs,)``
        labels: 1 for a relevant document, 0 for another. *Shape:* ``(pairs,)``
        weights: What each pair counts; None for 1. *Shape:* ``(pairs,)``

    Returns:
        ``format``, ``features``, ``coefficients`` and ``intercept``. Add ``fitted_on``, and
        ``expected_calibration_error`` of pairs that were not fitted on; entries of other sizes go under ``dims``.

    Raises:
        ValueError: If the labels are all the same or not 0 and 1, a number is not finite, or the probability would fall
            with the score.
    """
    features, label = pair_features(sums, query_rows, query_tokens), np.asarray(labels, dtype=np.float64)
    weight = np.ones(len(label)) if weights is None else np.asarray(weights, dtype=np.float64)
    _check_pairs(features, label, weight)
    for count in (
        len(FEATURES),
        len(FEATURES) - 1,
    ):  # the last one, the interaction, is what can tilt the slope
        coefficients, intercept = _fit(features[:, :count], label, weight / weight.sum())
        tilt = coefficients[2] if count > 2 else 0.0
        slopes = coefficients[0] + tilt * np.log([1, MOST_QUERY_TOKENS])
        if (slopes > 0).all():
            return {
                "format": FORMAT,
                "features": list(FEATURES[:count]),
                "coefficients": coefficients.tolist(),
                "intercept": intercept,
            }
    raise ValueError(
        f"the probability would change by {slopes[0]:.3g} with the score, expected more than 0: "
        "fit on labels that the score can tell apart"
    )


def probabilities(
    entry: dict[str, Any], sums: ArrayLike, query_rows: ArrayLike, query_tokens: ArrayLike
) -> Floats:
    """Apply an entry to pairs, as the package does. *Shape:* ``(pairs,)``, in [0, 1]."""
    used = [FEATURES.index(name) for name in entry["features"]]
    features = pair_features(sums, query_rows, query_tokens)[:, used]
    log_odds = features @ np.array(entry["coefficients"]) + entry["intercept"]
    return np.asarray(np.exp(-np.logaddexp(0, -log_odds)))


def reliability(predicted: ArrayLike, labels: ArrayLike, bins: int = 10) -> list[Bin]:
    """Sort pairs by their probability into bins of equal count, for a reliability diagram.

    Equal probabilities always share a bin, so that the order of the pairs changes nothing; bins may then differ in
    count, or be fewer.

    Args:
        predicted: Probabilities of relevance. *Shape:* ``(pairs,)``
        labels: 1 or 0. *Shape:* ``(pairs,)``
        bins: How many to make.
    """
    probability, label = np.asarray(predicted, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    order = np.argsort(probability, kind="stable")
    probability, label = probability[order], label[order]
    cuts = np.array([len(order) * number // bins for number in range(1, bins)], dtype=np.int64)
    cuts = np.searchsorted(probability, probability[cuts], side="left")
    edges = np.unique([0, *cuts, len(order)])
    return [
        Bin(float(probability[start:end].mean()), float(label[start:end].mean()), end - start)
        for start, end in pairwise(edges.tolist())
    ]


def expected_calibration_error(predicted: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Return how far probabilities are from what is observed: ``sum_b (count_b / n) |observed_b - predicted_b|``.

    The expected calibration error of Naeini et al. 2015 ("Obtaining well calibrated probabilities using Bayesian
    binning") over bins of equal count in place of equal width (equal-mass ECE, Nguyen & O'Connor 2015,
    arXiv 1508.05154): most candidates are irrelevant, and bins of equal width would hold next to nothing.

    Args:
        predicted: Probabilities of relevance. *Shape:* ``(pairs,)``
        labels: 1 or 0. *Shape:* ``(pairs,)``
        bins: How many to make.
    """
    found = reliability(predicted, labels, bins)
    total = sum(one.count for one in found)
    return sum(one.count / total * abs(one.observed - one.predicted) for one in found)


def results(predicted: ArrayLike, labels: ArrayLike, bins: int = 10) -> dict[str, Any]:
    """Return what ``benchmarks/results/calibration.json`` holds and ``docs/make_figures.py`` draws."""
    found = reliability(predicted, labels, bins)
    return {
        "bins": [asdict(one) for one in found],
        "ece": expected_calibration_error(predicted, labels, bins),
    }


def _check_pairs(features: Floats, labels: Floats, weights: Floats) -> None:
    if not (np.isfinite(features).all() and np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("sums, query_rows, query_tokens or weights hold a number that is not finite, or < 0")
    kinds = np.unique(labels[weights > 0])
    if set(kinds) != {0.0, 1.0}:
        raise ValueError(f"labels are {kinds[:5]}, expected both 0 and 1")


def _fit(features: Floats, labels: Floats, weights: Floats) -> tuple[Floats, float]:
    """Fit on standardised features, so that the ridge weighs on all alike; return coefficients of the raw ones."""
    centre = weights @ features
    spread = np.sqrt(weights @ (features - centre) ** 2)
    varies = spread > 1e-9  # queries of one length leave nothing to learn about lengths
    scaled = (features - centre)[:, varies] / spread[varies]
    solution = _newton(np.column_stack([scaled, np.ones(len(scaled))]), labels, weights)
    coefficients = np.zeros(features.shape[1])
    coefficients[varies] = solution[:-1] / spread[varies]
    return coefficients, float(solution[-1] - coefficients @ centre)


def _newton(columns: Floats, labels: Floats, weights: Floats) -> Floats:
    """Minimise the weighted log loss plus the ridge, halving steps that overshoot; the last column is the intercept."""
    ridge = np.full(columns.shape[1], RIDGE)
    ridge[-1] = 0.0

    def loss(solution: Floats) -> float:
        log_odds = columns @ solution
        return float(weights @ (np.logaddexp(0, log_odds) - labels * log_odds) + ridge @ solution**2 / 2)

    solution = np.zeros(columns.shape[1])
    for _ in range(MOST_STEPS):
        fitted = np.exp(-np.logaddexp(0, -(columns @ solution)))
        gradient = columns.T @ (weights * (fitted - labels)) + ridge * solution
        if np.abs(gradient).max() < CONVERGED:
            break
        curvature = (columns * (weights * fitted * (1 - fitted))[:, None]).T @ columns + np.diag(ridge)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size = 1.0
        while loss(solution - size * step) > loss(solution) and size > 1e-6:
            size /= 2
        solution = solution - size * step
    return solution
