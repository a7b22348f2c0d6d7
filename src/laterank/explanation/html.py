"""An explanation as HTML: the query's tokens as buttons, the passage as a heat map, no script."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from laterank.encoding.reading import Token
from laterank.explanation.markup import (
    escaped,
    name_of,
    page,
    pairing_rules,
    plain_name,
    style_element,
)
from laterank.explanation.passage import cells
from laterank.explanation.terminal import shortened
from laterank.explanation.wording import (
    direction,
    met_name,
    one_line,
    percent,
    reading_note,
    score_note,
)

if TYPE_CHECKING:
    from laterank.explanation.alignment import Match
    from laterank.explanation.single import Explanation

__all__ = ["explanation_body", "explanation_fragment", "explanation_page"]

LEAST_SPAN = 0.25
"""Similarities are coloured over at least so much: some models give everything between 0.9 and 1."""
LEVELS = 4
UNREAD_SHOWN = 280
"""Characters of what was not read that are shown."""
HINT = "Point at a query token, or move to it with the Tab key, to see what it met."
NOTHING = '<p class="lr-note">There is nothing to read in this document.</p>'


def explanation_page(explanation: Explanation) -> str:
    """Return a page of its own."""
    title = f"{explanation.score:.2f}: {shortened(one_line(explanation.query), 80)}"
    return page(title, explanation_fragment(explanation))


def explanation_fragment(explanation: Explanation) -> str:
    """Return what a notebook shows; several may be on one page."""
    style = style_element(pairing_rules(range(len(explanation.matches))))
    return f'<section class="laterank" aria-label="Explanation of a score">\n{style}\n{explanation_body(explanation)}\n</section>'


def explanation_body(explanation: Explanation) -> str:
    """Return an explanation without the style that it needs."""
    head = (
        f'<div class="lr-head"><span class="lr-score">{explanation.score:.2f}</span>'
        f'<span class="lr-note">{escaped(score_note(explanation))} · {escaped(explanation.model)}</span></div>'
    )
    faces = (_query, _passage, _table)
    parts = [face(explanation) for face in faces] if explanation.matches else [NOTHING]
    return "\n".join(['<div class="lr-one">', head, *parts, "</div>"])


# --- the query ----------------------------------------------------------------------------------------------------


def _query(explanation: Explanation) -> str:
    rows = list(enumerate(explanation.matches))
    own = _words(explanation, [row for row, match in rows if match.query.role != "expansion"])
    expansion = [(row, match) for row, match in rows if match.query.role == "expansion"]
    more = ""
    if expansion:
        share = percent(sum(match.share for _, match in expansion))
        buttons = "".join(_button(explanation, row) for row, _ in expansion)
        more = (
            f'<details class="lr-more"><summary>{len(expansion)} expansion rows, together {share} of the score</summary>'
            f'<div class="lr-tokens">{buttons}</div></details>'
        )
    note = reading_note(explanation.query_reading, "query")
    note = f'<p class="lr-note">{note}</p>' if note else ""
    return (
        f'<div class="lr-query"><p class="lr-label">Query</p><div class="lr-tokens" dir="{direction(explanation.query)}">{own}</div>{more}{note}'
        f'<p class="lr-hint">{HINT}</p></div>'
    )


def _words(explanation: Explanation, rows: list[int]) -> str:
    """Return query tokens, those of one word side by side."""
    words: list[list[int]] = []
    for row in rows:
        token = explanation.matches[row].query
        if words and _continues(explanation.matches[words[-1][-1]].query, token):
            words[-1].append(row)
        else:
            words.append([row])
    return "".join(
        f'<span class="lr-word">{"".join(_button(explanation, row) for row in word)}</span>' for word in words
    )


def _button(explanation: Explanation, row: int) -> str:
    """Return a query token; what it met is inside, shown at the foot of the query while it is pointed at or focused."""
    match = explanation.matches[row]
    query = explanation.query
    classes = ["lr-q", f"lr-near-{_nearness(match.similarity, explanation)}"]
    if match.query.role != "text":
        classes.append("lr-added")
    numbers = f"similarity {match.similarity:.2f}, {percent(match.share)} of the score"
    name = f"{plain_name(match.query, query)} met {met_name(match, explanation, plain_name)}, {numbers}"
    return (
        f'<button type="button" class="{" ".join(classes)}" data-q="{row}" aria-label="{name}">'
        f"{name_of(match.query, query)}<small>{match.similarity:.2f}</small>"
        f'<span class="lr-tip" dir="ltr" aria-hidden="true"><b>{name_of(match.query, query)}</b> met '
        f"<b>{met_name(match, explanation, name_of)}</b>: {numbers}</span></button>\n"
    )


def _nearness(similarity: float, explanation: Explanation) -> int:
    """Return how strongly to colour a token, from 0 to 4, below the closest match; hundredths make no difference."""
    found = [match.similarity for match in explanation.matches]
    span = max(LEAST_SPAN, max(found) - min(found))
    return min(4, int(5 - 5 * (max(found) - similarity) / span))


def _continues(before: Token, token: Token) -> bool:
    """Tell whether a token is the rest of a word."""
    return before.role == "text" and token.start is not None and before.end == token.start


# --- the passage --------------------------------------------------------------------------------------------------


def _passage(explanation: Explanation) -> str:
    text, reading = explanation.document, explanation.document_reading
    most = max(explanation.received)
    parts, written = [], reading.window.start if reading.window else 0
    for cell in cells(reading.tokens):
        characters = text[cell.start : cell.end]
        mark = _mark(explanation, cell.positions, escaped(characters), most)
        if mark:
            parts += [escaped(text[written : cell.start]), mark]
            written = cell.end
    parts.append(escaped(text[written : reading.characters_read]))
    return (
        f'<p class="lr-label">Passage</p><p class="lr-passage" dir="auto">{"".join(parts)}</p>'
        f"{_unread(explanation)}{_added(explanation, most)}{_legend(most)}"
    )


def _mark(explanation: Explanation, positions: tuple[int, ...], content: str, most: float) -> str:
    """Return marked characters; empty where no query row met them."""
    met = [
        (row, match)
        for row, match in enumerate(explanation.matches)
        if not set(positions).isdisjoint(match.positions)
    ]
    if not met:
        return ""
    share = sum(explanation.received[position] for position in positions)
    level = min(LEVELS, max(1, ceil(LEVELS * share / most - 1e-9))) if most else 1
    by = ", ".join(f"{plain_name(match.query, explanation.query)} {match.similarity:.2f}" for _, match in met)
    rows = " ".join(str(row) for row, _ in met)
    return f'<mark class="lr-heat-{level}" data-d="{rows}" title="{percent(share)} of the score, from {by}">{content}</mark>'


def _added(explanation: Explanation, most: float) -> str:
    """Return the tokens that the model adds and a query row met."""
    marks = [
        _mark(explanation, (position,), f"{name_of(token, '')}", most)
        for position, token in enumerate(explanation.document_reading.tokens)
        if token.start is None
    ]
    met = [mark for mark in marks if mark]
    return f'<p class="lr-below"><span>Added by the model:</span>{" ".join(met)}</p>' if met else ""


def _legend(most: float) -> str:
    swatches = "".join(
        f'<mark class="lr-heat-{level}">{percent(most * level / LEVELS)}</mark>'
        for level in range(1, LEVELS + 1)
    )
    return f'<p class="lr-below"><span>Share of the score, up to:</span>{swatches}</p>' if most else ""


def _unread(explanation: Explanation) -> str:
    reading = explanation.document_reading
    note = reading_note(reading, "document")
    if not note:
        return ""
    if reading.window:
        return f'<p class="lr-unread"><b>{note}</b></p>'
    rest = explanation.document[reading.characters_read :]
    more = "…" if len(rest) > UNREAD_SHOWN else ""
    rest = f"<bdi>{escaped(rest[:UNREAD_SHOWN])}{more}</bdi>"
    return f'<p class="lr-unread"><b>{note}</b> Not read: {rest}</p>'


# --- every row ----------------------------------------------------------------------------------------------------


def _table(explanation: Explanation) -> str:
    rows = "".join(_table_row(explanation, match) for match in explanation.matches)
    return (
        f'<details class="lr-more"><summary>All {len(explanation.matches)} query rows</summary><table>'
        "<thead><tr><th>Query token</th><th>Met</th>"
        '<th class="lr-number">Similarity</th><th class="lr-number">Share</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></details>"
    )


def _table_row(explanation: Explanation, match: Match) -> str:
    return (
        f"<tr><td>{name_of(match.query, explanation.query)}</td>"
        f"<td>{met_name(match, explanation, name_of)}</td>"
        f'<td class="lr-number">{match.similarity:.2f}</td><td class="lr-number">{percent(match.share)}</td></tr>\n'
    )
