"""An evaluation as a page: the sentences, the tables and the plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laterank.evaluation.plot import evaluation_svg
from laterank.evaluation.tables import TABLE_STYLE, Table
from laterank.evaluation.wording import evaluation_sections, evaluation_title
from laterank.explanation.markup import escaped, page, style_element

if TYPE_CHECKING:
    from laterank.evaluation.evaluation import Evaluation

__all__ = ["evaluation_fragment", "evaluation_page"]

STYLE = """
.laterank .lr-said { margin: .5rem 0; }
.laterank .lr-wide thead th { min-width: 8rem; }
.laterank .lr-wide svg { min-width: 55rem; }
"""
"""On a narrow screen the plot scrolls, as its tables do: shrunk, nobody could read it."""


def evaluation_page(found: Evaluation) -> str:
    """Return a page of its own."""
    return page(evaluation_title(found), evaluation_fragment(found))


def evaluation_fragment(found: Evaluation) -> str:
    """Return what a notebook shows."""
    title = escaped(evaluation_title(found))
    parts = [
        f'<section class="laterank" aria-label="{title}">',
        style_element(TABLE_STYLE, STYLE),
        f'<p class="lr-question" role="heading" aria-level="1">{title}</p>',
    ]
    for heading, blocks in evaluation_sections(found):
        if heading:
            parts.append(f'<p class="lr-label lr-gap" role="heading" aria-level="2">{escaped(heading)}</p>')
        parts += [
            _scrolled(block.to_html(), heading or "Means")
            if isinstance(block, Table)
            else f'<p class="lr-said">{escaped(block)}</p>'
            for block in blocks
        ]
    return "\n".join([*parts, _scrolled(evaluation_svg(found), "Plot"), "</section>"])


def _scrolled(wide: str, label: str) -> str:
    """Return what may be wider than the screen in a frame that scrolls, by keys, too."""
    return f'<div class="lr-wide" role="region" aria-label="{escaped(label)}" tabindex="0">{wide}</div>'
