"""What an early exit saves and costs: documents encoded against nDCG@10, by the rules of ``laterank.early_exit``.

Run ``python benchmarks/early_exit.py --data FOLDER``. BM25's candidates of each collection are encoded and scored once and
their scores kept, so that every rule is tried on the same scores; another embedded model is measured anew by itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from early_exit_report import write_report
from judged import Collection, bm25_candidates, read_collection
from quality import evaluate, fingerprint
from quality_systems import Ranking, in_pieces

from laterank import ColbertEncoder, maxsim
from laterank.early_exit import EarlyExit

HERE = Path(__file__).parent
COLLECTIONS = ("scifact", "cranfield", "cacm", "wikiqa-test", "squad-dev")
DEPTH, QUERIES, SEED, TOP_N = 100, 100, 0, 10
RULES = {
    "all": EarlyExit(TOP_N),
    **{f"budget={budget}": EarlyExit(TOP_N, budget) for budget in (70, 50, 30, 20)},
    **{f"patience={patience}": EarlyExit(TOP_N, None, patience) for patience in (40, 30, 20, 15, 10, 5)},
    "budget=50, patience=20": EarlyExit(TOP_N, 50, 20),
}

Scores = dict[str, dict[str, float]]
"""Query and document to raw MaxSim, in BM25's order."""


def scores_of(collection: Collection, candidates: Ranking, encoder: ColbertEncoder, kept: Path) -> Scores:
    """Score every candidate, or read the scores that an earlier run left."""
    given = f"{fingerprint(collection, candidates)}-{encoder.fingerprint.hex()}"
    path = kept / f"{collection.name}.{given}.json"
    if path.is_file():
        found: Scores = json.loads(path.read_text(encoding="utf-8"))
        return found
    distinct = list(dict.fromkeys(document for documents in candidates.values() for document in documents))
    texts = [collection.documents[document] for document in distinct]
    rows = dict(zip(distinct, in_pieces(encoder.encode_documents, texts, collection.name), strict=True))
    queries = encoder.encode_queries([collection.queries[query] for query in candidates])
    scores = {
        query: dict(zip(found, maxsim(read, [rows[document] for document in found]).tolist(), strict=True))
        for (query, found), read in zip(candidates.items(), queries, strict=True)
    }
    kept.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".partial")
    part.write_text(json.dumps(scores), encoding="utf-8")
    part.replace(path)
    return scores


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
        judged = evaluate(collection, {query: ranking for query, (ranking, _) in rankings.items()})
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
    parser.add_argument("--build", type=Path, default=HERE / "build", help="where the scores lie")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    encoder = ColbertEncoder.from_pretrained(threads=options.threads)
    found, queries = {}, {}
    for name in COLLECTIONS:
        collection = read_collection(options.data / "ir" / name).sample(options.queries, SEED)
        scores = scores_of(
            collection, bm25_candidates(collection, DEPTH), encoder, options.build / "early_exit"
        )
        found[name] = measure(collection, scores)
        queries[name] = len(collection.queries)
    write_report(options.results, found, queries, depth=DEPTH, top_n=TOP_N)
    print(f"wrote {options.results / 'early_exit.md'}")


if __name__ == "__main__":
    main()
