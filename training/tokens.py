"""Text to token ids with markers, exactly as the package does it, so that training sees what users will run."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

QUERY_MARKER = "[unused0]"
DOCUMENT_MARKER = "[unused1]"
SKIPLIST = tuple(string.punctuation)


@dataclass(frozen=True, slots=True)
class Layout:
    """The choices of a ColBERT model that are about tokens, not weights."""

    query_length: int
    document_length: int
    do_query_expansion: bool


LAYOUT = Layout(query_length=128, document_length=300, do_query_expansion=False)
"""What is trained with: few documents are longer, and those cost most."""
SHIPPED_LAYOUT = replace(LAYOUT, document_length=512)
"""What is shipped with: every position that the network has; training/README.md has what that does to long documents."""


class ColbertTokenizer:
    """Queries and documents to ids: start token, marker, word pieces, separator and, where wanted, mask tokens."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.tokenizer.encode_special_tokens = True
        self.layout = layout
        self.start, self.separator, self.mask = map(self.id_of, ("[CLS]", "[SEP]", "[MASK]"))
        self.query_marker, self.document_marker = self.id_of(QUERY_MARKER), self.id_of(DOCUMENT_MARKER)
        self.skipped = np.array([self.id_of(symbol) for symbol in SKIPLIST])

    def id_of(self, token: str) -> int:
        """Return a token's id; every token asked for is part of the BERT vocabulary."""
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no token {token!r}; expected the BERT uncased vocabulary")
        return int(found)

    def pieces(self, texts: list[str]) -> list[list[int]]:
        """Tokenise without special tokens."""
        return [encoded.ids for encoded in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def documents(self, texts: list[str], length: int | None = None) -> list[list[int]]:
        """Return document ids of at most ``length`` (default: the model's) tokens, marker included."""
        room = (length or self.layout.document_length) - 3
        return [[self.start, self.document_marker, *ids[:room], self.separator] for ids in self.pieces(texts)]

    def queries(self, texts: list[str]) -> list[list[int]]:
        """Return query ids; expansion fills up to ``query_length`` with mask tokens that are scored but not attended."""
        length = self.layout.query_length
        rows = [
            [self.start, self.query_marker, *ids[: length - 3], self.separator] for ids in self.pieces(texts)
        ]
        if self.layout.do_query_expansion:
            return [row + [self.mask] * (length - len(row)) for row in rows]
        return rows

    def kept(self, ids: list[int]) -> np.ndarray:
        """Mark the document rows that are scored: all but punctuation."""
        return ~np.isin(np.array(ids), self.skipped)
