"""A test collection: documents, queries, and which documents were judged relevant."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from laterank.errors import InputError

__all__ = ["Collection", "Judgements", "Ranking"]

Ranking = dict[str, list[str]]
"""Query to its documents, the best first, all by their ids."""
Judgements = dict[str, dict[str, int]]
"""Query and document to a grade above zero, by their ids."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents and queries by their ids, and what was judged relevant.

    Attributes:
        name: For people; it also decides the draws of the bootstrap.
        documents: Texts by id.
        queries: Texts by id.
        relevant: Grades above zero, by query and document; empty where nothing was judged.
        notes: What was left out when it was read, for people.
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
