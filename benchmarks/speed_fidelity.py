"""How much of fp32's top 10 the INT8 of the same weights keeps: without it, INT8's speed says nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from speed_model import minilm_colbert_folder
from speed_numbers import Bar, at_least, table

from laterank import Reranker
from laterank.evaluation.agreement import overlap
from laterank.evaluation.first_stage import bm25_candidates
from laterank.evaluation.reading import read_collection

__all__ = ["fidelity_bars", "fidelity_tables", "measure_fidelity", "why_void"]

Found = Mapping[str, Any]

LEAST_OVERLAP = 0.93
COLLECTIONS = ("wikiqa-test", "squad-dev")
DEPTH = 10


def measure_fidelity(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the rankings of INT8 with those of fp32 over BM25's candidates."""
    folder = minilm_colbert_folder(options.build)
    rerankers = [
        Reranker.from_pretrained(folder, quantized=quantized, threads=options.threads)
        for quantized in (False, True)
    ]
    overlaps = {}
    for name in COLLECTIONS:
        collection = read_collection(options.data / "ir" / name)
        candidates = bm25_candidates(collection, options.documents)
        asked = list(candidates)[:: max(1, len(candidates) // options.queries)][: options.queries]
        shared = []
        for query in asked:
            texts = [collection.documents[document] for document in candidates[query]]
            full, rounded = (
                [texts[place.index] for place in reranker.rank(collection.queries[query], texts)]
                for reranker in rerankers
            )
            shared.append(overlap(full, rounded, DEPTH))
        overlaps[name] = float(np.mean(shared))
    return {"queries": options.queries, "candidates": options.documents, "top_10_overlap": overlaps}


def fidelity_tables(found: Found) -> list[str]:
    """Return the overlap on each collection."""
    said = f"BM25's {found['candidates']} candidates of {found['queries']} queries, the same weights in both."
    rows = [[name, f"{value:.3f}"] for name, value in found["top_10_overlap"].items()]
    return [said, "", *table(["collection", "share of fp32's top 10 in INT8's"], rows)]


def fidelity_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge the mean of the collections."""
    return [at_least("INT8's top-10 overlap with fp32", LEAST_OVERLAP, _mean(results))]


def why_void(results: Mapping[str, Found]) -> str:
    """Return why INT8's speed does not count; empty where it does."""
    mean = _mean(results)
    if mean is None:
        return "its top-10 overlap was not measured"
    return "" if mean >= LEAST_OVERLAP else f"its top-10 overlap with fp32 is {mean:.3f}"


def _mean(results: Mapping[str, Found]) -> float | None:
    found = results.get("fidelity", {}).get("top_10_overlap")
    return float(np.mean(list(found.values()))) if found else None
