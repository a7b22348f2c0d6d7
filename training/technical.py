"""Training and development queries over technical prose and biomedical abstracts, which web questions and Wikipedia lack."""

from __future__ import annotations

import random
from pathlib import Path

from collections_io import read_records
from data import (
    DEV_QUERIES,
    Example,
    dev_examples,
    judged_texts,
    retrieved,
    sentence_queries,
    shingles,
    training_example,
    write_examples,
)

TRAIN_QUERIES = 2400
MIN_WORDS = 60
POOL = 24_000
SOURCE = "technical-sentence"
ABSTRACTS = "abstract"
ABSTRACTS_FILE = "abstracts.jsonl.gz"


def prose(more_text: Path, seen: set[int], rng: random.Random) -> list[dict[str, str]]:
    """Draw passages long enough to ask about, of every source the same number at most, none that a judged collection holds."""
    sources = sorted(path for path in more_text.glob("*.jsonl.gz") if path.name != ABSTRACTS_FILE)
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
    train, dev = split(prose(more_text, seen, rng), rng)
    for role, paragraphs, count in (("train", train, TRAIN_QUERIES), ("dev", dev, 2 * DEV_QUERIES)):
        made = [
            Example(SOURCE, one.query, one.documents, one.relevant)
            for one in sentence_queries(paragraphs, count, rng)
        ]
        write_role(work / f"technical-{role}.jsonl", made, role, rng)


def build_abstracts(more_text: Path, data_folder: Path, work: Path, seed: int = 0) -> None:
    """Write ``abstracts-train.jsonl`` and ``abstracts-dev.jsonl`` once: titles and sentences ask for their abstract."""
    if (work / "abstracts-dev.jsonl").exists() or not (more_text / ABSTRACTS_FILE).exists():
        return
    rng = random.Random(seed)
    seen, _ = judged_texts(data_folder / "ir")
    unjudged = [one for one in read_records(more_text / ABSTRACTS_FILE) if not shingles(one["text"]) & seen]
    for role, records in zip(("train", "dev"), split(unjudged, rng), strict=True):
        half, texts = len(records) // 2, [record["text"] for record in records]
        titles = [record["title"] for record in records[:half]]
        made = retrieved(ABSTRACTS, titles, [[position] for position in range(half)], texts)
        made += [
            Example(ABSTRACTS, one.query, one.documents, one.relevant)
            for one in sentence_queries(records[half:], half, rng)
        ]
        rng.shuffle(made)
        write_role(work / f"abstracts-{role}.jsonl", made, role, rng)


def split(
    records: list[dict[str, str]], rng: random.Random
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Hold an eighth of the titles out for development."""
    titles = sorted({record["title"] for record in records})
    held_out = set(rng.sample(titles, len(titles) // 8))
    return (
        [record for record in records if record["title"] not in held_out],
        [record for record in records if record["title"] in held_out],
    )


def write_role(place: Path, made: list[Example], role: str, rng: random.Random) -> None:
    """Write examples with the candidates that training, or choosing a model, needs."""
    kept = [training_example(one, rng) for one in made] if role == "train" else dev_examples(made)
    write_examples(place, kept)
