"""What the INT8 of the same weights keeps of fp32's top 10 and of its nDCG@10: without both, INT8's speed says nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from speed_model import minilm_colbert_folder
from speed_numbers import Bar, at_least, at_most, table

from laterank import MemoryCache, Reranker
from laterank.evaluation.agreement import overlap
from laterank.evaluation.evaluate import evaluate
from laterank.evaluation.first_stage import bm25_candidates
from laterank.evaluation.reading import read_collection

__all__ = ["fidelity_bars", "fidelity_tables", "measure_fidelity", "why_void"]

Found = Mapping[str, Any]

LEAST_OVERLAP = 0.93
MOST_LOST = 0.3
"""Points of nDCG@10, averaged over the collections."""
COLLECTIONS = ("wikiqa-test", "squad-dev")
JUDGED = ("scifact", "wikiqa-test")
"""All of their queries."""
DEPTH = 10
CACHE_BYTES = 1 << 30
MEASURE = "nDCG@10"


def measure_fidelity(options: argparse.Namespace) -> dict[str, Any]:
    """Compare INT8 with fp32 over BM25's candidates: the rankings of some queries, and nDCG@10 of all that are judged."""
    folder = minilm_colbert_folder(options.build)
    rerankers = {
        name: Reranker.from_pretrained(
            folder, quantized=name == "INT8", threads=options.threads, cache=MemoryCache(CACHE_BYTES)
        )
        for name in ("fp32", "INT8")
    }
    return {
        "queries": options.queries,
        "candidates": options.documents,
        "top_10_overlap": {name: _overlap(options, name, rerankers) for name in COLLECTIONS},
        "ndcg": {name: _ndcg(options, name, rerankers) for name in JUDGED},
    }


def _overlap(options: argparse.Namespace, name: str, rerankers: Mapping[str, Reranker]) -> float:
    """Return the share of one model's first ten among the other's, averaged over some queries."""
    collection = read_collection(options.data / "ir" / name)
    candidates = bm25_candidates(collection, options.documents)
    shared = []
    for query in list(candidates)[:: max(1, len(candidates) // options.queries)][: options.queries]:
        texts = [collection.documents[document] for document in candidates[query]]
        full, rounded = (
            [texts[place.index] for place in reranker.rank(collection.queries[query], texts)]
            for reranker in rerankers.values()
        )
        shared.append(overlap(full, rounded, DEPTH))
    return float(np.mean(shared))


def _ndcg(options: argparse.Namespace, name: str, rerankers: Mapping[str, Reranker]) -> dict[str, Any]:
    """Return each model's nDCG@10 x 100, and what INT8 gains with its 95% interval."""
    found = evaluate(
        options.data / "ir" / name, rerankers, depth=options.documents, measures=[MEASURE], timed_queries=0
    )
    _, full, rounded = found.systems
    gained = rounded.differences[full.name][MEASURE]
    return {
        "queries": found.queries,
        full.name: 100 * full.means[MEASURE].mean,
        rounded.name: 100 * rounded.means[MEASURE].mean,
        "difference": [100 * value for value in (gained.mean, gained.low, gained.high)],
    }


def fidelity_tables(found: Found) -> list[str]:
    """Return the overlap and nDCG@10 on each collection."""
    said = f"BM25's {found['candidates']} candidates, the same weights in both; the overlap is that of {found['queries']} queries."
    rows = [[name, f"{value:.3f}"] for name, value in found["top_10_overlap"].items()]
    lines = [said, "", *table(["collection", "share of fp32's top 10 in INT8's"], rows)]
    head = ["nDCG@10 x 100", "queries", "fp32", "INT8", "difference (95% interval)"]
    return [*lines, "", *table(head, [_ndcg_cells(*measured) for measured in found["ndcg"].items()])]


def _ndcg_cells(name: str, found: Found) -> list[str]:
    mean, low, high = found["difference"]
    values = [f"{found[system]:.2f}" for system in ("fp32", "INT8")]
    return [name, str(found["queries"]), *values, f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"]


def fidelity_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge the means of the collections."""
    return [
        at_least("INT8's top-10 overlap with fp32", LEAST_OVERLAP, _overlap_mean(results)),
        at_most("nDCG@10 that INT8 loses, points", MOST_LOST, _lost(results)),
    ]


def why_void(results: Mapping[str, Found]) -> str:
    """Return why INT8's speed does not count; empty where it does."""
    mean, lost = _overlap_mean(results), _lost(results)
    if mean is None:
        return "its top-10 overlap was not measured"
    if mean < LEAST_OVERLAP:
        return f"its top-10 overlap with fp32 is {mean:.3f}"
    if lost is None:
        return "the nDCG@10 that it loses was not measured"
    return "" if lost <= MOST_LOST else f"it loses {lost:.2f} points of nDCG@10"


def _overlap_mean(results: Mapping[str, Found]) -> float | None:
    found = results.get("fidelity", {}).get("top_10_overlap")
    return float(np.mean(list(found.values()))) if found else None


def _lost(results: Mapping[str, Found]) -> float | None:
    found = results.get("fidelity", {}).get("ndcg")
    return -float(np.mean([row["difference"][0] for row in found.values()])) if found else None
