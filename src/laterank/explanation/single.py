"""One query and one document: the score, row by row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from laterank.encoding.reading import Reading, Token
from laterank.explanation.alignment import Match
from laterank.explanation.html import explanation_fragment, explanation_page
from laterank.explanation.text import explanation_text
from laterank.scale import ScoreKind

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a document scored what it scored. ``Reranker.explain`` makes one; a notebook shows it as a page.

    Attributes:
        query: The question.
        document: The document.
        model: The model's name.
        score: What ``Reranker.rank`` gives the document.
        scale: What kind of score that is: ``mean``, ``sum`` or ``probability``.
        maxsim: Raw MaxSim, the sum of all similarities; None for a document with nothing to score.
        matches: One a query row, in order; empty for a document with nothing to score.
        query_reading: The query's scored tokens, and how much of it was read.
        document_reading: The document's.
    """

    query: str
    document: str
    model: str
    score: float
    scale: ScoreKind
    maxsim: float | None
    matches: tuple[Match, ...]
    query_reading: Reading
    document_reading: Reading

    @property
    def received(self) -> tuple[float, ...]:
        """Each document token's share of the score: the shares of all query rows that met it.

        Tokens that share a row have equal parts of its share.
        """
        received = [0.0] * len(self.document_reading.tokens)
        for match in self.matches:
            for position in match.positions:
                received[position] += match.share / len(match.positions)
        return tuple(received)

    def met_by(self, match: Match) -> tuple[Token, ...]:
        """Return every document token of the row that a query row met: ``match.document``, and those pooled with it."""
        return tuple(self.document_reading.tokens[position] for position in match.positions)

    def to_text(self, *, color: bool | None = None, width: int | None = None) -> str:
        """Return it for a terminal.

        Args:
            color: Whether to use ANSI colours; None for only where standard output is a terminal and ``NO_COLOR`` is unset.
            width: Columns; None for the terminal's, or 100 where there is none.
        """
        return explanation_text(self, color=color, width=width)

    def to_html(self) -> str:
        """Return it as a page of its own, without scripts and without anything from elsewhere."""
        return explanation_page(self)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "query": self.query,
            "document": self.document,
            "model": self.model,
            "score": self.score,
            "scale": self.scale,
            "maxsim": self.maxsim,
            "matches": [
                {
                    "query": _token(match.query, self.query),
                    "document": _token(match.document, self.document),
                    "position": match.position,
                    "positions": match.positions,
                    "similarity": match.similarity,
                    "share": match.share,
                }
                for match in self.matches
            ],
            "query_reading": _reading(self.query_reading, self.query),
            "document_reading": _reading(self.document_reading, self.document),
        }

    def __str__(self) -> str:
        return self.to_text(color=False)

    def _repr_html_(self) -> str:
        return explanation_fragment(self)


def _token(token: Token, text: str) -> dict[str, Any]:
    return {
        "text": token.text,
        "role": token.role,
        "start": token.start,
        "end": token.end,
        "characters": token.of(text),
    }


def _reading(reading: Reading, text: str) -> dict[str, Any]:
    return {
        "tokens": [_token(token, text) for token in reading.tokens],
        "truncated": reading.truncated,
        "tokens_read": reading.tokens_read,
        "characters": reading.characters,
        "characters_read": reading.characters_read,
        "pooled": reading.pooled,
        "window": asdict(reading.window) if reading.window else None,
    }
