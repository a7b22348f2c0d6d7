"""An explanation for a terminal."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from laterank.encoding.reading import Token
from laterank.explanation.terminal import Style, columns_of, fitted, padded, terminal_width, wrapped
from laterank.explanation.wording import (
    headline,
    label,
    met_name,
    one_line,
    percent,
    reading_note,
    score_note,
)

if TYPE_CHECKING:
    from laterank.explanation.alignment import Match
    from laterank.explanation.single import Explanation

__all__ = ["explanation_text", "name_of"]

NOTHING = "There is nothing to read in this document."
WORD_COLUMNS = 18
BAR_COLUMNS = 10
PARTS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
"""Eighths of a column."""
LEAST_CONTEXT = 16
"""Columns below which the words around a match say nothing."""


def explanation_text(explanation: Explanation, *, color: bool | None, width: int | None) -> str:
    """Write one document's score, row by row, aligned in columns."""
    style, columns = Style(color), terminal_width(width)
    lines = [
        style.bold(fitted(f"{explanation.score:.2f}  {headline(explanation.document)}", columns)),
        *(f"      {line}" for line in wrapped(one_line(explanation.query), columns - 6)),
        *(f"      {style.dim(line)}" for line in wrapped(_notes(explanation), columns - 6)),
    ]
    if not explanation.matches:
        return "\n".join([*lines, "", NOTHING])
    rows = _Table(explanation, style, columns)
    lines += ["", *rows.head()]
    lines += [line for match in explanation.matches if not _fills(match) for line in rows.lines(match)]
    if expansion := [match for match in explanation.matches if _fills(match)]:
        lines += [style.dim(line) for line in wrapped(rows.summary(expansion), columns)]
    return "\n".join(line.rstrip() for line in lines)


def name_of(token: Token, text: str) -> str:
    """Return what to call a token, with its role where it is none of the caller's words."""
    name, role = label(token, text)
    return name if role is None else f"{name} ({role})"


class _Table:
    """Columns that fit: bar and context only where there is room."""

    def __init__(self, explanation: Explanation, style: Style, columns: int) -> None:
        self._explanation, self._style = explanation, style
        names = [self._names(match) for match in explanation.matches if not _fills(match)]
        fixed = 2 + 2 + 10 + 2 + 6
        most = max(6, min(WORD_COLUMNS * 2, (columns - fixed) // 2))
        self._query_columns = min(most, max([columns_of(query) for query, _ in names] + [12]))
        self._met_columns = min(most, max([columns_of(met) for _, met in names] + [3]))
        left = columns - fixed - self._query_columns - self._met_columns
        self._bar_columns = BAR_COLUMNS if left > BAR_COLUMNS else 0
        left -= self._bar_columns + 2
        self._context_columns = left - 2 if left - 2 >= LEAST_CONTEXT else 0
        self._most = max(match.share for match in explanation.matches) or 1.0

    def head(self) -> list[str]:
        lines = self._joined(
            "query token", "met", "similarity", "share", " " * self._bar_columns, "in the passage"
        )
        return [self._style.dim(line) for line in lines]

    def lines(self, match: Match) -> list[str]:
        query, met = self._names(match)
        bar = self._style.warm(padded(_bar(match.share / self._most, self._bar_columns), self._bar_columns))
        return self._joined(
            query, met, f"{match.similarity:.2f}", percent(match.share), bar, self._context(match.document)
        )

    def summary(self, expansion: list[Match]) -> str:
        """Write the rows that fill a short query up as one line."""
        name = f"{len(expansion)} × {name_of(expansion[0].query, '')}"
        share = percent(sum(match.share for match in expansion))
        mean = sum(match.similarity for match in expansion) / len(expansion)
        return f"{name}: similarity {mean:.2f} on average, together {share} of the score"

    def _names(self, match: Match) -> tuple[str, str]:
        found = self._explanation
        return name_of(match.query, found.query), met_name(match, found, name_of)

    def _joined(self, query: str, met: str, similarity: str, share: str, bar: str, context: str) -> list[str]:
        """Return one line, and more below it for names that are longer than their columns."""
        names = zip_longest(
            wrapped(query, self._query_columns), wrapped(met, self._met_columns), fillvalue=""
        )
        first, *more = (
            f"{padded(one, self._query_columns)}  {padded(other, self._met_columns)}" for one, other in names
        )
        cells = [first, padded(similarity, 10, right=True), padded(share, 6, right=True)]
        if self._bar_columns:
            cells.append(bar)
        if self._context_columns:
            cells.append(context)
        return ["  ".join(cells), *more]

    def _context(self, token: Token) -> str:
        """Return the words around a token, the token in brackets."""
        if token.start is None or token.end is None or not self._context_columns:
            return ""
        text, reach = self._explanation.document, self._context_columns
        name = one_line(token.of(text))
        before = one_line(text[max(0, token.start - reach) : token.start])
        space_before = " " if before and text[token.start - 1 : token.start].isspace() else ""
        after = one_line(text[token.end : token.end + reach])
        space_after = " " if after and text[token.end : token.end + 1].isspace() else ""
        room = max(0, self._context_columns - columns_of(name) - 2 - len(space_before) - len(space_after))
        after = fitted(after, room - min(columns_of(before), room // 2)) if room else ""
        before = _last(before, room - columns_of(after)) if room else ""
        line = f"{before}{space_before}[{name}]{space_after}{after}"
        if columns_of(line) > self._context_columns:
            return fitted(f"[{name}]", self._context_columns)
        return line.replace(f"[{name}]", self._style.bold(f"[{name}]"), 1) if self._style.color else line


def _last(text: str, columns: int) -> str:
    """Keep the end of a text."""
    if columns_of(text) <= columns:
        return text
    while text and columns_of(text) > columns - 1:
        text = text[1:]
    return f"…{text}" if columns > 0 else ""


def _bar(part: float, columns: int) -> str:
    """Draw a part of 1, to an eighth of a column."""
    eighths = round(part * columns * 8)
    return "█" * (eighths // 8) + PARTS[eighths % 8]


def _fills(match: Match) -> bool:
    return match.query.role == "expansion"


def _notes(explanation: Explanation) -> str:
    readings = (
        reading_note(explanation.query_reading, "query"),
        reading_note(explanation.document_reading, "document"),
    )
    return " ".join([f"{explanation.model}, {score_note(explanation)}.", *filter(None, readings)])
