"""What a training stage must not read: texts and queries of the judged collections, and those that models are chosen on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from laterank.evaluation import Collection, read_collection

SHINGLE_WORDS = 13
JUDGED = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "wikiqa-dev", "squad-dev")

Records = list[dict[str, str]]


def shingles(text: str) -> set[int]:
    """Hash every run of 13 words, to notice a passage that another text also holds."""
    words = re.findall(r"\w+", text.lower())
    return {hash(tuple(words[i : i + SHINGLE_WORDS])) for i in range(len(words) - SHINGLE_WORDS + 1)}


def plain(query: str) -> str:
    """Return a query as it is compared with others."""
    return query.lower().rstrip(" ?")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Texts, by every 13 words in a row, and queries."""

    shingles: frozenset[int]
    queries: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str], queries: Iterable[str]) -> HeldOut:
        """Hold these texts and queries out."""
        asked = list(queries)
        held = frozenset(one for text in (*texts, *asked) for one in shingles(text))
        return cls(held, frozenset(map(plain, asked)))

    def __or__(self, other: HeldOut) -> HeldOut:
        return HeldOut(self.shingles | other.shingles, self.queries | other.queries)

    def holds(self, text: str) -> bool:
        """Say whether a text shares 13 words in a row with what is held out."""
        return not self.shingles.isdisjoint(shingles(text))

    def asks(self, query: str) -> bool:
        """Say whether a query is held out."""
        return plain(query) in self.queries

    def left(self, records: Records) -> Records:
        """Return the records whose text may be read."""
        return [record for record in records if not self.holds(record["text"])]


@cache
def judged(ir_folder: Path) -> HeldOut:
    """Hold the judged collections out, every one of them: training without this protection would go unnoticed.

    Raises:
        CollectionError: If one of them is missing.
    """
    collections = [read_collection(ir_folder / name) for name in JUDGED]
    return HeldOut.of(
        (text for one in collections for text in one.documents.values()),
        (query for one in collections for query in one.queries.values()),
    )


def without(collection: Collection, held_out: HeldOut) -> Collection:
    """Drop the documents that are held out, and the queries that are, or one of whose relevant documents is."""
    documents = {key: text for key, text in collection.documents.items() if not held_out.holds(text)}
    queries = {
        key: query
        for key, query in collection.queries.items()
        if not held_out.asks(query) and collection.relevant[key].keys() <= documents.keys()
    }
    return Collection(collection.name, documents, queries, {key: collection.relevant[key] for key in queries})


def split(records: Records, one_in: int, rng: random.Random) -> tuple[Records, Records]:
    """Return the records for training and those for development, which have one title in so many, but at least one."""
    titles = sorted({record["title"] for record in records})
    chosen = set(rng.sample(titles, max(len(titles) // one_in, min(1, len(titles)))))
    return (
        [record for record in records if record["title"] not in chosen],
        [record for record in records if record["title"] in chosen],
    )
