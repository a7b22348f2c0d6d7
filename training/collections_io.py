"""Reading text collections, so that every other file sees plain Python records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, queries and relevance judgements, with ids replaced by positions."""

    documents: list[str]
    queries: list[str]
    relevant: list[dict[int, int]] = field(default_factory=list)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzipped, so callers need not care which."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield str(line).rstrip("\n")


def read_records(path: Path) -> list[dict[str, str]]:
    """Read one JSON object per line."""
    return [json.loads(line) for line in read_lines(path)]


def read_collection(folder: Path) -> Collection:
    """Read corpus, queries and qrels of a folder; only queries with a relevant document are kept."""
    corpus = read_records(folder / "corpus.jsonl.gz")
    positions = {record["id"]: position for position, record in enumerate(corpus)}
    qrels_path = next(path for name in ("qrels.tsv", "qrels.tsv.gz") if (path := folder / name).exists())
    judged: dict[str, dict[int, int]] = {}
    for line in read_lines(qrels_path):
        query_id, document_id, relevance = line.split("\t")
        if int(relevance) > 0 and document_id in positions:
            judged.setdefault(query_id, {})[positions[document_id]] = int(relevance)
    queries = [record for record in read_records(folder / "queries.jsonl.gz") if record["id"] in judged]
    return Collection(
        documents=[f"{record.get('title', '')} {record['text']}".strip() for record in corpus],
        queries=[record["text"] for record in queries],
        relevant=[judged[record["id"]] for record in queries],
    )
