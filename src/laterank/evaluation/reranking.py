"""Reranking a whole collection, and how long a query takes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.models import with_empty_cache
from laterank.reranker import Reranker

__all__ = ["Timing", "rerank_collection", "time_queries"]

WARM_REPETITIONS = 3


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
    tell: Callable[[int], object] = lambda queries: None,
) -> Ranking:
    """Sort each query's candidates.

    Args:
        reranker: The model; with a cache, documents that several queries share are encoded once.
        collection: The texts.
        candidates: Query to documents, the first stage's best first.
        tell: Called with 1 after each query.
    """
    rankings: Ranking = {}
    for query, found in candidates.items():
        texts = [collection.documents[document] for document in found]
        rankings[query] = [found[place.index] for place in reranker.rank(collection.queries[query], texts)]
        tell(1)
    return rankings


def time_queries(
    rerankers: Mapping[str, Reranker],
    collection: Collection,
    candidates: Mapping[str, Sequence[str]],
    queries: int,
    *,
    tell: Callable[[int], object] = lambda queries: None,
) -> dict[str, Timing]:
    """Measure a seeded sample of queries, the models in turn at each, so that a machine's moods meet all of them.

    Args:
        rerankers: The models by name.
        collection: The texts.
        candidates: Query to documents.
        queries: How many to measure.
        tell: Called with 1 after each query and model.
    """
    with_candidates = [query for query, found in candidates.items() if found]
    sample = random.Random(0).sample(with_candidates, min(queries, len(with_candidates)))
    cold: dict[str, list[float]] = {name: [] for name in rerankers}
    warm: dict[str, list[float]] = {name: [] for name in rerankers}
    for reranker in rerankers.values():
        reranker.load()
    for query in sample:
        texts = [collection.documents[document] for document in candidates[query]]
        for name, reranker in rerankers.items():
            fresh = with_empty_cache(reranker)
            cold[name].append(_seconds(fresh, collection.queries[query], texts))
            again = [_seconds(fresh, collection.queries[query], texts) for _ in range(WARM_REPETITIONS)]
            warm[name].append(min(again))
            tell(1)
    documents = int(median(len(candidates[query]) for query in sample)) if sample else 0
    return {name: Timing(documents, tuple(cold[name]), tuple(warm[name])) for name in rerankers if sample}


def _seconds(reranker: Reranker, query: str, texts: Sequence[str]) -> float:
    start = time.perf_counter()
    reranker.rank(query, texts)
    return time.perf_counter() - start


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "median_seconds": round(median(seconds), 6),
        "least_seconds": round(min(seconds), 6),
        "most_seconds": round(max(seconds), 6),
    }
