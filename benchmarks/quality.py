"""How well reranking ranks: BM25's top 100, reranked, on judged collections.

Run ``python benchmarks/quality.py --data FOLDER [--model PATH ...]``. Rankings are kept per collection and system, so
that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
from ir_measures import RR, R, ScoredDoc, nDCG
from judged import Collection, bm25_candidates, read_collection
from quality_report import write_report

from laterank import MemoryCache, Reranker

HERE = Path(__file__).parent
COLLECTIONS = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "squad-dev")
DEPTH, MOST_QUERIES = 100, {"squad-dev": 500}
MEASURES = {"nDCG@10": nDCG @ 10, "MRR@10": RR @ 10, "Recall@10": R @ 10}
CACHE_BYTES = 8 << 30
"""Enough for every document of a collection, so that each is encoded once."""

Ranking = dict[str, list[str]]


class System:
    """Sorts candidates with a model, or leaves them as BM25 gave them where there is none."""

    def __init__(self, model: str | None) -> None:
        self._model = model

    @cached_property
    def reranker(self) -> Reranker | None:
        """The model, loaded when the first collection needs it."""
        if self._model is None:
            return None
        return Reranker.from_pretrained(self._model, cache=MemoryCache(max_bytes=CACHE_BYTES))

    @property
    def fingerprint(self) -> str:
        """What a checkpoint is known by, so that another model under the same name is measured anew."""
        return "bm25" if self.reranker is None else self.reranker.encoder.fingerprint.hex()

    def sort(self, collection: Collection, candidates: Ranking) -> Ranking:
        """Return each query's candidates, best first."""
        if self.reranker is None:
            return candidates
        rankings = {}
        for query, documents in candidates.items():
            texts = [collection.documents[document] for document in documents]
            ranked = self.reranker.rank(collection.queries[query], texts)
            rankings[query] = [documents[place.index] for place in ranked]
        if self.reranker.cache is not None:
            self.reranker.cache.clear()
        return rankings


def evaluate(collection: Collection, rankings: Ranking) -> dict[str, list[float]]:
    """Return each measure's value for each query, in the order of the collection's queries."""
    judged = [
        ir_measures.Qrel(query, document, grade)
        for query, grades in collection.relevant.items()
        for document, grade in grades.items()
    ]
    run = [
        ScoredDoc(query, document, -float(place))
        for query, documents in rankings.items()
        for place, document in enumerate(documents)
    ]
    values: dict[str, dict[str, float]] = {name: {} for name in MEASURES}
    names = {str(measure): name for name, measure in MEASURES.items()}
    for metric in ir_measures.iter_calc(list(MEASURES.values()), judged, run):
        values[names[str(metric.measure)]][metric.query_id] = metric.value
    return {name: [value.get(query, 0.0) for query in collection.queries] for name, value in values.items()}


def measure(name: str, system: System, collection: Collection, kept: Path) -> dict[str, list[float]]:
    """Return a system's values on a collection, from the checkpoint where there is one."""
    checkpoint = kept / f"{collection.name}.{name}.{system.fingerprint[:12]}.json"
    if checkpoint.is_file():
        return dict(json.loads(checkpoint.read_text(encoding="utf-8")))
    values = evaluate(collection, system.sort(collection, bm25_candidates(collection, DEPTH)))
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write_text(json.dumps(values), encoding="utf-8")
    mean = np.mean(values["nDCG@10"])
    print(
        f"{collection.name:14s} {name:32s} nDCG@10 {mean:.4f} ({len(collection.queries)} queries)", flush=True
    )
    return values


def systems_of(models: list[str], data: Path) -> dict[str, System]:
    """Name the systems: BM25, the bundled model, answerai-colbert-small where it is there, and those asked for."""
    systems = {"bm25": System(None), "bundled": System("bundled")}
    known = data.parent / "models" / "answerai-colbert-small-v1-int8"
    for path in [str(known)] * known.is_dir() + models:
        systems[Path(path).name] = System(path)
    return systems


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--model", action="append", default=[], help="a further model, by name or folder")
    parser.add_argument("--only", action="append", default=[], help="only these systems")
    parser.add_argument("--collection", action="append", default=[], help="only these collections")
    parser.add_argument("--kept", type=Path, default=HERE / "build" / "quality", help="where checkpoints lie")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def main() -> None:
    """Measure every system on every collection and write the report."""
    options = arguments()
    systems = systems_of(options.model, options.data)
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    facts: dict[str, Any] = {}
    for name in options.collection or COLLECTIONS:
        collection = read_collection(options.data / "ir" / name)
        collection = collection.sample(MOST_QUERIES.get(name, len(collection.queries)))
        facts[name] = {"documents": len(collection.documents), "queries": len(collection.queries)}
        found[name] = {
            label: measure(label, system, collection, options.kept)
            for label, system in systems.items()
            if not options.only or label in options.only
        }
    write_report(options.results, found, facts, baseline="bm25", depth=DEPTH)


if __name__ == "__main__":
    main()
