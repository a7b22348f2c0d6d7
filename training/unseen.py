"""Models against their teacher on kinds of queries that no training stage ranks: nDCG@10, and how far scores follow the teacher's.

Titles of manuals' sections, of definitions, diseases and functions ask for their text. The texts are among those that training reads, as
passages and under other queries; what is new is the kind of query. Nothing judged is read but to leave out what it shares.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from data import Example, dev_examples, read_examples, retrieved, write_examples
from hold_out import judged
from measure import ndcg, shortened
from preflight import COLBERT
from records import read_records
from shipped import SHIPPED

from laterank import ColbertEncoder, maxsim

KINDS = (
    "python-functions",
    "ontologies",
    "uniprot-diseases",
    "dictionary",
    "databases",
    "systems",
    "learning",
)
"""Sources of ``more_text_sources.py``."""
FUNCTIONS = "python-functions"
"""Their title is a first sentence, and their section a name that the text begins with."""
QUERIES = 100
SEED = 7

Scores = list[list[float]]


def asked(kind: str, record: dict[str, str]) -> str:
    """Return what asks for a text: its title and its section's, once where both are the same."""
    parts = (record["title"], "" if kind == FUNCTIONS else record["section"])
    return " ".join(dict.fromkeys(part for part in parts if part))


def build_unseen(more_text: Path, data_folder: Path, place: Path) -> list[Example]:
    """Return the queries with their candidates, written to ``place`` once."""
    if place.exists():
        return read_examples(place)
    rng, made = random.Random(SEED), []
    left_out = judged(data_folder / "ir")
    for kind in KINDS:
        records = left_out.left(read_records(more_text / f"{kind}.jsonl.gz"))
        by_query: dict[str, list[int]] = {}
        for position, record in enumerate(records):
            by_query.setdefault(asked(kind, record), []).append(position)
        queries = sorted(query for query in by_query if len(query.split()) > 1)
        queries = rng.sample(queries, min(len(queries), QUERIES * 3 // 2))
        texts = [record["text"] for record in records]
        candidates = retrieved(kind, queries, [by_query[query] for query in queries], texts)
        made += dev_examples(candidates)[:QUERIES]
    write_examples(place, made)
    return made


def scored(encoder: ColbertEncoder, examples: Sequence[Example]) -> Scores:
    """Return the raw MaxSim of every example's documents."""
    texts = list(dict.fromkeys(text for made in examples for text in made.documents))
    rows = dict(zip(texts, encoder.encode_documents(texts), strict=True))
    queries = encoder.encode_queries([made.query for made in examples])
    return [
        maxsim(query, [rows[text] for text in made.documents]).tolist()
        for made, query in zip(examples, queries, strict=True)
    ]


def scores_of(folder: Path, examples: Sequence[Example], cache: Path) -> Scores:
    """Score with the model in a folder, kind by kind; what the cache holds of the same model is not computed again."""
    encoder = ColbertEncoder.from_pretrained(folder)
    known: dict[str, Scores] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    name = encoder.fingerprint.hex()
    if name not in known:
        known[name] = [
            row for kind in KINDS for row in scored(encoder, [e for e in examples if e.source == kind])
        ]
        partial = cache.with_suffix(".part")
        partial.write_text(json.dumps(known), encoding="utf-8")
        partial.replace(cache)
    return known[name]


def by_kind(examples: Sequence[Example], scores: Scores) -> dict[str, float]:
    """Return nDCG@10 times 100 of each kind, and their mean."""
    results = {}
    for kind in KINDS:
        chosen = [number for number, made in enumerate(examples) if made.source == kind]
        judged = {str(n): {str(i): 1 for i in examples[n].relevant} for n in chosen}
        run = {str(n): {str(i): score for i, score in enumerate(scores[n])} for n in chosen}
        results[kind] = ndcg(judged, run)
    return results | {"mean": float(np.mean(list(results.values())))}


def unexplained(scores: Scores, wanted: Scores) -> float:
    """Return ``1 - r^2``: the share of the variance of ``wanted``, within each query's candidates, that ``scores`` leave open."""
    found, aim = (np.concatenate([np.array(row) - np.mean(row) for row in rows]) for rows in (scores, wanted))
    return float(1 - np.corrcoef(found, aim)[0, 1] ** 2)


def main() -> None:
    """Print a line for the teacher and one for each model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).parent.parent.parent / "shared"
    parser.add_argument(
        "models", type=Path, nargs="*", default=[SHIPPED], help="model folders; else the shipped one"
    )
    parser.add_argument("--work", type=Path, default=Path("work"), help="the work folder of make_model.py")
    parser.add_argument("--data", type=Path, default=root / "data")
    parser.add_argument("--teacher", type=Path, default=root / "models" / COLBERT, help="its folder")
    options = parser.parse_args()
    if missing := [kind for kind in KINDS if not (options.work / "text" / f"{kind}.jsonl.gz").is_file()]:
        parser.error(
            f"{options.work / 'text'} lacks {', '.join(missing)}: run make_model.py with this --work first, and without "
            "--passages-only and --no-debian"
        )
    examples = build_unseen(options.work / "text", options.data, options.work / "unseen.jsonl")
    examples = [shortened(made) for kind in KINDS for made in examples if made.source == kind]
    wanted: Scores | None = None
    for folder in (options.teacher, *options.models):
        scores = scores_of(folder, examples, options.work / "unseen_scores.json")
        wanted = wanted or scores
        results = " ".join(f"{kind} {value:.1f}" for kind, value in by_kind(examples, scores).items())
        print(
            f"{folder}: {len(examples)} queries, {results}, unexplained {unexplained(scores, wanted):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
