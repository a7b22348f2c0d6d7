"""A test collection: documents, queries, and which documents were judged relevant."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from laterank.errors import InputError

__all__ = ["Collection", "Ranking", "ScoredRanking"]

Ranking = dict[str, list[str]]
"""Query to its documents, the best first, all by their ids."""
ScoredRanking = dict[str, dict[str, float]]
"""The same, each document with its score."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents and queries by their ids, and what was judged relevant.

    Attributes:
        name: For people; it also decides the draws of the bootstrap.
        documents: Texts by id.
        queries: Texts by id.
        relevant: Grades by query and document, above zero for relevant ones; empty where nothing was judged.
        notes: What was left out, for people.
    """

    name: str
    documents: Mapping[str, str]
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def sample(self, queries: int, seed: int = 0) -> Collection:
        """Keep a seeded sample of the queries, and all documents.

        Raises:
            InputError: If ``queries`` is less than 1.
        """
        if queries < 1:
            raise InputError(f"queries is {queries}, expected at least 1")
        if len(self.queries) <= queries:
            return self
        kept = set(random.Random(seed).sample(sorted(self.queries), queries))
        return replace(
            self,
            queries={key: text for key, text in self.queries.items() if key in kept},
            relevant={key: judged for key, judged in self.relevant.items() if key in kept},
        )

    def judged(self) -> Collection:
        """Keep what can be measured: queries with a relevant document in the corpus; ``notes`` say what was left out."""
        relevant: dict[str, dict[str, int]] = {}
        unknown: dict[str, None] = {}
        for query, grades in self.relevant.items():
            for document, grade in grades.items():
                if document not in self.documents:
                    unknown[document] = None
                elif grade > 0 and query in self.queries:
                    relevant.setdefault(query, {})[document] = grade
        strange = [query for query in self.relevant if query not in self.queries]
        unjudged = [query for query in self.queries if query not in relevant]
        left_out = (
            (list(unknown), "Judged documents that are not in the corpus do not count"),
            (strange, "Judged queries that are not among the queries do not count"),
            (unjudged, "Queries without a relevant document in the corpus are left out"),
        )
        notes = (f"{what}: {len(ids):,}, such as {ids[0]}" for ids, what in left_out if ids)
        kept = {query: text for query, text in self.queries.items() if query in relevant}
        return replace(
            self,
            queries=kept,
            relevant={query: relevant[query] for query in kept},
            notes=(*self.notes, *notes),
        )
