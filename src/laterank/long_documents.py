"""What happens to documents that are longer than a model reads: their end is cut off, they are read in windows, or refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.protocol import checked_answers
from laterank.encoding.windows import Span
from laterank.errors import EncodingError, InputError
from laterank.ranking import RankedDocument

__all__ = ["LongDocumentKind", "LongDocuments", "Pieces", "WindowingEncoder"]

LongDocumentKind = Literal["truncate", "windows", "error"]
T = TypeVar("T")

OVERLAP = 0.25
"""The share of a window that the next one repeats, so that a sentence that one cuts is whole in the other."""
MOST_REMEMBERED = 1 << 15
"""Windows remembered in each of two generations: some 10 MB together."""


@runtime_checkable
class WindowingEncoder(Protocol):
    """What telling long documents, and reading them in windows, needs of an encoder beside its rows."""

    def truncates(self, texts: Sequence[str]) -> list[bool]:
        """Tell which documents are longer than the model reads."""

    def document_windows(self, texts: Sequence[str], *, overlap: float) -> list[list[Span]]:
        """Return the characters of each document's windows; one window for a document that fits."""


@runtime_checkable
class CountingEncoder(Protocol):
    """An encoder that need not tokenise most documents again to know that it read them to their ends."""

    def surely_reads_whole(self, text: str, rows: int) -> bool:
        """Tell that a document of so many rows was not cut; False where its rows alone cannot prove it."""


