"""The student's nDCG@10 on a few development queries while it trains: for the log; the choice reads more of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from data import Example
from measure import dev_scores
from model import ColbertModel
from rows import embed_all
from tokens import ColbertTokenizer

QUERIES = 20
"""Of each source: both stages together spend minutes on it."""


def first_of_each(dev: Sequence[Example]) -> list[Example]:
    """Return the first queries of each source."""
    taken: Counter[str] = Counter()
    few = []
    for made in dev:
        taken[made.source] += 1
        if taken[made.source] <= QUERIES:
            few.append(made)
    return few


@dataclass(frozen=True, slots=True)
class TorchEncoder:
    """Encodes with a model that is being trained, as ``OnnxEncoder`` does with an exported one."""

    model: ColbertModel
    tokenizer: ColbertTokenizer
    workers: int

    def queries(self, texts: list[str]) -> list[np.ndarray]:
        """Encode queries; every row counts."""
        return [rows.astype(np.float32) for rows in self._embedded(self.tokenizer.queries(texts))]

    def documents(self, texts: list[str], length: int | None = None) -> list[np.ndarray]:
        """Encode documents without their punctuation rows."""
        ids = self.tokenizer.documents(texts, length)
        return [rows[self.tokenizer.kept(row)] for rows, row in zip(self._embedded(ids), ids, strict=True)]

    def _embedded(self, ids: list[list[int]]) -> list[np.ndarray]:
        return embed_all(self.model, [np.array(row) for row in ids], self.tokenizer.mask, self.workers)


@dataclass(frozen=True, slots=True)
class DevLog:
    """Measures a student on the first queries of each source."""

    dev: Sequence[Example]
    tokenizer: ColbertTokenizer
    workers: int

    def __call__(self, student: ColbertModel) -> dict[str, float]:
        """Return nDCG@10 x 100 of each source and their mean, each named ``dev_...``; nothing where ir-measures is missing."""
        if find_spec("ir_measures") is None:
            return {}
        encoder = TorchEncoder(student, self.tokenizer, self.workers)
        found = dev_scores(encoder, first_of_each(self.dev), self.tokenizer.layout.document_length)
        return {f"dev_{name}": value for name, value in found.items()}
