"""Which score ranks long documents better: their start's, their best window's, or that of all windows' rows as one document.

Run ``python benchmarks/long_documents.py --data FOLDER``. Neighbouring paragraphs of SQuAD's articles are joined to long
documents; a question's only relevant one holds the paragraph that it was asked about, and all documents are ranked.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quality_systems import in_pieces

from laterank import ColbertEncoder, maxsim
from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.measures import QueryValues, measured_values
from laterank.evaluation.reading import read_collection
from laterank.evaluation.statistics import resampled_means

HERE = Path(__file__).parent
SEPARATOR = "\n\n"
MEASURES = ("nDCG@10", "MRR@10")
Rows = NDArray[np.float32]


def joined(collection: Collection, paragraphs: int) -> Collection:
    """Join so many neighbouring paragraphs of an article to one document, and judge it by its paragraphs."""
    documents: dict[str, str] = {}
    part_of: dict[str, str] = {}
    articles = itertools.groupby(collection.documents, key=lambda name: name.rpartition("#")[0])
    for article, names in articles:
        ordered = sorted(names, key=lambda name: int(name.rpartition("#")[2]))
        for start in range(0, len(ordered), paragraphs):
            piece = ordered[start : start + paragraphs]
            documents[f"{article}@{start}"] = SEPARATOR.join(collection.documents[name] for name in piece)
            part_of |= dict.fromkeys(piece, f"{article}@{start}")
    relevant = {
        query: {part_of[name]: grade for name, grade in judged.items()}
        for query, judged in collection.relevant.items()
    }
    return replace(collection, documents=documents, relevant=relevant)


def some_articles(collection: Collection, articles: int) -> Collection:
    """Keep the paragraphs and questions of a seeded sample of the articles."""
    names = sorted({name.rpartition("#")[0] for name in collection.documents})
    kept = set(random.Random(0).sample(names, min(articles, len(names))))
    documents = {name: text for name, text in collection.documents.items() if name.rpartition("#")[0] in kept}
    relevant = {
        query: judged for query, judged in collection.relevant.items() if judged.keys() <= documents.keys()
    }
    queries = {query: text for query, text in collection.queries.items() if query in relevant}
    return replace(collection, documents=documents, queries=queries, relevant=relevant)


def sums_of(queries: Sequence[Rows], documents: Sequence[Sequence[Rows]]) -> dict[str, Rows]:
    """Return each policy's raw MaxSim of documents that are given window by window. *Shape:* ``(queries, documents)`` each"""
    starts = np.cumsum([0] + [len(windows) for windows in documents[:-1]])
    windows = [rows for document in documents for rows in document]
    whole = [np.concatenate(document) for document in documents]
    by_window = np.stack([maxsim(query, windows) for query in queries])
    return {
        "truncate": by_window[:, starts],
        "best window": np.maximum.reduceat(by_window, starts, axis=1),
        "all rows": np.stack([maxsim(query, whole) for query in queries]),
    }


def measured(
    collection: Collection, encoder: ColbertEncoder, overlap: float, length: int
) -> tuple[float, dict[str, QueryValues]]:
    """Return the windows of a document, on average, and each policy's values."""
    names, texts = list(collection.documents), list(collection.documents.values())
    cut = encoder.document_windows(texts, overlap=overlap, length=length)
    windows = [text[start:end] for text, spans in zip(texts, cut, strict=True) for start, end in spans]
    encoded = iter(in_pieces(encoder.encode_documents, windows, f"{len(texts)} documents"))
    documents = [list(itertools.islice(encoded, len(spans))) for spans in cut]
    queries = encoder.encode_queries(list(collection.queries.values()))
    values = {}
    for policy, sums in sums_of(queries, documents).items():
        order = np.argsort(-sums, axis=1, kind="stable")
        ranking: Ranking = {
            query: [names[index] for index in found]
            for query, found in zip(collection.queries, order, strict=True)
        }
        values[policy] = measured_values(collection, ranking)
    return len(windows) / len(texts), values


def summarised(values: dict[str, QueryValues]) -> dict[str, dict[str, object]]:
    """Return each policy's means, and how much better it is than the best window, with the 95% interval."""
    summary: dict[str, dict[str, object]] = {}
    for policy, measures in values.items():
        summary[policy] = {}
        for measure in MEASURES:
            mine, best = (list(found[measure].values()) for found in (measures, values["best window"]))
            draws = resampled_means(np.array([mine, best]).T, seed=[0])
            low, high = np.percentile(draws[:, 0] - draws[:, 1], [2.5, 97.5])
            summary[policy][measure] = {
                "mean": float(np.mean(mine)),
                "more than best window": [float(low), float(high)],
            }
    return summary


def main() -> None:
    """Measure every length of document and window, and write a report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of judged collections")
    parser.add_argument("--model", default="bundled", help="a folder or a hub id")
    parser.add_argument("--articles", type=int, default=12, help="of 48; all of them take long")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--paragraphs", type=int, nargs="+", default=[4, 16], help="of a long document")
    parser.add_argument(
        "--windows", type=int, nargs="+", default=[512, 300, 192, 128, 96], help="the most tokens of a window"
    )
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    collection = some_articles(read_collection(options.data / "squad-dev"), options.articles).sample(
        options.queries
    )
    results = []
    for paragraphs, length in itertools.product(options.paragraphs, options.windows):
        encoder = ColbertEncoder.from_pretrained(
            options.model, config={"document_length": length}, threads=options.threads
        )
        long = joined(collection, paragraphs)
        windows, values = measured(long, encoder, options.overlap, length)
        results.append(
            {
                "documents": len(long.documents),
                "paragraphs": paragraphs,
                "words": round(np.mean([len(text.split()) for text in long.documents.values()])),
                "window_tokens": length,
                "windows": round(windows, 1),
                "policies": summarised(values),
            }
        )
        print(json.dumps(results[-1], indent=1), flush=True)
        head = {
            "model": options.model,
            "articles": options.articles,
            "queries": len(collection.queries),
            "overlap": options.overlap,
        }
        report = json.dumps({**head, "results": results}, indent=1) + "\n"
        (HERE / "results" / "long_documents.json").write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
