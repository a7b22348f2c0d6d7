"""Judged test collections and the candidates that BM25 finds in them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bm25s

__all__ = ["Collection", "bm25_candidates", "read_collection", "read_json_lines"]


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents and queries by their ids, and what was judged relevant."""

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    relevant: dict[str, dict[str, int]]

    def sample(self, queries: int, seed: int = 0) -> Collection:
        """Keep a seeded sample of the queries."""
        if len(self.queries) <= queries:
            return self
        kept = set(random.Random(seed).sample(sorted(self.queries), queries))
        return replace(
            self,
            queries={key: text for key, text in self.queries.items() if key in kept},
            relevant={key: judged for key, judged in self.relevant.items() if key in kept},
        )


def read_collection(folder: Path) -> Collection:
    """Read a folder; a document's text is its title and its text, and only queries with a relevant document stay."""
    records = read_json_lines(folder / "corpus.jsonl.gz")
    documents = {record["id"]: f"{record.get('title') or ''} {record['text']}".strip() for record in records}
    relevant: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, document, grade = line.split("\t")
        if int(grade) > 0 and document in documents:
            relevant.setdefault(query, {})[document] = int(grade)
    queries = {
        record["id"]: record["text"]
        for record in read_json_lines(folder / "queries.jsonl.gz")
        if record["id"] in relevant
    }
    return Collection(folder.name, documents, queries, {key: relevant[key] for key in queries})


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each line of a gzipped file of JSON objects."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def bm25_candidates(collection: Collection, depth: int) -> dict[str, list[str]]:
    """Return each query's best documents, best first, by bm25s with its defaults and English stop words.

    Every collection is searched whole, also WikiQA, whose own lists of a few sentences a question would be easier.
    """
    ids = list(collection.documents)
    index = bm25s.BM25()
    texts = list(collection.documents.values())
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    asked = bm25s.tokenize(list(collection.queries.values()), stopwords="en", show_progress=False)
    found, _ = index.retrieve(asked, k=min(depth, len(ids)), show_progress=False, n_threads=1)
    return {
        query: [ids[index] for index in row] for query, row in zip(collection.queries, found, strict=True)
    }
