"""A ranking as HTML: before and after side by side, and under it each document's explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laterank.explanation.html import explanation_body
from laterank.explanation.markup import escaped, name_of, page, pairing_rules, style_element
from laterank.explanation.ranking_text import BRACKETS, movement
from laterank.explanation.terminal import shortened
from laterank.explanation.wording import headline, met_name, one_line

if TYPE_CHECKING:
    from laterank.explanation.ranking import Place, RankingExplanation, Reason

__all__ = ["ranking_fragment", "ranking_page"]

SNIPPET = 300
LINE = 60
SHOWN = "{ background: var(--ink); color: var(--paper); stroke: var(--ink); stroke-width: 4; }\n"


def ranking_page(ranking: RankingExplanation) -> str:
    """Return a page of its own."""
    return page(f"Ranking: {shortened(one_line(ranking.query), 80)}", ranking_fragment(ranking))


def ranking_fragment(ranking: RankingExplanation) -> str:
    """Return what a notebook shows."""
    shown = (*ranking.places, *ranking.dropped)
    rows = max((len(place.explanation.matches) for place in shown), default=0)
    style = style_element(pairing_rules(range(rows)), _line_rules(len(shown)))
    parts = [
        '<section class="laterank" aria-label="Explanation of a ranking">',
        style,
        f'<p class="lr-question" role="heading" aria-level="2" dir="auto">{escaped(ranking.query)}</p>',
        f'<p class="lr-note">{escaped(ranking.model)} · {ranking.documents:,} documents · score: {ranking.scale}</p>',
        _sides(shown, len(ranking.places)) if shown else '<p class="lr-note">There are no documents.</p>',
        f'<p class="lr-note">{BRACKETS}</p>' if shown else "",
        *(_card(place) for place in ranking.places),
    ]
    if ranking.dropped:
        parts.append('<p class="lr-label lr-gap">No longer among the first</p>')
        parts += [_card(place) for place in ranking.dropped]
    return "\n".join([*parts, "</section>"])


# --- before and after ---------------------------------------------------------------------------------------------


def _sides(shown: tuple[Place, ...], kept: int) -> str:
    """Return both orders as lists with a line from each document to itself."""
    before = sorted(range(len(shown)), key=lambda number: shown[number].before)
    height = 2 * len(shown)
    lines = "".join(
        _line(shown[number], number, 2 * before.index(number) + 1, 2 * number + 1)
        for number in range(len(shown))
    )
    left = "".join(_side_item(shown[number], number, shown[number].before) for number in before)
    right = "".join(
        _side_item(place, number, place.after, out=number >= kept) for number, place in enumerate(shown)
    )
    return (
        '<div class="lr-bump"><p class="lr-label">Before</p><span></span><p class="lr-label">After</p>'
        f'<ol>{left}</ol><svg viewBox="0 0 100 {height}" preserveAspectRatio="none" aria-hidden="true">{lines}</svg>'
        f"<ol>{right}</ol></div>"
    )


def _side_item(place: Place, number: int, rank: int, *, out: bool = False) -> str:
    text = escaped(_start(place))
    return (
        f'<li data-p="{number}"{" class=lr-out" if out else ""} title="{text}">'
        f'<span class="lr-rank">{rank}</span> <bdi>{text}</bdi></li>'
    )


def _start(place: Place) -> str:
    text = headline(place.explanation.document)
    return text if len(text) <= LINE else f"{text[:LINE]}…"


def _line(place: Place, number: int, start: int, end: int) -> str:
    return (
        f'<path class="{_direction(place)}" data-p="{number}" d="M0 {start} C50 {start} 50 {end} 100 {end}"/>'
    )


def _line_rules(documents: int) -> str:
    """Return the rules by which pointing at a document shows where it was and where it is."""
    return "".join(
        f'.laterank .lr-bump:has([data-p="{number}"]:hover) li[data-p="{number}"] {SHOWN}'
        f'.laterank .lr-bump:has([data-p="{number}"]:hover) path[data-p="{number}"] '
        "{ stroke: var(--ink); stroke-width: 4; }\n"
        for number in range(documents)
    )


def _direction(place: Place) -> str:
    return "lr-up" if place.moved > 0 else "lr-down" if place.moved < 0 else "lr-same"


# --- one document -------------------------------------------------------------------------------------------------


def _card(place: Place) -> str:
    text = headline(place.explanation.document)
    why = "".join(_why(place, reason) for reason in place.reasons)
    before = "unchanged" if not place.moved else f"from {place.before}"
    return (
        '<details class="lr-card"><summary><span class="lr-line">'
        f'<span class="lr-rank">{place.after}</span>'
        f'<span class="lr-moved {_direction(place)}">{movement(place)}</span><span class="lr-note">{before}</span>'
        f'<span class="lr-note">score {place.explanation.score:.2f}</span>'
        f'<span class="lr-snippet" dir="auto">{escaped(text[:SNIPPET])}{"…" if len(text) > SNIPPET else ""}</span>'
        f'<span class="lr-why">{why}</span></span></summary>\n{explanation_body(place.explanation)}</details>'
    )


def _why(place: Place, reason: Reason) -> str:
    found, match = place.explanation, reason.match
    return (
        f"<span><b>{name_of(match.query, found.query)}</b> → {met_name(match, found, name_of)} "
        f"{match.similarity:.2f} ({reason.difference:+.2f})</span>"
    )
