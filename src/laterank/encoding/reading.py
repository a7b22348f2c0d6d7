"""How a model read a text: its scored tokens, each with its place in the caller's own string."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from unicodedata import category

__all__ = ["Origins", "Reading", "Token", "TokenRole", "Window", "mended", "own_tokens"]

TokenRole = Literal["text", "start", "marker", "prompt", "end", "expansion"]
"""What a token is: of the caller's text, or which of those that the model adds."""

WORD_START = "▁"
"""How SentencePiece vocabularies write the start of a word; alone, it is a token that has no character of its own."""
JOINERS = frozenset("\u200c\u200d")
"""Invisible characters that bind the one before to the one after."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where it came from.

    Attributes:
        text: As the vocabulary writes it, such as ``##ing`` or ``[UNK]``.
        role: ``text`` for the caller's own, else which of the tokens that the model adds.
        start: The first of its characters in the caller's string; None for a token that the model adds.
        end: One after the last of them. Tokens may share characters, where a vocabulary splits one into bytes.
    """

    text: str
    role: TokenRole
    start: int | None = None
    end: int | None = None

    def of(self, text: str) -> str:
        """Return its characters in the caller's string; empty for a token that has none."""
        return "" if self.start is None else text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a long text was read.

    Attributes:
        start: Its first character.
        end: One after the last.
        number: Which of the text's windows it is, from 1.
        count: How many there are.
    """

    start: int
    end: int
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model read of one text.

    Attributes:
        tokens: The scored tokens, in the order of the text.
        truncated: Whether the end of the text was cut off.
        tokens_read: How many the network read, unscored ones and those that the model adds among them.
        characters: How long the text is.
        characters_read: How much of its start the network read; of a window, where it ends.
        window: The window that this is the reading of, where the text was read in more than one.
        pooled: Which tokens share each row, by their places, where tokens are pooled; None where each has a row of its own.
    """

    tokens: tuple[Token, ...]
    truncated: bool
    tokens_read: int
    characters: int
    characters_read: int
    window: Window | None = None
    pooled: tuple[tuple[int, ...], ...] | None = None

    @property
    def row_count(self) -> int:
        """How many rows the text has."""
        return len(self.tokens if self.pooled is None else self.pooled)

    def within(self, text: str, window: Window) -> Reading:
        """Return this reading of a window as one of the whole text, with its tokens where they are there."""
        tokens = tuple(
            token
            if token.start is None or token.end is None
            else replace(token, start=token.start + window.start, end=token.end + window.start)
            for token in self.tokens
        )
        end = window.start + self.characters_read
        return replace(self, tokens=tokens, characters=len(text), characters_read=end, window=window)


class Origins:
    """What the tokenizer sees of a text, and which of the caller's characters each of its characters is.

    Cutting blanks off, lower-casing and mending surrogates can make a text longer or shorter: ``İ`` becomes two characters.
    The tokenizer's own normalisation needs no such map, as its offsets are those of what it was given.
    """

    def __init__(
        self,
        text: str,
        *,
        prompt: str = "",
        strip: bool = False,
        lower: bool = False,
        most: int | None = None,
    ) -> None:
        """Prepare a text for the tokenizer.

        Args:
            text: The caller's string.
            prompt: What the model wants before it.
            strip: Whether blanks around both are cut off.
            lower: Whether it is lower-cased.
            most: The most characters to prepare, the first ones, cut where a word ends; None for all.
        """
        self.seen = prompt + text
        self._shift = -len(prompt)
        self._spans: list[Span] | None = None  # while each character seen is one of the caller's
        if strip:
            self._shift += len(self.seen) - len(self.seen.lstrip())
            self.seen = self.seen.strip()
        whole, self.seen = self.seen, _head(self.seen, most)
        self.is_cut = len(self.seen) < len(whole)
        if lower:
            lowered = self.seen.lower()
            if len(lowered) != len(self.seen):
                self._lengthen()
            self.seen = lowered
        without_surrogates = mended(self.seen)
        if len(without_surrogates) != len(self.seen):
            self._merge_pairs()
        self.seen = without_surrogates

    def span(self, start: int, end: int) -> Span:
        """Return the caller's characters behind a span of what was seen; below 0 for those of the prompt."""
        if self._spans is not None and start < end:
            start, end = self._spans[start][0], self._spans[end - 1][1]
        elif self._spans is not None:
            start = end = self._spans[start][0] if start < len(self._spans) else self._spans[-1][1]
        return start + self._shift, end + self._shift

    def _lengthen(self) -> None:
        """Follow one character that lower-casing makes two of."""
        self._spans = [
            (place, place + 1) for place, character in enumerate(self.seen) for _ in character.lower()
        ]

    def _merge_pairs(self) -> None:
        """Follow two surrogates that mending makes one character of."""
        spans = self._spans or [(place, place + 1) for place in range(len(self.seen))]
        merged: list[Span] = []
        after_high = False
        for character, (start, end) in zip(self.seen, spans, strict=True):
            if after_high and "\udc00" <= character <= "\udfff":
                merged[-1] = (merged[-1][0], end)
                after_high = False
            else:
                merged.append((start, end))
                after_high = "\ud800" <= character <= "\udbff"
        self._spans = merged


def _head(text: str, most: int | None) -> str:
    """Cut a huge text where a word ends, so that a megabyte costs no more than what the model can read."""
    if most is None or len(text) <= most:
        return text
    end = max(text.rfind(" ", 0, most), text.rfind("\n", 0, most))
    return text[:end] if end > most // 2 else text[:most]


def mended(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8 form and stop the tokenizer."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def own_tokens(names: Sequence[str], offsets: Sequence[Span], origins: Origins, text: str) -> Iterator[Token]:
    """Yield the tokens of a text and its prompt, with spans as a reader would draw them.

    A span has no blanks at its ends, and takes along marks that the tokenizer dropped and that cannot stand alone: the
    accent of a decomposed ``é``.

    Args:
        names: As the vocabulary writes them.
        offsets: In what the tokenizer saw.
        origins: What it saw.
        text: The caller's string.
    """
    spans = [origins.span(start, end) for start, end in offsets]
    for place, (name, (start, end)) in enumerate(zip(names, spans, strict=True)):
        if end <= 0 and start < 0:
            yield Token(name, "prompt")
            continue
        next_start = next((later for later, _ in spans[place + 1 : place + 2]), len(text))
        start, end = _trimmed(max(start, 0), end, text)
        if name == WORD_START and text[start:end].strip():
            start, end = start - text[:start][-1:].isspace(), start  # the space before it, if any
        elif start < end:
            end = _with_marks(end, max(next_start, end), text)
        yield Token(name, "text", start, end)


def _trimmed(start: int, end: int, text: str) -> Span:
    """Cut blanks off a span that has anything else."""
    inside = text[start:end]
    if not inside.strip():
        return start, end
    return start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())


def _with_marks(end: int, limit: int, text: str) -> int:
    while end < limit and (category(text[end]).startswith("M") or text[end] in JOINERS):
        end += 1
    return end
