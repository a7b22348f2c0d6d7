"""Training and development queries over technical and scientific prose, which web questions and Wikipedia lack."""

from __future__ import annotations

import random
from pathlib import Path

from collections_io import read_records
from data import (
    DEV_QUERIES,
    Example,
    dev_examples,
    judged_texts,
    sentence_queries,
    shingles,
    training_example,
    write_examples,
)

TRAIN_QUERIES = 2400
MIN_WORDS = 60
POOL = 24_000
SOURCE = "technical-sentence"


def prose(more_text: Path, seen: set[int], rng: random.Random) -> list[dict[str, str]]:
    """Draw passages long enough to ask about, of every source the same number at most, none that a judged collection holds."""
    sources = sorted(more_text.glob("*.jsonl.gz"))
    drawn = []
    for source in sources:
        records = [
            record
            for record in read_records(source)
            if len(record["text"].split()) >= MIN_WORDS and not shingles(record["text"]) & seen
        ]
        drawn += rng.sample(records, min(len(records), POOL // len(sources)))
    return drawn


def build_technical(more_text: Path, data_folder: Path, work: Path, seed: int = 0) -> None:
    """Write ``technical-train.jsonl`` and ``technical-dev.jsonl`` once: a sentence asks for the rest of its passage."""
    if (work / "technical-dev.jsonl").exists():
        return
    rng = random.Random(seed)
    seen, _ = judged_texts(data_folder / "ir")
    records = prose(more_text, seen, rng)
    titles = sorted({record["title"] for record in records})
    held_out = set(rng.sample(titles, len(titles) // 8))
    train = [record for record in records if record["title"] not in held_out]
    dev = [record for record in records if record["title"] in held_out]
    for role, paragraphs, count in (("train", train, TRAIN_QUERIES), ("dev", dev, 2 * DEV_QUERIES)):
        made = [
            Example(SOURCE, one.query, one.documents, one.relevant)
            for one in sentence_queries(paragraphs, count, rng)
        ]
        kept = [training_example(one, rng) for one in made] if role == "train" else dev_examples(made)
        write_examples(work / f"technical-{role}.jsonl", kept)
