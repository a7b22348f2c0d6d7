"""Unlabelled passages with a query each, for a student that learns a teacher's token embeddings."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data import read_examples, split_paragraphs, web_questions
from hold_out import HeldOut, judged
from records import read_lines, read_pairs, read_records
from technical import ABSTRACTS_FILE
from tokens import ColbertTokenizer

PASSAGES = "passages.jsonl.gz"
SHORT_WORDS, LONG_WORDS = (30, 120), (120, 230)
LONG_SHARE = 0.45
FITTING_PASSAGES = 384
SOURCE_SHARES = {"wikipedia": 0.5, "medquad": 0.1, "more": 0.376, "abstracts": 0.024}


@dataclass(frozen=True, slots=True)
class Passage:
    """A document text and a query that someone might ask it; no one has judged the pair."""

    text: str
    query: str


def sentences(text: str) -> list[str]:
    """Split prose into sentences, roughly."""
    return [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z\"(])", text) if part]


def made_query(title: str, section: str, text: str, questions: Sequence[str], rng: random.Random) -> str:
    """Draw a heading, a sentence, a few sentences or some question, because users ask in all these ways."""
    heading = " ".join(dict.fromkeys(part for part in (title, section) if part))
    usable = [part for part in sentences(text) if 5 <= len(part.split()) <= 40]
    draw = rng.random()
    if draw < 0.35 and heading:
        return heading
    if draw < 0.65 and usable:
        return rng.choice(usable).rstrip(".")
    if draw < 0.75 and len(usable) > 2:
        start = rng.randrange(len(usable) - 1)
        return " ".join(usable[start : start + rng.randint(2, 4)])
    return rng.choice(questions)


def joined(records: Sequence[dict[str, str]], rng: random.Random) -> Iterator[dict[str, str]]:
    """Join neighbouring paragraphs of one title until they are as long as the passages of real collections."""
    held: list[str] = []
    wanted = 0
    for position, record in enumerate(records):
        if not held:
            low, high = LONG_WORDS if rng.random() < LONG_SHARE else SHORT_WORDS
            first, wanted = record, rng.randint(low, high)
        held.append(record["text"])
        words = sum(len(text.split()) for text in held)
        follows = position + 1 < len(records) and records[position + 1]["title"] == first["title"]
        if words >= wanted or not follows:
            yield first | {"text": " ".join(held)}
            held = []


def text_passages(
    records: Sequence[dict[str, str]], questions: Sequence[str], rng: random.Random
) -> list[Passage]:
    """Turn titled records into passages, half of them with their title in front, as rerankers see documents."""
    made = []
    for record in joined(records, rng):
        title, text = record["title"], record["text"]
        query = made_query(title, record.get("section", ""), text, questions, rng)
        made.append(Passage(f"{title} {text}" if rng.random() < 0.5 else text, query))
    return made


def pair_passages(folder: Path, rng: random.Random) -> list[Passage]:
    """Use the questions of a collection of pairs with one of their answers."""
    collection = read_pairs(folder)
    return [
        Passage(collection.documents[rng.choice(sorted(collection.relevant[key]))], query)
        for key, query in collection.queries.items()
    ]


def of_development(work: Path) -> HeldOut:
    """Hold out the queries that models are chosen on, with all of their candidates."""
    made = [one for place in sorted(work.glob("*dev.jsonl")) for one in read_examples(place)]
    texts = dict.fromkeys(text for one in made for text in one.documents)
    return HeldOut.of(texts, (one.query for one in made))


def mixed(pools: dict[str, list[Passage]], rng: random.Random) -> list[Passage]:
    """Shuffle each pool and interleave them by their shares until the first that matters most runs out."""
    for pool in pools.values():
        rng.shuffle(pool)
    shares = {name: SOURCE_SHARES[name] for name, pool in pools.items() if pool}
    result = []
    while all(pools[name] for name in shares):
        name = rng.choices(list(shares), weights=list(shares.values()))[0]
        result.append(pools[name].pop())
    return result


def build_passages(data_folder: Path, more_text: Path | None, work: Path, seed: int = 0) -> Path:
    """Write ``passages.jsonl.gz`` once: mixed and shuffled, the same for the same data and seed.

    The work folder holds every development query already, so that no passage shares its text.
    """
    place = work / PASSAGES
    if place.exists():
        return place
    rng = random.Random(seed)
    left_out = judged(data_folder / "ir")
    paragraphs, _ = split_paragraphs(data_folder, left_out, seed)
    left_out |= of_development(work)
    questions = web_questions(data_folder, left_out)
    pools = {
        "wikipedia": text_passages(paragraphs, questions, rng),
        "medquad": pair_passages(data_folder / "train" / "medquad", rng),
        "more": [],
        "abstracts": [],
    }
    for source in sorted(more_text.glob("*.jsonl.gz")) if more_text else []:
        pool = "abstracts" if source.name == ABSTRACTS_FILE else "more"
        pools[pool] += text_passages(read_records(source), questions, rng)
    kept = {
        name: [made for made in pool if not left_out.holds(made.text) and not left_out.asks(made.query)]
        for name, pool in pools.items()
    }
    temporary = place.with_suffix(".part")
    with gzip.open(temporary, "wt", encoding="utf-8") as lines_out:
        for passage in mixed(kept, rng):
            lines_out.write(json.dumps([passage.text, passage.query], ensure_ascii=False) + "\n")
    temporary.rename(place)
    return place


def read_passages(path: Path) -> list[Passage]:
    """Read what ``build_passages`` wrote."""
    return [Passage(*json.loads(line)) for line in read_lines(path)]


def fitting_rows(passages: Sequence[Passage], tokenizer: ColbertTokenizer) -> list[list[int]]:
    """Return the tokens of the first passages and of their queries, to fit a start over."""
    first = passages[:FITTING_PASSAGES]
    return tokenizer.documents([made.text for made in first]) + tokenizer.queries(
        [made.query for made in first]
    )
