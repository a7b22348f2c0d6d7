"""Training examples and development sets, drawn from texts that share nothing with the judged collections."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hold_out import HeldOut, Records, judged, split, without
from records import read_lines, read_pairs, read_records

from laterank.evaluation import Collection
from laterank.evaluation.first_stage import bm25_candidates

CANDIDATES = 8
DEV_CANDIDATES = 30
DEV_QUERIES = 120
DEPTH = 60
TRAIN_QUERIES = {
    "nq": 2600,
    "wikipedia-section": 1500,
    "wikipedia-sentence": 1500,
    "medquad": 1200,
    "wikiqa": 600,
}


@dataclass(frozen=True, slots=True)
class Example:
    """One query with its candidate documents, best BM25 first; ``relevant`` holds positions among them."""

    source: str
    query: str
    documents: list[str]
    relevant: list[int]


def numbered(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Give texts their positions as ids."""
    return ((str(position), text) for position, text in enumerate(texts))


def retrieved(source: str, queries: list[str], relevant: list[list[int]], texts: list[str]) -> list[Example]:
    """Search each query with BM25 and append its first relevant document where BM25 missed all of them."""
    if not queries or not texts:
        return []
    by_position = Collection(source, dict(numbered(texts)), dict(numbered(queries)))
    rows = [list(map(int, row)) for row in bm25_candidates(by_position, DEPTH).values()]
    examples = []
    for query, wanted, row in zip(queries, relevant, rows, strict=True):
        found = row if not wanted or set(row) & set(wanted) else [*row, wanted[0]]
        examples.append(
            Example(source, query, [texts[p] for p in found], [i for i, p in enumerate(found) if p in wanted])
        )
    return examples


def section_queries(paragraphs: Records, count: int, rng: random.Random) -> list[Example]:
    """Use article title plus section heading as the query for the section's paragraph."""
    by_heading: dict[str, list[int]] = {}
    for position, paragraph in enumerate(paragraphs):
        if paragraph["section"]:
            by_heading.setdefault(f"{paragraph['title']} {paragraph['section']}", []).append(position)
    headings = rng.sample(sorted(by_heading), min(count, len(by_heading)))
    texts = [paragraph["text"] for paragraph in paragraphs]
    return retrieved("wikipedia-section", headings, [by_heading[heading] for heading in headings], texts)


def sentence_queries(paragraphs: Records, count: int, rng: random.Random) -> list[Example]:
    """Cut one sentence out of a paragraph and use it as the query for the rest of the paragraph."""
    texts = [paragraph["text"] for paragraph in paragraphs]
    cuts: dict[int, tuple[str, str]] = {}
    for position in rng.sample(range(len(texts)), len(texts)):
        if len(cuts) < count and (cut := cut_sentence(texts[position], rng)):
            cuts[position] = cut
    examples = retrieved("wikipedia-sentence", [q for q, _ in cuts.values()], [[p] for p in cuts], texts)
    replaced = []
    for made, (_, rest) in zip(examples, cuts.values(), strict=True):
        documents = [rest if i in made.relevant else text for i, text in enumerate(made.documents)]
        replaced.append(Example(made.source, made.query, documents, made.relevant))
    return replaced


def sibling_queries(paragraphs: Records, count: int, rng: random.Random) -> list[Example]:
    """Use a sentence as the query for the other paragraphs of its article: a task that is never trained on."""
    texts = [paragraph["text"] for paragraph in paragraphs]
    by_title: dict[str, list[int]] = {}
    for position, paragraph in enumerate(paragraphs):
        by_title.setdefault(paragraph["title"], []).append(position)
    chosen: list[tuple[str, str, list[int]]] = []
    for title in rng.sample(sorted(by_title), len(by_title)):
        origin, *others = rng.sample(by_title[title], len(by_title[title]))
        if others and len(chosen) < count and (cut := cut_sentence(texts[origin], rng)):
            chosen.append((cut[0], texts[origin], others))
    examples = retrieved("wikipedia-sibling", [q for q, _, _ in chosen], [r for _, _, r in chosen], texts)
    kept = []
    for made, (_, origin_text, others) in zip(examples, chosen, strict=True):
        documents = [text for text in made.documents if text != origin_text]
        wanted = {texts[position] for position in others}
        relevant = [i for i, text in enumerate(documents) if text in wanted]
        kept.append(Example(made.source, made.query, documents, relevant))
    return kept


