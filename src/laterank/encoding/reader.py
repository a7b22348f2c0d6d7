"""How a model reads texts, as far as its tokenizer alone can tell: tokens, windows, and what is cut off."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Literal

from laterank.checks import check_texts, checked_count
from laterank.encoding.lazy import lazy
from laterank.encoding.reading import Reading
from laterank.encoding.tokenization import ColbertTokenizer, Tokens
from laterank.encoding.windows import WINDOW_TOKENS, Span
from laterank.errors import InputError
from laterank.model.config import ColbertConfig
from laterank.model.files import ModelFiles

__all__ = ["TEXTS_PER_ROUND", "TextKind", "TextReader"]

logger = logging.getLogger(__name__)

TextKind = Literal["queries", "documents"]

TEXTS_PER_ROUND = 1024
"""Texts that are tokenised, and encoded, before the next are looked at."""

CURES: dict[TextKind, str] = {
    "queries": "; ask shorter questions",
    "documents": "; long_documents='windows' reads documents to their end",
}
"""What to do where texts are cut."""


class TextReader:
    """The part of an encoder that needs no network; the tokenizer is loaded at the first use."""

    def __init__(self, files: ModelFiles) -> None:
        """Load nothing yet.

        Args:
            files: The model.
        """
        self.files = files
        self._said_cut: set[TextKind] = set()

    @property
    def name(self) -> str:
        """The model's name as it was asked for."""
        return self.files.name

    @property
    def config(self) -> ColbertConfig:
        """The model's settings."""
        return self.files.config

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens the model reads of each document, special tokens and marker included."""
        return [len(tokens) for tokens in self._documents(texts)]

    def truncates(self, texts: Sequence[str]) -> list[bool]:
        """Tell which documents are longer than the model reads, so that ``encode_documents`` cuts their ends off."""
        return [read.truncated for read in self._documents(texts)]

    def surely_reads_whole(self, text: str, rows: int) -> bool:
        """Tell, without tokenising, that a document of so many rows was not cut; False where its rows alone cannot prove it."""
        return self._tokenizer.surely_whole(text, rows)

    def say_nothing_of_cuts(self) -> None:
        """Log no longer that texts are cut: for texts that measure the model and that nobody asked about."""
        self._said_cut.update(CURES)

    def say_that_documents_are_cut(self, cut: int, count: int) -> None:
        """Log, once, that so many of ``count`` documents were not read to their ends."""
        self._say_once_if_cut(cut, count, "documents", self.config.document_length)

    def document_windows(
        self, texts: Sequence[str], *, overlap: float = 0.25, length: int = WINDOW_TOKENS
    ) -> list[list[Span]]:
        """Cut documents that are longer than the model reads into windows that it reads to their ends.

        Args:
            texts: One text each.
            overlap: The share of a window that the next one repeats, about; in [0, 1).
            length: The most tokens of a window, special ones included and the prompt left out, but for one or two more where
                a cut within a word makes other tokens of it; what the prompt leaves of ``config.document_length``, which none
                exceeds, where that is less.

        Returns:
            Characters of each window, first and one after last, which together leave nothing out; one window for a document
            that fits.

        Raises:
            InputError: If ``overlap`` is no number in [0, 1), or ``length`` no whole number of at least 1.
            InputTypeError: If a text is no string, naming its position.
        """
        if isinstance(overlap, bool) or not isinstance(overlap, (int, float)) or not 0 <= overlap < 1:
            raise InputError(
                f"overlap is {overlap!r}, expected a share of a window of at least 0 and below 1"
            )
        length = checked_count(length, "length")
        return [
            self._tokenizer.windows(text, overlap=overlap, length=length)
            if tokens.truncated
            else [(0, len(text))]
            for text, tokens in zip(texts, self._documents(texts), strict=True)
        ]

    def count_query_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many rows each query has of its own: special tokens and marker included, expansion left out."""
        tokens = self._tokenizer.queries(check_texts(texts, "queries"))
        return [int(query.scored[: len(query) - query.expanded].sum()) for query in tokens]

    def read_query(self, text: str) -> Reading:
        """Return the token behind each row that ``encode_queries`` gives of a text, with its place in it."""
        check_texts([text], "queries")
        return self._tokenizer.read_query(text)

    def read_document(self, text: str) -> Reading:
        """Return the tokens that the model scores of a document, with their places in it."""
        check_texts([text], "documents")
        return self._tokenizer.read_document(text)

    def _documents(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """Tokenise documents, some at a time, so that many take the memory of a few."""
        texts = list(check_texts(texts, "documents"))
        for start in range(0, len(texts), TEXTS_PER_ROUND):
            yield from self._tokenizer.documents(texts[start : start + TEXTS_PER_ROUND])

    def _say_once_if_cut(self, cut: int, count: int, kind: TextKind, length: int) -> None:
        if kind not in self._said_cut and cut:
            self._said_cut.add(kind)
            logger.warning(
                "%s cuts %s at %d tokens: the end of %d of %d is not read. This is said once%s",
                self.name,
                kind,
                length,
                cut,
                count,
                CURES[kind],
            )

    @lazy
    def _tokenizer(self) -> ColbertTokenizer:
        tokenizer = ColbertTokenizer(self.files.tokenizer, self.config)
        self.files.refuse_change()
        return tokenizer
