"""An evaluation as an SVG picture: every mean and difference a point with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laterank.evaluation.statistics import Estimate
from laterank.explanation.markup import escaped
from laterank.explanation.terminal import shortened
from laterank.explanation.wording import one_line

if TYPE_CHECKING:
    from laterank.evaluation.evaluation import Evaluation

__all__ = ["evaluation_svg"]

WIDTH, NAMES, GAP, RIGHT = 880, 232, 52, 20
ROW, PANEL_TOP, PANEL_BOTTOM, TOP = 26, 40, 34, 56
LONGEST_NAME = 28
"""Columns; the whole name is shown where the pointer rests."""
TICKS = 4
NARROWEST = 0.01
"""Points; values that lie closer are drawn on an axis from one below to one above."""
COLOURS = 4
"""Colours of models; they only help, the names stand beside the points."""

STYLE = """
.laterank-plot { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.laterank-plot .lp-paper { fill: #ffffff; } .laterank-plot text { fill: #1f2430; }
.laterank-plot .lp-muted { fill: #5a6272; font-size: 12px; }
.laterank-plot .lp-title { font-weight: 650; font-size: 15px; } .laterank-plot .lp-measure { font-weight: 650; }
.laterank-plot .lp-grid { stroke: #e3e6ec; } .laterank-plot .lp-zero { stroke: #5a6272; stroke-dasharray: 4 3; }
.laterank-plot .lp-s { stroke-width: 2.5; } .laterank-plot .lp-0 { stroke: #5a6272; fill: #5a6272; }
.laterank-plot .lp-1 { stroke: #c2410c; fill: #c2410c; } .laterank-plot .lp-2 { stroke: #1d4ed8; fill: #1d4ed8; }
.laterank-plot .lp-3 { stroke: #0f766e; fill: #0f766e; } .laterank-plot .lp-4 { stroke: #7e22ce; fill: #7e22ce; }
@media (prefers-color-scheme: dark) {
.laterank-plot .lp-paper { fill: #14171f; } .laterank-plot text { fill: #eceef3; }
.laterank-plot .lp-muted { fill: #a3abbb; } .laterank-plot .lp-grid { stroke: #373d4a; }
.laterank-plot .lp-zero { stroke: #a3abbb; } .laterank-plot .lp-0 { stroke: #a3abbb; fill: #a3abbb; }
.laterank-plot .lp-1 { stroke: #fb923c; fill: #fb923c; } .laterank-plot .lp-2 { stroke: #8fb4ff; fill: #8fb4ff; }
.laterank-plot .lp-3 { stroke: #5eead4; fill: #5eead4; } .laterank-plot .lp-4 { stroke: #d8b4fe; fill: #d8b4fe; }
}
"""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values times 100 on a stretch of the picture's width."""

    left: float
    right: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where a value lies."""
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return self.left + share * (self.right - self.left)


def evaluation_svg(found: Evaluation) -> str:
    """Draw a panel a measure: means on the left, differences to the first stage on the right."""
    first, *models = found.systems
    middle = NAMES + (WIDTH - NAMES - RIGHT - GAP) * 0.5
    panel = PANEL_TOP + ROW * len(found.systems) + PANEL_BOTTOM
    height = TOP + panel * len(found.measures)
    title, short = (
        f"{cut(found.collection)}: {found.queries:,} queries, {cut(found.first_stage)}'s first {found.depth} reranked"
        for cut in (one_line, _short)
    )
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="laterank-plot" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" style="max-width: 100%; height: auto" role="img" aria-label="{escaped(title)}">'
        ),
        f"<title>{escaped(title)}</title><style>{STYLE}</style>",
        f'<rect class="lp-paper" width="{WIDTH}" height="{height}"/>',
        f'<text class="lp-title" x="12" y="26">{escaped(short)}</text>',
        '<text class="lp-muted" x="12" y="45">x 100, with 95% intervals of the bootstrap over queries</text>',
    ]
    for number, measure in enumerate(found.measures):
        top = TOP + panel * number
        bottom = top + PANEL_TOP + ROW * len(found.systems)
        means = [(place, system.means[measure]) for place, system in enumerate(found.systems)]
        gains = [
            (place, model.differences[first.name][measure]) for place, model in enumerate(models, start=1)
        ]
        one = _axis([found for _, found in means], NAMES, middle)
        other = _axis([found for _, found in gains], middle + GAP, WIDTH - RIGHT, zero=True)
        parts += [
            f'<text class="lp-measure" x="12" y="{top + 26}">{escaped(measure)}</text>',
            f'<text class="lp-muted" x="{other.left}" y="{top + 26}">difference to {escaped(_short(first.name))}</text>',
            *_grid(one, top + PANEL_TOP, bottom),
            *_grid(other, top + PANEL_TOP, bottom),
            f'<path class="lp-zero" d="M{other.at(0):.1f} {top + PANEL_TOP}V{bottom}"/>',
            *_names([system.name for system in found.systems], top + PANEL_TOP),
            *_points(one, means, top + PANEL_TOP),
            *_points(other, gains, top + PANEL_TOP, sign="+"),
        ]
    return "\n".join([*parts, "</svg>\n"])


def _short(name: str) -> str:
    return shortened(one_line(name), LONGEST_NAME)


def _axis(found: Sequence[Estimate], left: float, right: float, *, zero: bool = False) -> _Axis:
    """Return an axis with round numbers around everything that is shown."""
    shown = [value * 100 for estimate in found for value in (estimate.low, estimate.high, estimate.mean)]
    low, high = min([*shown, *([0.0] if zero else [])]), max([*shown, *([0.0] if zero else [])])
    if high - low < NARROWEST:
        low, high = low - 1, high + 1
    raw = (high - low) / TICKS
    scale = 10 ** math.floor(math.log10(raw))
    step = next(size * scale for size in (1, 2, 2.5, 5, 10) if size * scale >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return _Axis(left, right, tuple(step * number for number in range(first, max(last, first + 1) + 1)))


def _grid(axis: _Axis, top: float, bottom: float) -> Iterator[str]:
    for tick in axis.ticks:
        x = axis.at(tick)
        yield f'<path class="lp-grid" d="M{x:.1f} {top}V{bottom}"/>'
        yield f'<text class="lp-muted" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'


def _names(names: Sequence[str], top: float) -> Iterator[str]:
    for place, name in enumerate(names):
        y = top + ROW * (place + 0.5) + 4
        yield f'<text x="12" y="{y:.1f}">{escaped(_short(name))}<title>{escaped(name)}</title></text>'


def _points(
    axis: _Axis, found: Sequence[tuple[int, Estimate]], top: float, *, sign: str = ""
) -> Iterator[str]:
    for place, estimate in found:
        y = top + ROW * (place + 0.5)
        low, mean, high = (axis.at(value * 100) for value in (estimate.low, estimate.mean, estimate.high))
        colour = f"lp-{(place - 1) % COLOURS + 1 if place else 0}"
        text = " ".join(f"{value * 100:{sign}.1f}" for value in (estimate.mean, estimate.low, estimate.high))
        yield (
            f'<g class="{colour}"><title>{text}</title>'
            f'<path class="lp-s" d="M{low:.1f} {y:.1f}H{high:.1f}M{low:.1f} {y - 4:.1f}v8M{high:.1f} {y - 4:.1f}v8"/>'
            f'<circle cx="{mean:.1f}" cy="{y:.1f}" r="5"/></g>'
        )
