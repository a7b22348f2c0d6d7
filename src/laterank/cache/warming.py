"""Encoding a corpus into a cache ahead of its first query, and telling how far it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from laterank.cache.lookup import DocumentRows
from laterank.checks import check_texts, is_blank
from laterank.errors import InputError, InputTypeError
from laterank.progress import known_length, progress_bar

__all__ = ["Progress", "Warmed", "warm"]

logger = logging.getLogger(__name__)

DOCUMENTS_AT_ONCE = 256
"""Documents, or windows, that are encoded and kept before the next: what an interrupted run loses, at most."""
CHARACTERS_AT_ONCE = 1 << 21
"""Characters of these documents, but for one that alone has more."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """How far warming is, or was when it ended. What is neither encoded nor known is blank, or a repetition.

    Attributes:
        documents: Documents read.
        encoded: Those that had to be encoded; each window counts of one that is read in windows.
        known: Those that the cache had already; windows as well.
    """

    documents: int = 0
    encoded: int = 0
    known: int = 0


Progress: TypeAlias = bool | Callable[[Warmed], object]
"""True for a bar where stderr is a terminal, or a function that is told after every few hundred documents."""


def warm(
    rows: DocumentRows,
    texts: Iterable[str],
    *,
    read: Callable[[Sequence[str], int], Sequence[str]],
    progress: Progress,
    total: int | None,
) -> Warmed:
    """Encode what the cache lacks, piece by piece, in the memory of one piece.

    Args:
        rows: The model and its cache.
        texts: Any iterable of documents; blank ones and repetitions cost nothing.
        read: Gives what a ranking reads of some documents, such as their windows, and gets the position of the first.
        progress: Whether to show a bar, or whom to tell.
        total: How many there are, for the bar; None for what ``len`` says, if it does.

    Raises:
        InputError: If there is no cache.
        InputTypeError: If a document is no string, naming its position.
    """
    if rows.cache is None:
        raise InputError("this reranker has no cache to warm; make it with cache=True, a path or a cache")
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise InputTypeError(f"documents is {type(texts).__name__}, expected an iterable of strings")
    if not isinstance(progress, bool) and not callable(progress):
        raise InputTypeError(f"progress is {progress!r}, expected True, False or a function of Warmed")
    done, first, last = Warmed(), list[bytes](), list[bytes]()
    with _telling(progress, total or known_length(texts)) as tell:
        for piece in _pieces(texts):
            check_texts(piece, "documents", first=done.documents)
            texts_read = read(piece, done.documents)
            keys = rows.keys(dict.fromkeys(text for text in texts_read if not is_blank(text)))
            missing = rows.missing(last := list(keys))
            for start in range(0, len(missing), DOCUMENTS_AT_ONCE):
                rows.encode({key: keys[key] for key in missing[start : start + DOCUMENTS_AT_ONCE]})
            first = first or last
            done = Warmed(
                done.documents + len(piece),
                done.encoded + len(missing),
                done.known + len(keys) - len(missing),
            )
            tell(done)
    if gone := rows.missing(list(dict.fromkeys([*first, *last]))) if done.encoded else []:
        logger.warning(
            "%d of the documents that were warmed are not in the cache any more: it is too small for all of them, or "
            "cannot be written; give it more max_bytes, or see its own warnings",
            len(gone),
        )
    return done


def _pieces(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield texts, or what was given for some, in order, as many together as are held at one time."""
    piece: list[str] = []
    characters = 0
    for text in texts:
        piece.append(text)
        characters += len(text) if isinstance(text, str) else 0
        if len(piece) == DOCUMENTS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
            yield piece
            piece, characters = [], 0
    if piece:
        yield piece


@contextmanager
def _telling(progress: Progress, total: int | None) -> Iterator[Callable[[Warmed], object]]:
    """Give a function that tells how far it is: to the caller's, to a bar, or to nobody."""
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress or (bar := progress_bar(total, what="warming", unit="doc")) is None:
        yield lambda done: None
        return
    with bar:
        yield lambda done: bar.update(done.documents - bar.n)
