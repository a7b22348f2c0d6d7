"""A whole ranking: where each document was, where it is, and what moved it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from laterank.explanation.alignment import Match
from laterank.explanation.ranking_html import ranking_fragment, ranking_page
from laterank.explanation.ranking_text import ranking_text
from laterank.explanation.single import Explanation
from laterank.scale import ScoreKind

__all__ = ["Place", "RankingExplanation", "Reason", "explained_ranking"]

MOST_REASONS = 4
LEAST_DIFFERENCE = 0.02
"""A similarity this close to the others' average is no reason to move."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A query row that sets a document apart from the others that are shown.

    Attributes:
        match: The row and the token that it met in this document.
        difference: The match's similarity less the average of the same row's in all documents shown. Above zero it speaks
            for this document.
    """

    match: Match
    difference: float


@dataclass(frozen=True, slots=True)
class Place:
    """One document's place before and after.

    Attributes:
        index: Where the caller had it, from 0.
        before: Its rank there, from 1.
        after: Its rank now, from 1.
        explanation: Its score, row by row.
        reasons: What sets it apart, the largest difference first.
    """

    index: int
    before: int
    after: int
    explanation: Explanation
    reasons: tuple[Reason, ...]

    @property
    def moved(self) -> int:
        """How many ranks it went up; below zero for down."""
        return self.before - self.after


@dataclass(frozen=True, slots=True)
class RankingExplanation:
    """Who moved, by how much, and why. ``Reranker.explain_ranking`` makes one; a notebook shows it as a page.

    Attributes:
        query: The question.
        model: The model's name.
        scale: What kind of scores these are.
        documents: How many there were.
        places: The best, in their new order.
        dropped: Those that were as far up before and are no longer, in their new order.
    """

    query: str
    model: str
    scale: ScoreKind
    documents: int
    places: tuple[Place, ...]
    dropped: tuple[Place, ...]

    def to_text(self, *, color: bool | None = None, width: int | None = None) -> str:
        """Return it for a terminal; the arguments are those of ``Explanation.to_text``."""
        return ranking_text(self, color=color, width=width)

    def to_html(self) -> str:
        """Return it as a page of its own, without scripts and without anything from elsewhere."""
        return ranking_page(self)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "query": self.query,
            "model": self.model,
            "scale": self.scale,
            "documents": self.documents,
            "places": [_place(place) for place in self.places],
            "dropped": [_place(place) for place in self.dropped],
        }

    def __str__(self) -> str:
        return self.to_text(color=False)

    def _repr_html_(self) -> str:
        return ranking_fragment(self)


def explained_ranking(
    query: str,
    order: Sequence[int],
    explanations: Mapping[int, Explanation],
    *,
    model: str,
    scale: ScoreKind,
    top_n: int,
) -> RankingExplanation:
    """Compare a ranking with the order that it found.

    Args:
        query: The question.
        order: The documents' places before, in their new order.
        explanations: By place before; of the first ``top_n`` before and after, at least.
        model: The model's name.
        scale: What kind of scores these are.
        top_n: How many are shown.
    """
    shown = [index for after, index in enumerate(order) if after < top_n or index < top_n]
    average = _average([explanations[index] for index in shown])
    places = [
        Place(index, index + 1, after, explanations[index], _reasons(explanations[index], average))
        for after, index in enumerate(order, start=1)
        if index in shown
    ]
    return RankingExplanation(
        query,
        model,
        scale,
        documents=len(order),
        places=tuple(place for place in places if place.after <= top_n),
        dropped=tuple(place for place in places if place.after > top_n),
    )


def _average(explanations: Sequence[Explanation]) -> list[float]:
    """Return each query row's similarity, on average over the documents that have any."""
    rows = zip(*(found.matches for found in explanations if found.matches), strict=True)
    return [fmean(match.similarity for match in row) for row in rows]


def _reasons(explanation: Explanation, average: Sequence[float]) -> tuple[Reason, ...]:
    """Return the rows of words, but not of punctuation, that differ most from the average."""
    reasons = [
        Reason(match, match.similarity - usual)
        for match, usual in zip(explanation.matches, average, strict=False)
        if any(character.isalnum() for character in match.query.of(explanation.query))
    ]
    apart = [reason for reason in reasons if abs(reason.difference) >= LEAST_DIFFERENCE]
    return tuple(sorted(apart, key=lambda reason: -abs(reason.difference))[:MOST_REASONS])


def _place(place: Place) -> dict[str, Any]:
    explanation = place.explanation.to_dict()
    return {
        "index": place.index,
        "before": place.before,
        "after": place.after,
        "moved": place.moved,
        "score": place.explanation.score,
        "reasons": [
            {
                "row": place.explanation.matches.index(reason.match),
                "difference": reason.difference,
                **explanation["matches"][place.explanation.matches.index(reason.match)],
            }
            for reason in place.reasons
        ],
        "explanation": explanation,
    }
