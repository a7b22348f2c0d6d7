"""nDCG@10 of reranked BM25 candidates, on development queries and on the judged collections."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

import ir_measures
import numpy as np
from bm25 import Bm25
from collections_io import Collection, read_collection
from data import Example
from encode import OnnxEncoder, maxsim
from ir_measures import nDCG

DEPTH = 100
DEV_CANDIDATES = 10
SAMPLED = {"squad-dev": 500}
JUDGED = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "squad-dev")
Run = Mapping[str, Mapping[str, float]]


def ndcg(judged: Mapping[str, Mapping[str, int]], run: Run) -> float:
    """Return nDCG@10 times 100, averaged over the judged queries."""
    return 100 * ir_measures.calc_aggregate([nDCG @ 10], judged, run)[nDCG @ 10]


def shortened(made: Example) -> Example:
    """Keep the relevant documents and BM25's first few others, so that a choice between models takes minutes."""
    kept = sorted({*made.relevant, *range(min(DEV_CANDIDATES, len(made.documents)))})
    relevant = [i for i, position in enumerate(kept) if position in made.relevant]
    return Example(made.source, made.query, [made.documents[position] for position in kept], relevant)


def dev_scores(encoder: OnnxEncoder, examples: list[Example], length: int = 128) -> dict[str, float]:
    """Rerank the development candidates; return nDCG@10 for each source and the plain mean over sources."""
    results = {}
    for source in sorted({made.source for made in examples}):
        chosen = [shortened(made) for made in examples if made.source == source]
        texts = list(dict.fromkeys(text for made in chosen for text in made.documents))
        encoded = dict(zip(texts, encoder.documents(texts, length), strict=True))
        queries = encoder.queries([made.query for made in chosen])
        judged = {str(n): {str(i): 1 for i in made.relevant} for n, made in enumerate(chosen)}
        run = {}
        for number, (made, query) in enumerate(zip(chosen, queries, strict=True)):
            scores = maxsim(query, [encoded[text] for text in made.documents])
            run[str(number)] = {str(i): float(score) for i, score in enumerate(scores)}
        results[source] = ndcg(judged, run)
    return results | {"mean": float(np.mean(list(results.values())))}


def judged_collection(folder: Path) -> Collection:
    """Read a judged collection, with the large query sets sampled once (seed 0)."""
    collection = read_collection(folder)
    count = SAMPLED.get(folder.name, len(collection.queries))
    picked = sorted(
        random.Random(0).sample(range(len(collection.queries)), min(count, len(collection.queries)))
    )
    return Collection(
        collection.documents,
        [collection.queries[i] for i in picked],
        [collection.relevant[i] for i in picked],
    )


def candidates(collection: Collection) -> list[dict[int, float]]:
    """Return BM25's best hundred for each query, with their scores."""
    positions, scores = Bm25(collection.documents).search(collection.queries, DEPTH)
    return [dict(zip(p, s, strict=True)) for p, s in zip(positions.tolist(), scores.tolist(), strict=True)]


def collection_score(
    collection: Collection, found: list[dict[int, float]], encoder: OnnxEncoder | None
) -> float:
    """Score one collection: BM25's own order, or the encoder's order of BM25's candidates."""
    judged = {
        str(n): {str(d): r for d, r in relevant.items()} for n, relevant in enumerate(collection.relevant)
    }
    if encoder is None:
        return ndcg(judged, {str(n): {str(d): s for d, s in row.items()} for n, row in enumerate(found)})
    needed = sorted({position for row in found for position in row})
    encoded = dict(zip(needed, encoder.documents([collection.documents[p] for p in needed]), strict=True))
    run = {}
    for number, (query, row) in enumerate(zip(encoder.queries(collection.queries), found, strict=True)):
        scores = maxsim(query, [encoded[position] for position in row])
        run[str(number)] = {str(position): float(score) for position, score in zip(row, scores, strict=True)}
    return ndcg(judged, run)


def judged_scores(
    ir_folder: Path, encoders: Mapping[str, OnnxEncoder | None], cache: Path
) -> dict[str, dict[str, float]]:
    """Fill a table of nDCG@10 by system and collection; what the cache holds is not measured again."""
    table: dict[str, dict[str, float]] = (
        json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    )
    for name in JUDGED:
        collection = judged_collection(ir_folder / name)
        found = candidates(collection)
        for system, encoder in encoders.items():
            if name not in table.setdefault(system, {}):
                table[system][name] = collection_score(collection, found, encoder)
                cache.write_text(json.dumps(table, indent=1), encoding="utf-8")
                print(f"{name} {system}: {table[system][name]:.1f}", flush=True)
    return {
        system: row | {"average": float(np.mean([row[name] for name in JUDGED]))}
        for system, row in table.items()
    }
