"""Training examples and development sets, drawn from texts that share nothing with the judged collections."""

from __future__ import annotations

import json
import random
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from bm25 import Bm25
from collections_io import Collection, read_collection, read_lines, read_records

CANDIDATES = 8
DEV_CANDIDATES = 30
DEV_QUERIES = 120
DEPTH = 60
SHINGLE_WORDS = 13
JUDGED = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "wikiqa-dev", "squad-dev")
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


def shingles(text: str) -> set[int]:
    """Hash every run of 13 words, to notice a passage that a judged collection also holds."""
    words = re.findall(r"\w+", text.lower())
    return {hash(tuple(words[i : i + SHINGLE_WORDS])) for i in range(len(words) - SHINGLE_WORDS + 1)}


def judged_texts(ir_folder: Path) -> tuple[set[int], set[str]]:
    """Collect the shingles and the queries of the judged collections, to keep both out of training."""
    seen: set[int] = set()
    queries: set[str] = set()
    for name in JUDGED:
        if (ir_folder / name).exists():
            collection = read_collection(ir_folder / name)
            seen.update(*(shingles(text) for text in collection.documents + collection.queries))
            queries.update(query.lower().rstrip(" ?") for query in collection.queries)
    return seen, queries


def retrieved(source: str, queries: list[str], relevant: list[list[int]], texts: list[str]) -> list[Example]:
    """Search each query with BM25 and append its first relevant document where BM25 missed all of them."""
    positions, _ = Bm25(texts).search(queries, DEPTH)
    examples = []
    for query, wanted, row in zip(queries, relevant, positions.tolist(), strict=True):
        found = row if not wanted or set(row) & set(wanted) else [*row, wanted[0]]
        examples.append(
            Example(source, query, [texts[p] for p in found], [i for i, p in enumerate(found) if p in wanted])
        )
    return examples


def section_queries(paragraphs: list[dict[str, str]], count: int, rng: random.Random) -> list[Example]:
    """Use article title plus section heading as the query for the section's paragraph."""
    by_heading: dict[str, list[int]] = {}
    for position, paragraph in enumerate(paragraphs):
        if paragraph["section"]:
            by_heading.setdefault(f"{paragraph['title']} {paragraph['section']}", []).append(position)
    headings = rng.sample(sorted(by_heading), count)
    texts = [paragraph["text"] for paragraph in paragraphs]
    return retrieved("wikipedia-section", headings, [by_heading[heading] for heading in headings], texts)


def sentence_queries(paragraphs: list[dict[str, str]], count: int, rng: random.Random) -> list[Example]:
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


def sibling_queries(paragraphs: list[dict[str, str]], count: int, rng: random.Random) -> list[Example]:
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


def pair_queries(source: str, collection: Collection, picked: list[int]) -> list[Example]:
    """Use judged pairs (medquad, wikiqa-train) as they are."""
    relevant = [sorted(collection.relevant[i]) for i in picked]
    return retrieved(source, [collection.queries[i] for i in picked], relevant, collection.documents)


def question_queries(questions: list[str], paragraphs: list[dict[str, str]]) -> list[Example]:
    """Pair web questions with the Wikipedia paragraphs BM25 finds; only the teacher says which of them answer."""
    texts = [f"{paragraph['title']} {paragraph['text']}" for paragraph in paragraphs]
    return retrieved("nq", questions, [[] for _ in questions], texts)


def training_example(made: Example, rng: random.Random) -> Example:
    """Keep one relevant document, the best three others and a spread of the rest."""
    positive = [rng.choice(made.relevant)] if made.relevant else []
    others = [i for i in range(len(made.documents)) if i not in made.relevant]
    spread = sorted(rng.sample(others[3:], min(CANDIDATES, len(others[3:]))))
    chosen = sorted((positive + others[:3] + rng.sample(spread, len(spread)))[:CANDIDATES])
    relevant = [i for i, position in enumerate(chosen) if position in positive]
    return Example(made.source, made.query, [made.documents[i] for i in chosen], relevant)


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


def split_paragraphs(
    data_folder: Path, seen: set[int], seed: int
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return Wikipedia's paragraphs for training and those of held-out articles; judged passages are in neither."""
    paragraphs = [
        p for p in read_records(data_folder / "text" / "wikipedia.jsonl.gz") if not shingles(p["text"]) & seen
    ]
    titles = sorted({paragraph["title"] for paragraph in paragraphs})
    held_out = set(random.Random(seed).sample(titles, len(titles) // 20))
    return (
        [p for p in paragraphs if p["title"] not in held_out],
        [p for p in paragraphs if p["title"] in held_out],
    )


def build(data_folder: Path, work: Path, seed: int = 0) -> None:
    """Write ``train.jsonl`` (shuffled) and ``dev.jsonl`` once; what the judged collections share is left out first."""
    if (work / "dev.jsonl").exists():
        return
    rng = random.Random(seed)
    seen, judged_queries = judged_texts(data_folder / "ir")
    by_role = dict(zip((False, True), split_paragraphs(data_folder, seen, seed), strict=True))
    questions = [
        q
        for q in read_lines(data_folder / "text" / "nq-questions.txt.gz")
        if q.lower().rstrip(" ?") not in judged_queries
    ]
    train = question_queries(rng.sample(questions, TRAIN_QUERIES["nq"]), by_role[False])
    train += section_queries(by_role[False], TRAIN_QUERIES["wikipedia-section"], rng)
    train += sentence_queries(by_role[False], TRAIN_QUERIES["wikipedia-sentence"], rng)
    dev = dev_examples(section_queries(by_role[True], 3 * DEV_QUERIES, rng))
    dev += dev_examples(sentence_queries(by_role[True], 2 * DEV_QUERIES, rng))
    for source, folder in (("medquad", "medquad"), ("wikiqa", "wikiqa-train")):
        collection = without(read_collection(data_folder / "train" / folder), seen, judged_queries)
        picked = rng.sample(
            range(len(collection.queries)),
            min(len(collection.queries), TRAIN_QUERIES[source] + 2 * DEV_QUERIES),
        )
        dev += dev_examples(pair_queries(source, collection, picked[: 2 * DEV_QUERIES]))
        train += pair_queries(source, collection, picked[2 * DEV_QUERIES :])
    dev += dev_examples(sibling_queries(by_role[True], 4 * DEV_QUERIES, random.Random(seed + 1)))
    rng.shuffle(train)
    write_examples(work / "train.jsonl", [training_example(made, rng) for made in train])
    write_examples(work / "dev.jsonl", dev)


def without(collection: Collection, seen: set[int], judged_queries: set[str]) -> Collection:
    """Drop the queries that a judged collection asks too, or whose relevant document it holds."""
    kept = [
        i
        for i, query in enumerate(collection.queries)
        if query.lower().rstrip(" ?") not in judged_queries
        and not any(shingles(collection.documents[d]) & seen for d in collection.relevant[i])
    ]
    return Collection(
        collection.documents, [collection.queries[i] for i in kept], [collection.relevant[i] for i in kept]
    )


def write_examples(path: Path, examples: list[Example]) -> None:
    """Write one example a line through a temporary file, so that a cut run leaves nothing half done."""
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(json.dumps(asdict(made)) + "\n" for made in examples), encoding="utf-8")
    temporary.rename(path)


def read_examples(path: Path) -> list[Example]:
    """Read what ``write_examples`` wrote."""
    return [Example(**json.loads(line)) for line in read_lines(path)]
