"""What an early exit saves and costs: documents encoded against nDCG@10, by the rules of ``laterank.early_exit``.

Run ``python benchmarks/early_exit.py --data FOLDER``. BM25's candidates of each collection are encoded once, into a cache on
disk that a later run goes on with, and every rule is tried on the same scores; another embedded model is encoded anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from early_exit_report import write_report

from laterank import Reranker, SqliteCache
from laterank.cache.warming import Warmed
from laterank.early_exit import EarlyExit
from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.first_stage import bm25_candidates
from laterank.evaluation.measures import measured_values
from laterank.evaluation.reading import read_collection

HERE = Path(__file__).parent
COLLECTIONS = ("wikiqa-test", "cacm", "squad-dev", "scifact")
DEPTH, QUERIES, SEED, TOP_N = 100, 100, 0, 10
RULES = {
    "all": EarlyExit(TOP_N),
    **{f"budget={budget}": EarlyExit(TOP_N, budget) for budget in (70, 50, 30, 20)},
    **{f"patience={patience}": EarlyExit(TOP_N, None, patience) for patience in (40, 30, 20, 15, 10, 5)},
    "budget=50, patience=20": EarlyExit(TOP_N, 50, 20),
}

Scores = dict[str, dict[str, float]]
"""Query and document to raw MaxSim, in BM25's order."""


def scores_of(collection: Collection, candidates: Ranking, reranker: Reranker) -> Scores:
    """Score every candidate; what an earlier run encoded is in the cache."""
    distinct = dict.fromkeys(document for documents in candidates.values() for document in documents)
    reranker.warm([collection.documents[document] for document in distinct], progress=say)
    scores: Scores = {}
    for query, documents in candidates.items():
        texts = [collection.documents[document] for document in documents]
        places = reranker.rank(collection.queries[query], texts)
        found = {documents[place.index]: place.score for place in places}
        scores[query] = {document: found[document] for document in documents}
    print(f"{collection.name}: {len(scores)} queries scored", flush=True)
    return scores


def say(warmed: Warmed) -> None:
    """Print how far the encoding is: a collection takes minutes."""
    print(f"  {warmed.documents} documents, {warmed.encoded} of them new", flush=True)


def ranked(rule: EarlyExit, scores: Mapping[str, float]) -> tuple[list[str], int]:
    """Rank one query's candidates as a reranker with a cold cache does under a rule, and count what it encodes."""

    def look_up(documents: list[str]) -> np.ndarray:
        return np.array([scores[document] for document in documents])

    found = rule.score(list(scores), (), look_up)
    best = sorted(found, key=lambda document: -found[document])
    return [*best, *(document for document in scores if document not in found)], len(found)


def measure(collection: Collection, scores: Scores) -> dict[str, dict[str, dict[str, float]]]:
    """Return nDCG@10, the documents encoded, and the share of the whole ranking's top 10 that is found, for each rule."""
    whole = {query: ranked(RULES["all"], found)[0][:TOP_N] for query, found in scores.items()}
    values = {}
    for name, rule in RULES.items():
        rankings = {query: ranked(rule, found) for query, found in scores.items()}
        judged = measured_values(collection, {query: ranking for query, (ranking, _) in rankings.items()})
        values[name] = {
            "nDCG@10": judged["nDCG@10"],
            "encoded": {query: float(rankings[query][1]) for query in collection.queries},
            "kept": {
                query: len({*whole[query]} & {*rankings[query][0][:TOP_N]}) / len(whole[query])
                for query in collection.queries
            },
        }
    return values


def main() -> None:
    """Measure every rule on every collection and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--queries", type=int, default=QUERIES, help="at most so many of each collection")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--build", type=Path, default=HERE / "build", help="where the cache lies")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    options.build.mkdir(parents=True, exist_ok=True)
    cache = SqliteCache(options.build / "early_exit.sqlite")
    reranker = Reranker.from_pretrained(cache=cache, score="sum", threads=options.threads)
    found, queries = {}, {}
    for name in COLLECTIONS:
        collection = read_collection(options.data / "ir" / name).sample(options.queries, SEED)
        scores = scores_of(collection, bm25_candidates(collection, DEPTH), reranker)
        found[name] = measure(collection, scores)
        queries[name] = len(collection.queries)
    write_report(options.results, found, queries, depth=DEPTH, top_n=TOP_N)
    print(f"wrote {options.results / 'early_exit.md'}")


if __name__ == "__main__":
    main()
