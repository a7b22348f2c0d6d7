"""A folder of training data so small that a test can read all of it, in the format of ``training/README.md``."""

import gzip
import json
import random
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

JUDGED = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "wikiqa-dev", "squad-dev")
VOCABULARY = [first + second + third for first in "bdfgklm" for second in "aeiou" for third in "nrstvxz"]


def sentence(rng: random.Random, words: int = 14) -> str:
    """Draw words."""
    return " ".join(rng.choices(VOCABULARY, k=words)).capitalize()


def prose(rng: random.Random, sentences: int = 7) -> str:
    """Draw a paragraph of almost a hundred words."""
    return " ".join(f"{sentence(rng)}." for _ in range(sentences))


def write_lines(path: Path, lines: Iterable[object]) -> None:
    """Write lines of JSON, or of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)


def write_pairs(folder: Path, pairs: Mapping[str, str], others: Iterable[str] = ()) -> None:
    """Write a collection: queries with the one document that answers each, and documents that answer none."""
    documents = [*pairs.values(), *others]
    write_lines(
        folder / "corpus.jsonl.gz", ({"id": f"d{i}", "text": text} for i, text in enumerate(documents))
    )
    write_lines(
        folder / "queries.jsonl.gz", ({"id": f"q{i}", "text": query} for i, query in enumerate(pairs))
    )
    (folder / "qrels.tsv").write_text(
        "".join(f"q{i}\td{i}\t1\n" for i in range(len(pairs))), encoding="utf-8"
    )


def write_data(folder: Path) -> Path:
    """Write ``text/``, ``train/`` and ``ir/``."""
    rng = random.Random(0)
    articles = [{"title": sentence(rng, 2), "section": sentence(rng, 2)} for _ in range(40)]
    paragraphs = [article | {"text": prose(rng)} for article in articles for _ in range(3)]
    write_lines(folder / "text" / "wikipedia.jsonl.gz", paragraphs)
    write_lines(folder / "text" / "nq-questions.txt.gz", [sentence(rng, 6) for _ in range(20)])
    for name, pairs in (
        ("train/medquad", 90),
        ("train/wikiqa-train", 24),
        *((f"ir/{name}", 3) for name in JUDGED),
    ):
        write_pairs(folder / name, {sentence(rng, 6): prose(rng) for _ in range(pairs)})
    return folder


def write_more_text(folder: Path) -> Path:
    """Write technical prose and abstracts."""
    rng = random.Random(1)
    for name, each in (("systems", 3), ("databases", 3), ("abstracts", 1)):
        titles = [sentence(rng, 3) for _ in range(32)]
        records = (
            {"title": title, "section": "", "text": prose(rng)} for title in titles for _ in range(each)
        )
        write_lines(folder / f"{name}.jsonl.gz", records)
    return folder


def runs_of_13(text: str) -> set[tuple[str, ...]]:
    """Return every 13 words in a row."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 13]) for i in range(len(words) - 12)}
