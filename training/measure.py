"""nDCG@10 of reranked BM25 candidates, on development queries and on the judged collections."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from data import Example
from encode import OnnxEncoder, maxsim
from kept import digest, once

from laterank.evaluation import Collection, read_collection
from laterank.evaluation.collection import Ranking
from laterank.evaluation.evaluate import DEPTH
from laterank.evaluation.first_stage import bm25_candidates

DEV_CANDIDATES = 10
SAMPLED = {"squad-dev": 500}
JUDGED = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "squad-dev")
Run = Mapping[str, Mapping[str, float]]


class Encoder(Protocol):
    """What turns texts into token embeddings, exported or still in training."""

    def queries(self, texts: list[str]) -> list[np.ndarray]:
        """Encode queries."""
        ...

    def documents(self, texts: list[str], length: int | None = None) -> list[np.ndarray]:
        """Encode documents, cut at ``length`` tokens."""
        ...


def ndcg(judged: Mapping[str, Mapping[str, int]], run: Run) -> float:
    """Return nDCG@10 times 100, averaged over the judged queries.

    Raises:
        ImportError: If ir-measures is not installed, which training itself does without.
    """
    import ir_measures
    from ir_measures import nDCG

    return 100 * ir_measures.calc_aggregate([nDCG @ 10], judged, run)[nDCG @ 10]


def shortened(made: Example) -> Example:
    """Keep the relevant documents and BM25's first few others, so that a choice between models takes minutes."""
    kept = sorted({*made.relevant, *range(min(DEV_CANDIDATES, len(made.documents)))})
    relevant = [i for i, position in enumerate(kept) if position in made.relevant]
    return Example(made.source, made.query, [made.documents[position] for position in kept], relevant)


def dev_scores(encoder: Encoder, examples: list[Example], length: int = 128) -> dict[str, float]:
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


def in_order(ranking: Ranking) -> Run:
    """Give documents scores that keep their order."""
    return {
        query: {document: -float(place) for place, document in enumerate(found)}
        for query, found in ranking.items()
    }


def reranked(collection: Collection, candidates: Ranking, encoder: OnnxEncoder) -> Run:
    """Score every query's candidates; each document is encoded once."""
    needed = list(dict.fromkeys(document for found in candidates.values() for document in found))
    encoded = dict(zip(needed, encoder.documents([collection.documents[key] for key in needed]), strict=True))
    queries = encoder.queries([collection.queries[key] for key in candidates])
    run = {}
    for (key, found), query in zip(candidates.items(), queries, strict=True):
        scores = maxsim(query, [encoded[document] for document in found])
        run[key] = dict(zip(found, map(float, scores), strict=True))
    return run


def collection_score(
    collection: Collection, candidates: Ranking, encoder: OnnxEncoder | None
) -> dict[str, float]:
    """Score BM25's own order, or the encoder's order of BM25's candidates."""
    run = in_order(candidates) if encoder is None else reranked(collection, candidates, encoder)
    return {"nDCG@10": ndcg(collection.relevant, run)}


def judged_scores(
    ir_folder: Path, encoders: Mapping[str, OnnxEncoder | None], cache: Path
) -> dict[str, dict[str, float]]:
    """Return nDCG@10 by system and collection, of the queries and candidates of ``benchmarks/quality.py``; None stands for BM25.

    What the cache holds of the same model over the same candidates is not measured again.
    """
    table: dict[str, dict[str, float]] = {system: {} for system in encoders}
    for name in JUDGED:
        whole = read_collection(ir_folder / name)
        collection = whole.sample(SAMPLED.get(name, len(whole.queries)))
        candidates = bm25_candidates(collection, DEPTH)
        for system, encoder in encoders.items():
            made_with = (encoder.path, str(encoder.tokenizer.layout)) if encoder else ()
            key = f"{system} {name} {digest(candidates, *made_with)}"
            measure = partial(collection_score, collection, candidates, encoder)
            table[system] |= {name: once(cache, key, measure)["nDCG@10"]}
    return {
        system: row | {"average": float(np.mean([row[name] for name in JUDGED]))}
        for system, row in table.items()
    }
