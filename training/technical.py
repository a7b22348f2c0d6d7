"""Training and development queries over technical prose and biomedical abstracts, which web questions and Wikipedia lack."""

from __future__ import annotations

import random
from pathlib import Path

from data import (
    DEV_QUERIES,
    Example,
    dev_examples,
    retrieved,
    sentence_queries,
    training_examples,
    write_examples,
)
from hold_out import HeldOut, Records, judged, split
from records import read_records

TRAIN_QUERIES = 2400
MIN_WORDS = 60
POOL = 24_000
HELD_OUT_ONE_IN = 8
SOURCE = "technical-sentence"
ABSTRACTS = "abstract"
ABSTRACTS_FILE = "abstracts.jsonl.gz"
TECHNICAL_DEV = "technical-dev.jsonl"


def prose(more_text: Path, held_out: HeldOut, rng: random.Random) -> Records:
    """Draw passages long enough to ask about, of every source the same number at most, none that a judged collection holds."""
    sources = sorted(path for path in more_text.glob("*.jsonl.gz") if path.name != ABSTRACTS_FILE)
    drawn = []
    for source in sources:
        long = [record for record in read_records(source) if len(record["text"].split()) >= MIN_WORDS]
        records = held_out.left(long)
        drawn += rng.sample(records, min(len(records), POOL // len(sources)))
    return drawn


def build_technical(more_text: Path, data_folder: Path, work: Path, seed: int = 0) -> None:
    """Write ``technical-train.jsonl`` and ``technical-dev.jsonl`` once: a sentence asks for the rest of its passage."""
    if (work / TECHNICAL_DEV).exists():
        return
    rng = random.Random(seed)
    train, dev = split(prose(more_text, judged(data_folder / "ir"), rng), HELD_OUT_ONE_IN, rng)
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
    unjudged = judged(data_folder / "ir").left(read_records(more_text / ABSTRACTS_FILE))
    for role, records in zip(("train", "dev"), split(unjudged, HELD_OUT_ONE_IN, rng), strict=True):
        half, texts = len(records) // 2, [record["text"] for record in records]
        titles = [record["title"] for record in records[:half]]
        made = retrieved(ABSTRACTS, titles, [[position] for position in range(half)], texts)
        made += [
            Example(ABSTRACTS, one.query, one.documents, one.relevant)
            for one in sentence_queries(records[half:], half, rng)
        ]
        rng.shuffle(made)
        write_role(work / f"abstracts-{role}.jsonl", made, role, rng)


def write_role(place: Path, made: list[Example], role: str, rng: random.Random) -> None:
    """Write examples with the candidates that training, or choosing a model, needs."""
    kept = training_examples(made, rng) if role == "train" else dev_examples(made)
    write_examples(place, kept)
