"""A comparison of two models as a page: the means, the queries that differ most, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laterank.evaluation.tables import TABLE_STYLE
from laterank.explanation.markup import escaped, page, style_element
from laterank.explanation.ranking_html import ranking_fragment

if TYPE_CHECKING:
    from laterank.evaluation.comparison import Comparison, Disagreement

__all__ = ["comparison_fragment", "comparison_page"]

STYLE = """
.laterank .lr-queries thead th { min-width: 4.5rem; }
.laterank .lr-queries tbody th { min-width: 6rem; }
.laterank .lr-queries thead th:nth-last-child(-n+2) { min-width: 9rem; overflow-wrap: anywhere; }
.laterank .lr-queries td:first-of-type { white-space: normal; min-width: 14rem; width: 100%; overflow-wrap: anywhere; }
"""


def comparison_page(found: Comparison) -> str:
    """Return a page of its own."""
    one, other = found.models
    return page(f"{one} and {other} on {found.collection}", comparison_fragment(found))


def comparison_fragment(found: Comparison) -> str:
    """Return what a notebook shows."""
    one, other = found.models
    parts = [
        '<section class="laterank" aria-label="Comparison of two models">',
        style_element(TABLE_STYLE, STYLE),
        (
            f'<p class="lr-question" role="heading" aria-level="1">{escaped(one)} and {escaped(other)} '
            f"on {escaped(found.collection)}</p>"
        ),
        f'<p class="lr-note">{escaped(found.introduction())}</p>',
        f'<div class="lr-wide">{found.summary().to_html()}</div>',
        '<p class="lr-label lr-gap">The queries that differ most</p>',
        (
            '<div class="lr-wide lr-queries" role="region" aria-label="The queries that differ most" tabindex="0">'
            f"{found.least_alike().to_html()}</div>"
        ),
        "</section>",
        *(_disagreement(found.models, disagreement) for disagreement in found.disagreements),
    ]
    return "\n".join(parts)


def _disagreement(models: tuple[str, str], found: Disagreement) -> str:
    """Return one query: what the second model makes of the first's order, and folded away the other way round."""
    (one, other), (by_one, by_other) = models, found.explanations
    return (
        f'<section class="laterank"><p class="lr-label">Query {escaped(found.id)}. Before: the order of {escaped(one)}. '
        f"After: the order of {escaped(other)}, and its reasons.</p>{ranking_fragment(by_other)}"
        f'<details class="lr-more"><summary>The other way round, with the reasons of {escaped(one)}</summary>'
        f"{ranking_fragment(by_one)}</details></section>"
    )
