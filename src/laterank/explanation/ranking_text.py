"""A ranking, before and after, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laterank.explanation.terminal import Style, fitted, padded, terminal_width, wrapped
from laterank.explanation.text import name_of
from laterank.explanation.wording import headline, met_name, one_line

if TYPE_CHECKING:
    from laterank.explanation.ranking import Place, RankingExplanation, Reason

__all__ = ["BRACKETS", "movement", "ranking_text"]

BRACKETS = "In brackets: how far a similarity is above or below the average of the documents shown."
INDENT = 26
"""Columns before a document."""
NARROW, BELOW = 60, 4
"""Columns of a terminal where documents stand below their ranks, and how far they are indented then."""


def ranking_text(ranking: RankingExplanation, *, color: bool | None, width: int | None) -> str:
    """Write who moved and why: a line a document, and under it what sets it apart."""
    style, columns = Style(color), terminal_width(width)
    lines = [style.bold(line) for line in wrapped(one_line(ranking.query), columns)]
    lines += [style.dim(f"{ranking.model}, {ranking.documents:,} documents, score: {ranking.scale}"), ""]
    lines.append(style.dim("after  before  moved  score  document"))
    for place in ranking.places:
        lines += _lines(place, style, columns)
    if not ranking.places:
        lines.append("There are no documents.")
    if ranking.dropped:
        lines += ["", style.dim("no longer among them")]
        for place in ranking.dropped:
            lines += _lines(place, style, columns)
    if ranking.places:
        lines += ["", *(style.dim(line) for line in wrapped(BRACKETS, columns))]
    return "\n".join(line.rstrip() for line in lines)


def movement(place: Place) -> str:
    """Return an arrow and how far."""
    if not place.moved:
        return "="
    return f"▲{place.moved}" if place.moved > 0 else f"▼{-place.moved}"


def _lines(place: Place, style: Style, columns: int) -> list[str]:
    explanation = place.explanation
    colour = style.warm if place.moved > 0 else style.cool
    text = headline(explanation.document)
    moved = colour(padded(movement(place), 5, right=True))
    head = f"{place.after:>5}  {place.before:>6}  {moved}  {explanation.score:>5.2f}"
    if columns >= NARROW:
        indent, lines = INDENT + 2, [f"{head}  {fitted(text, columns - INDENT - 4)}"]
    else:
        indent, lines = BELOW, [head, " " * BELOW + fitted(text, columns - BELOW)]
    why = "; ".join(_why(place, reason) for reason in place.reasons)
    lines += [" " * indent + style.dim(line) for line in wrapped(why, columns - indent)]
    return lines


def _why(place: Place, reason: Reason) -> str:
    found = place.explanation
    query, met = name_of(reason.match.query, found.query), met_name(reason.match, found, name_of)
    return f"{query} → {met} {reason.match.similarity:.2f} ({reason.difference:+.2f})"