@runtime_checkable
class SpokenEncoder(Protocol):
    """An encoder that says in its log that documents were cut, once, whether it was a ranking or itself that found out."""

    def say_that_documents_are_cut(self, cut: int, count: int) -> None:
        """Log that so many of ``count`` documents were not read to their ends."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What is scored of one query's documents.

    Attributes:
        texts: The documents, or their windows, those of a document side by side.
        spans: The characters of each document's windows; None where every document is scored as it is.
    """

    texts: Sequence[str]
    spans: Sequence[Sequence[Span]] | None = None

    @property
    def of_documents(self) -> list[Sequence[str]]:
        """What is scored of each document: itself, or all of its windows."""
        if self.spans is None:
            return [(text,) for text in self.texts]
        starts = self._starts().tolist()
        return [
            self.texts[start : start + len(spans)] for start, spans in zip(starts, self.spans, strict=True)
        ]

    def best(self, sums: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each document's best sum, given its pieces'. *Shape:* ``(pieces,)`` to ``(documents,)``"""
        return sums if self.spans is None else np.maximum.reduceat(sums, self._starts())

    def marked(self, ranking: Sequence[RankedDocument], sums: NDArray[np.float32]) -> list[RankedDocument]:
        """Add the best window to what was ranked of documents that have more than one. *Shape:* ``(pieces,)``"""
        if self.spans is None:
            return list(ranking)
        starts = self._starts()
        found = []
        for place in ranking:
            spans, start = self.spans[place.index], starts[place.index]
            if len(spans) > 1 and place.scored:
                window = spans[int(np.argmax(sums[start : start + len(spans)]))]
                place = replace(place, window=window)
            found.append(place)
        return found

    def _starts(self) -> NDArray[np.intp]:
        return np.cumsum([0, *(len(spans) for spans in self.spans or ())])[:-1]


class LongDocuments:
    """A policy for documents that are longer than a model reads, which tokenises no document twice while it remembers it."""

    def __init__(self, kind: LongDocumentKind, encoder: object, overlap: float = OVERLAP) -> None:
        """Make a policy.

        Args:
            kind: ``"truncate"``, ``"windows"`` or ``"error"``.
            encoder: The model; with ``"truncate"`` one that cannot tell long documents will do, and none is told then.
            overlap: The share of a window that the next one repeats, in [0, 1).

        Raises:
            InputError: If there is no such kind or overlap, or the encoder cannot tell long documents.
        """
        if kind not in get_args(LongDocumentKind):
            known = ", ".join(map(repr, get_args(LongDocumentKind)))
            raise InputError(f"long_documents is {kind!r}, expected one of {known}")
        if isinstance(overlap, bool) or not isinstance(overlap, (int, float)) or not 0 <= overlap < 1:
            raise InputError(f"window_overlap is {overlap!r}, expected a share of at least 0 and below 1")
        if kind != "truncate" and not isinstance(encoder, WindowingEncoder):
            raise InputError(
                f"long_documents is {kind!r}, but {type(encoder).__name__} has no methods truncates() and "
                "document_windows(); use 'truncate', or a ColbertEncoder"
            )
        self.kind: LongDocumentKind = kind
        self.overlap = float(overlap)
        self._encoder = encoder if isinstance(encoder, WindowingEncoder) else None
        self._name = getattr(encoder, "name", type(encoder).__name__)
        self._long: _Remembered[bool] = _Remembered(lambda found: 1)
        self._windows: _Remembered[tuple[Span, ...]] = _Remembered(len)

    def pieces(self, documents: Sequence[str], name: str = "documents", *, first: int = 0) -> Pieces:
        """Return what is scored of documents.

        Args:
            documents: The documents, checked.
            name: What to call them in an error.
            first: The position of the first, where this is a piece of something longer.

        Raises:
            InputError: If one is too long and the policy refuses those, naming its position.
        """
        if self.kind == "error":
            for position, is_cut in enumerate(self._cut(documents)):
                if is_cut:
                    raise InputError(
                        f"{name}[{first + position}] has {len(documents[position]):,} characters, more than {self._reads()}; "
                        "split it, or use long_documents='windows', or long_documents='truncate'"
                    )
        if self.kind != "windows":
            return Pieces(documents)
        spans = self.windows(documents)
        if all(len(found) == 1 for found in spans):
            return Pieces(documents)
        texts = [
            text[start:end] for text, found in zip(documents, spans, strict=True) for start, end in found
        ]
        return Pieces(texts, spans)

    def _reads(self) -> str:
        """Say how much the model reads, in tokens where it tells."""
        most = getattr(getattr(self._encoder, "config", None), "document_length", None)
        return f"the {most} tokens that {self._name} reads" if most else f"{self._name} reads"

    def windows(self, documents: Sequence[str]) -> list[tuple[Span, ...]]:
        """Return the characters of what is read of each document: one span, unless it is to be cut into windows."""
        encoder = self._encoder
        if self.kind != "windows" or encoder is None:
            return [((0, len(text)),) for text in documents]

        def find(texts: Sequence[str]) -> Iterable[tuple[Span, ...]]:
            """Ask the encoder, and check what it says."""
            source = f"document_windows() of {type(encoder).__name__}"
            given = encoder.document_windows(texts, overlap=self.overlap)
            answers = checked_answers(given, source, count=len(texts), each="windows")
            return [
                _checked_spans(spans, f"{source} gave text {place}") for place, spans in enumerate(answers)
            ]

        return self._windows.of(documents, find)

    def marked(
        self, ranking: Sequence[RankedDocument], documents: Sequence[str], rows: Mapping[str, int]
    ) -> list[RankedDocument]:
        """Say of each document that was scored whether its end was cut off, given how many rows texts have."""
        if self.kind != "truncate":
            return list(ranking)
        read = [place.index for place in ranking if place.scored]
        unsure = read
        if isinstance(self._encoder, CountingEncoder):
            whole = self._encoder.surely_reads_whole
            unsure = [index for index in read if not whole(documents[index], rows.get(documents[index], 0))]
        cut = self._cut([documents[index] for index in unsure])
        long = {index for index, is_cut in zip(unsure, cut, strict=True) if is_cut}
        if long and isinstance(self._encoder, SpokenEncoder):
            self._encoder.say_that_documents_are_cut(len(long), len(read))
        return [replace(place, truncated=True) if place.index in long else place for place in ranking]

    def _cut(self, documents: Sequence[str]) -> list[bool]:
        """Tell which documents the model reads no more than the start of; none, where the encoder cannot tell."""
        encoder = self._encoder
        if encoder is None:
            return [False] * len(documents)

        def find(texts: Sequence[str]) -> Iterable[bool]:
            """Ask the encoder, and check what it says."""
            source = f"truncates() of {type(encoder).__name__}"
            given = encoder.truncates(texts)
            return map(bool, checked_answers(given, source, count=len(texts), each="True or False"))

        return self._long.of(documents, find)

    def __reduce__(self) -> Any:
        return LongDocuments, (self.kind, self._encoder, self.overlap)  # what was remembered stays behind


class _Remembered(Generic[T]):
    """What was found out about texts. About the least recently used is forgotten: the older of two generations.

    Threads may share one without a lock: an entry that is lost to a race is found out again.
    """

    def __init__(self, cost: Callable[[T], int]) -> None:
        self._cost = cost
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}
        self._spent = 0

    def of(self, texts: Sequence[str], find: Callable[[Sequence[str]], Iterable[T]]) -> list[T]:
        """Return what is known of each text, finding out what is not."""
        keys = [_digest(text) for text in texts]
        young, old = self._young, self._old
        at_hand = [young.get(key) for key in keys]
        if None not in at_hand:
            return cast("list[T]", at_hand)
        known = {key: young.get(key, old.get(key)) for key in keys}
        unknown = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        if unknown:
            known.update(zip(unknown, find(list(unknown.values())), strict=True))
        for key, found in known.items():
            if found is not None and key not in young:
                self._keep(key, found)
        return [found for key in keys if (found := known[key]) is not None]

    def _keep(self, key: bytes, found: T) -> None:
        if self._spent >= MOST_REMEMBERED:
            self._young, self._old, self._spent = {}, self._young, 0
        self._young[key] = found
        self._spent += self._cost(found)


def _checked_spans(given: Any, who: str) -> tuple[Span, ...]:
    """Return a text's windows as Python's own numbers.

    Raises:
        EncodingError: If there is none, or one is no pair of places.
    """
    expected = "expected at least one window: its first character, and one after its last"
    try:
        spans = tuple((index(start), index(end)) for start, end in given)
    except (TypeError, ValueError):
        raise EncodingError(f"{who} {given!r}, {expected}") from None
    if not spans:
        raise EncodingError(f"{who} no windows, {expected}")
    return spans


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
