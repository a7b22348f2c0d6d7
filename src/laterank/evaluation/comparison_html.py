"""A comparison of two models as a page: the means, the queries that differ most, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laterank.explanation.markup import escaped, page, style_element
from laterank.explanation.ranking_html import ranking_fragment

if TYPE_CHECKING:
    from laterank.evaluation.comparison import Comparison, Disagreement

__all__ = ["comparison_fragment", "comparison_page"]

SCROLLING = ".laterank .lr-wide { overflow-x: auto; }\n"


def comparison_page(found: Comparison) -> str:
    """Return a page of its own."""
    one, other = found.models
    return page(f"{one} and {other} on {found.collection}", comparison_fragment(found))


def comparison_fragment(found: Comparison) -> str:
    """Return what a notebook shows."""
    one, other = found.models
    parts = [
        '<section class="laterank" aria-label="Comparison of two models">',
        style_element(SCROLLING),
        (
            f'<p class="lr-question" role="heading" aria-level="1">{escaped(one)} and {escaped(other)} '
            f"on {escaped(found.collection)}</p>"
        ),
        f'<p class="lr-note">{escaped(found.introduction())}</p>',
        f'<div class="lr-wide" tabindex="0">{found.summary().to_html()}</div>',
        '<p class="lr-label lr-gap">The queries that differ most</p>',
        f'<div class="lr-wide" tabindex="0">{found.least_alike().to_html()}</div>',
        "</section>",
        *(_disagreement(found.models, disagreement) for disagreement in found.disagreements),
    ]
    return "\n".join(parts)


def _disagreement(models: tuple[str, str], found: Disagreement) -> str:
    """Return one query: what the second model makes of the first's order, and folded away the other way round."""
    (one, other), (by_one, by_other) = models, found.explanations
    return (
        f'<section class="laterank"><p class="lr-label">Query {escaped(found.id)}: before is the order of '
        f"{escaped(one)}, after is that of {escaped(other)}, which the reasons are of</p>{ranking_fragment(by_other)}"
        f'<details class="lr-more"><summary>The other way round: the reasons of {escaped(one)}</summary>'
        f"{ranking_fragment(by_one)}</details></section>"
    )
