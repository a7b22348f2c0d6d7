"""Reranking a whole collection, and how long a query takes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeAlias

from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.models import with_empty_cache
from laterank.evaluation.rank_options import ALONE, RankOptions
from laterank.reranker import Reranker

__all__ = ["System", "Timing", "rerank_collection", "time_queries"]

WARM_REPETITIONS = 3

System: TypeAlias = tuple[Reranker, RankOptions]
"""A model, and how it is asked."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long queries took, each measured alone: the whole call of ``Reranker.rank``.

    Attributes:
        documents: The candidates of a query, in the middle.
        cold_seconds: A value a query: nothing is in the cache, every candidate is encoded.
        warm_seconds: A value a query: all candidates are in the cache; the fastest of three calls.
    """

    documents: int
    cold_seconds: tuple[float, ...]
    warm_seconds: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON; seconds."""
        return {
            "queries": len(self.cold_seconds),
            "documents": self.documents,
            "cold": _spread(self.cold_seconds),
            "warm": _spread(self.warm_seconds),
        }


def rerank_collection(
    reranker: Reranker,
    collection: Collection,
    candidates: Mapping[str, Sequence[str]],
    *,
    options: RankOptions = ALONE,
    first_scores: Mapping[str, Sequence[float]] | None = None,
    tell: Callable[[int], object] = lambda queries: None,
) -> Ranking:
    """Sort each query's candidates.

    Args:
        reranker: The model; with a cache, documents that several queries share are encoded once. An early exit is measured
            without, as what an earlier query had encoded would be read for nothing.
        collection: The texts.
        candidates: Query to documents, the first stage's best first.
        options: How it is asked.
        first_scores: The first stage's scores of the candidates, which ``fusion="weighted"`` needs.
        tell: Called with 1 after each query.
    """
    rankings: Ranking = {}
    for query, found in candidates.items():
        asked = with_empty_cache(reranker) if options.ends_early else reranker
        texts = [collection.documents[document] for document in found]
        scores = first_scores[query] if first_scores is not None else None
        rankings[query] = [
            found[place] for place in options.order(asked, collection.queries[query], texts, scores)
        ]
        tell(1)
    return rankings


def time_queries(
    systems: Mapping[str, System],
    collection: Collection,
    candidates: Mapping[str, Sequence[str]],
    queries: int,
    *,
    first_scores: Mapping[str, Sequence[float]] | None = None,
    tell: Callable[[int], object] = lambda queries: None,
) -> dict[str, Timing]:
    """Measure a seeded sample of queries, the systems in turn at each, so that a machine's moods meet all of them.

    Args:
        systems: Models, and how they are asked, by name.
        collection: The texts.
        candidates: Query to documents.
        queries: How many to measure.
        first_scores: The first stage's scores of the candidates, which ``fusion="weighted"`` needs.
        tell: Called with 1 after each query and system.
    """
    with_candidates = [query for query, found in candidates.items() if found]
    sample = random.Random(0).sample(with_candidates, min(queries, len(with_candidates)))
    cold: dict[str, list[float]] = {name: [] for name in systems}
    warm: dict[str, list[float]] = {name: [] for name in systems}
    for reranker, _ in systems.values():
        reranker.load()
    for query in sample:
        texts = [collection.documents[document] for document in candidates[query]]
        scores = first_scores[query] if first_scores is not None else None
        for name, (reranker, options) in systems.items():
            fresh = with_empty_cache(reranker)
            seconds = partial(_seconds, options, fresh, collection.queries[query], texts, scores)
            cold[name].append(seconds())
            fresh.warm(texts)  # an early exit has left some
            warm[name].append(min(seconds() for _ in range(WARM_REPETITIONS)))
            tell(1)
    documents = int(median(len(candidates[query]) for query in sample)) if sample else 0
    return {name: Timing(documents, tuple(cold[name]), tuple(warm[name])) for name in systems if sample}


def _seconds(
    options: RankOptions,
    reranker: Reranker,
    query: str,
    texts: Sequence[str],
    scores: Sequence[float] | None,
) -> float:
    start = time.perf_counter()
    options.order(reranker, query, texts, scores)
    return time.perf_counter() - start


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "median_seconds": round(median(seconds), 6),
        "least_seconds": round(min(seconds), 6),
        "most_seconds": round(max(seconds), 6),
    }
