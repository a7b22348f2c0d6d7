"""Where a text that is longer than a model reads is cut into windows that overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

__all__ = ["WINDOW_TOKENS", "Span", "stretches", "windows"]

Span = tuple[int, int]
"""Characters of a text: the first, and one after the last."""
WINDOW_TOKENS = 192
"""The most tokens of a window: shorter ones than models read rank better (docs/long_documents.md)."""


def windows(text: str, starts: Sequence[int], *, room: int, overlap: float) -> list[Span]:
    """Cut a text into windows of equal token counts, evenly spread from its first token to its last.

    Windows are cut between tokens and, where a word starts within a quarter of the overlap, between words: a word's parts alone
    would be other tokens. Scoring a long document by its best window is MaxP (Dai & Callan 2019, arXiv 1905.09217).

    Args:
        text: The whole text.
        starts: The first character of each of its tokens, never falling. *Shape:* ``(tokens,)``
        room: The most tokens of a window, at least 1.
        overlap: The share of a window that the next one repeats, or more, before cuts are moved to words; in [0, 1).

    Returns:
        Spans of characters in order, which leave nothing out; the whole text where it fits into one.
    """
    tokens = len(starts)
    if tokens <= room:
        return [(0, len(text))]
    repeated = min(int(room * overlap), room - 1)
    count = ceil((tokens - repeated) / (room - repeated))
    reach = repeated // 4
    spans = []
    for place in range(count):
        first = place * (tokens - room) // (count - 1)
        start = 0 if place == 0 else starts[_word_start(text, starts, first, reach)]
        after = first + room
        end = len(text) if after >= tokens else starts[_word_start(text, starts, after, -reach)]
        if start < end:
            spans.append((start, end))
    return spans


def _word_start(text: str, starts: Sequence[int], token: int, reach: int) -> int:
    """Return the nearest token from this one on, or back for a negative reach, that starts a word; else this one."""
    step = 1 if reach > 0 else -1
    for near in range(token, token + reach + step, step):
        # some vocabularies' tokens begin with the space before them
        if any(map(str.isspace, text[max(0, starts[near] - 1) : starts[near] + 1])):
            return near
    return token


def stretches(text: str, most: int) -> Iterator[Span]:
    """Cut a huge text into stretches of at most so many characters, before a space where there is one in their second half."""
    first = 0
    while len(text) - first > most:
        space = text.rfind(" ", first + most // 2, first + most)
        last = space if space > first else first + most
        yield first, last
        first = last
    yield first, len(text)
