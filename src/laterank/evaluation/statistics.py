"""Means of systems, their differences, and how sure both are: the paired bootstrap over queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laterank.errors import InputError

__all__ = ["RESAMPLES", "SEED", "Estimate", "Summary", "resampled_means", "summarise"]

Floats = NDArray[np.float64]

RESAMPLES, SEED = 10_000, 0
AT_ONCE = 1_000
"""Resamples drawn together, so that a thousand queries take megabytes."""

SystemValues = Mapping[str, Mapping[str, Mapping[str, float]]]
"""System, measure and query to a value, of one collection."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries, or a difference of two, with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One system on one collection, or on the mean over collections.

    Attributes:
        means: By measure.
        differences: How much better it is, by baseline and measure.
    """

    means: dict[str, Estimate]
    differences: dict[str, dict[str, Estimate]]


def resampled_means(values: Floats, *, seed: Sequence[int], resamples: int = RESAMPLES) -> Floats:
    """Draw as many queries as there are, with replacement, and average; again and again (Efron 1979).

    All columns see the same draws, so the difference of two columns is that of the paired bootstrap.

    Args:
        values: One query a row. *Shape:* ``(queries, columns)``
        seed: Decides the draws.
        resamples: How often.

    Returns:
        *Shape:* ``(resamples, columns)``
    """
    random, count = np.random.default_rng(seed), len(values)
    means = []
    for start in range(0, resamples, AT_ONCE):
        drawn = random.multinomial(count, np.full(count, 1 / count), size=min(AT_ONCE, resamples - start))
        means.append(drawn @ values / count)  # how often each query was drawn is all that a mean needs
    return np.concatenate(means)


def summarise(
    collections: Mapping[str, SystemValues], baselines: Sequence[str], *, resamples: int = RESAMPLES
) -> tuple[dict[str, dict[str, Summary]], dict[str, Summary]]:
    """Compare every system to each baseline that was measured beside it.

    Queries are drawn within each collection; the mean weighs collections alike and takes the systems that all have.

    Returns:
        Summaries by collection and system, and those of the mean over collections by system.
    """
    found: dict[str, dict[str, Summary]] = {}
    points: list[dict[tuple[str, str], float]] = []
    draws: list[dict[tuple[str, str], Floats]] = []
    for name, systems in collections.items():
        columns, values = _columns(systems)
        drawn = resampled_means(values, seed=[SEED, *name.encode()], resamples=resamples)
        points.append(dict(zip(columns, values.mean(axis=0).tolist(), strict=True)))
        draws.append(dict(zip(columns, drawn.T, strict=True)))
        found[name] = _summaries(points[-1], draws[-1], baselines)
    shared = [column for column in points[0] if all(column in point for point in points)] if points else []
    mean_points = {column: float(np.mean([point[column] for point in points])) for column in shared}
    mean_draws = {column: np.mean([drawn[column] for drawn in draws], axis=0) for column in shared}
    return found, _summaries(mean_points, mean_draws, baselines)


def _columns(systems: SystemValues) -> tuple[list[tuple[str, str]], Floats]:
    """Lay every system's values side by side, one query a row, all in the order of the first."""
    columns = [(system, measure) for system, measures in systems.items() for measure in measures]
    queries = list(systems[columns[0][0]][columns[0][1]])
    for system, measure in columns:
        if systems[system][measure].keys() != set(queries):
            raise InputError(
                f"{system} was measured with other queries than {columns[0][0]}; measure both with the same"
            )
    values = [[systems[system][measure][query] for system, measure in columns] for query in queries]
    return columns, np.array(values, dtype=np.float64)


def _summaries(
    points: Mapping[tuple[str, str], float],
    draws: Mapping[tuple[str, str], Floats],
    baselines: Sequence[str],
) -> dict[str, Summary]:
    summaries: dict[str, Summary] = {}
    for system in dict.fromkeys(system for system, _ in points):
        measures = [measure for name, measure in points if name == system]
        differences = {
            base: {
                measure: _estimate(
                    points[system, measure] - points[base, measure],
                    draws[system, measure] - draws[base, measure],
                )
                for measure in measures
            }
            for base in baselines
            if base != system and all((base, measure) in points for measure in measures)
        }
        means = {measure: _estimate(points[system, measure], draws[system, measure]) for measure in measures}
        summaries[system] = Summary(means, differences)
    return summaries


def _estimate(mean: float, draws: Floats) -> Estimate:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(mean, float(low), float(high))
