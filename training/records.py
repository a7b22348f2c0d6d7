"""Reading texts and pairs to train on, so that every other file sees plain Python records."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from laterank.evaluation import Collection, read_judgements


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzipped, so callers need not care which.

    Raises:
        ValueError: If it was cut off or damaged.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield str(line).rstrip("\n")
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again") from error


def read_records(path: Path) -> list[dict[str, str]]:
    """Read one JSON object per line.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        return [json.loads(line) for line in read_lines(path)]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} holds a line that is no JSON ({error}): fetch it again") from error


def read_pairs(folder: Path) -> Collection:
    """Read queries with the documents that answer them.

    Queries that share an id (42 of medquad's) are left out: nothing tells which document answers which.
    """
    corpus, asked = (read_records(folder / f"{name}.jsonl.gz") for name in ("corpus", "queries"))
    times = Counter(record["id"] for record in asked)
    qrels = next(path for path in sorted(folder.glob("qrels.tsv*")))
    return Collection(
        folder.name,
        {record["id"]: f"{record.get('title', '')} {record['text']}".strip() for record in corpus},
        {record["id"]: record["text"] for record in asked if times[record["id"]] == 1},
        read_judgements(qrels),
    ).judged()