def cut_sentence(text: str, rng: random.Random) -> tuple[str, str] | None:
    """Return one sentence of 6 to 28 words and the text without it, or None for a short text."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", text)
    usable = [i for i, sentence in enumerate(sentences) if 6 <= len(sentence.split()) <= 28]
    if len(sentences) < 4 or not usable:
        return None
    cut = rng.choice(usable)
    return sentences[cut].rstrip("."), " ".join(sentences[:cut] + sentences[cut + 1 :])


def pair_queries(source: str, collection: Collection, picked: list[str]) -> list[Example]:
    """Use judged pairs (medquad, wikiqa-train) as they are."""
    positions = {key: position for position, key in enumerate(collection.documents)}
    relevant = [sorted(positions[document] for document in collection.relevant[query]) for query in picked]
    queries = [collection.queries[query] for query in picked]
    return retrieved(source, queries, relevant, list(collection.documents.values()))


def question_queries(questions: list[str], paragraphs: Records) -> list[Example]:
    """Pair web questions with the Wikipedia paragraphs BM25 finds; only the teacher says which of them answer."""
    texts = [f"{paragraph['title']} {paragraph['text']}" for paragraph in paragraphs]
    return retrieved("nq", questions, [[] for _ in questions], texts)


def training_examples(examples: list[Example], rng: random.Random) -> list[Example]:
    """Keep one relevant document, the best three others and a spread of the rest; a query with fewer is left out."""
    kept = []
    for made in examples:
        positive = [rng.choice(made.relevant)] if made.relevant else []
        others = [i for i in range(len(made.documents)) if i not in made.relevant]
        spread = sorted(rng.sample(others[3:], min(CANDIDATES, len(others[3:]))))
        chosen = sorted((positive + others[:3] + rng.sample(spread, len(spread)))[:CANDIDATES])
        relevant = [i for i, position in enumerate(chosen) if position in positive]
        if len(chosen) == CANDIDATES:
            kept.append(Example(made.source, made.query, [made.documents[i] for i in chosen], relevant))
    return kept


def dev_examples(examples: list[Example]) -> list[Example]:
    """Keep the queries whose relevant document is among BM25's first thirty distinct texts."""
    kept = []
    for made in examples:
        wanted = {made.documents[i] for i in made.relevant}
        documents = list(dict.fromkeys(made.documents))[:DEV_CANDIDATES]
        relevant = [i for i, text in enumerate(documents) if text in wanted]
        if relevant:
            kept.append(Example(made.source, made.query, documents, relevant))
    return kept[:DEV_QUERIES]


def split_paragraphs(data_folder: Path, held_out: HeldOut, seed: int) -> tuple[Records, Records]:
    """Return Wikipedia's paragraphs for training and those of held-out articles; judged passages are in neither."""
    paragraphs = held_out.left(read_records(data_folder / "text" / "wikipedia.jsonl.gz"))
    return split(paragraphs, 20, random.Random(seed))


def web_questions(data_folder: Path, held_out: HeldOut) -> list[str]:
    """Read the questions that people typed, but those that are held out."""
    lines = read_lines(data_folder / "text" / "nq-questions.txt.gz")
    return [line for line in lines if not held_out.asks(line)]


def build(data_folder: Path, work: Path, seed: int = 0) -> None:
    """Write ``train.jsonl`` (shuffled) and ``dev.jsonl`` once; what the judged collections share is left out first.

    A small folder gives fewer queries.

    Raises:
        CollectionError: If a collection is missing or cannot be read.
        ValueError: If a folder is so small that it gives none.
    """
    if (work / "dev.jsonl").exists():
        return
    rng = random.Random(seed)
    left_out = judged(data_folder / "ir")
    paragraphs, of_dev = split_paragraphs(data_folder, left_out, seed)
    questions = web_questions(data_folder, left_out)
    train = question_queries(rng.sample(questions, min(len(questions), TRAIN_QUERIES["nq"])), paragraphs)
    train += section_queries(paragraphs, TRAIN_QUERIES["wikipedia-section"], rng)
    train += sentence_queries(paragraphs, TRAIN_QUERIES["wikipedia-sentence"], rng)
    dev = dev_examples(section_queries(of_dev, 3 * DEV_QUERIES, rng))
    dev += dev_examples(sentence_queries(of_dev, 2 * DEV_QUERIES, rng))
    for source, folder in (("medquad", "medquad"), ("wikiqa", "wikiqa-train")):
        collection = without(read_pairs(data_folder / "train" / folder), left_out)
        queries = list(collection.queries)
        picked = rng.sample(queries, min(len(queries), TRAIN_QUERIES[source] + 2 * DEV_QUERIES))
        first = min(2 * DEV_QUERIES, len(picked) // 2)
        dev += dev_examples(pair_queries(source, collection, picked[:first]))
        train += pair_queries(source, collection, picked[first:])
    dev += dev_examples(sibling_queries(of_dev, 4 * DEV_QUERIES, random.Random(seed + 1)))
    rng.shuffle(train)
    train = training_examples(train, rng)
    if not train or not dev:
        raise ValueError(
            f"{data_folder} gives {len(train)} training and {len(dev)} development queries, expected some of both: "
            "it needs more text beside what the judged collections hold"
        )
    write_examples(work / "train.jsonl", train)
    write_examples(work / "dev.jsonl", dev)


def write_examples(path: Path, examples: list[Example]) -> None:
    """Write one example a line through a temporary file, so that a cut run leaves nothing half done."""
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(json.dumps(asdict(made)) + "\n" for made in examples), encoding="utf-8")
    temporary.rename(path)


def read_examples(path: Path) -> list[Example]:
    """Read what ``write_examples`` wrote."""
    return [Example(**json.loads(line)) for line in read_lines(path)]
