"""Draw latency against the number of candidates from ``speed.json``: ``python benchmarks/speed.py --report``.

White paper under the drawing, as under all figures of the documentation, so that it is read on a light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from speed_growth import COLD, WARM

__all__ = ["draw", "series"]

INK, GRID, PAPER = "#1f2430", "#d9dce3", "#ffffff"
SYSTEMS = {
    WARM: ("laterank, bundled model: cached on disk", "#c2410c", "o", "-"),
    COLD: ("laterank, bundled model: nothing cached", "#c2410c", "o", "--"),
    "laterank, INT8": ("laterank, MiniLM-L6 shape, INT8", "#9a6b00", "s", "--"),
    "laterank, fp32": ("laterank, MiniLM-L6 shape, fp32", "#4b5563", "^", "--"),
    "PyLate": ("PyLate, the same fp32 weights, best batch size", "#1d4ed8", "D", "--"),
    "fastembed": ("fastembed, the same fp32 weights, best batch size", "#0f766e", "v", "--"),
}
"""By the beginning of the name in the results: label, colour, marker, line; peers take their fastest at each number."""


def series(results: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Return each system's median milliseconds by the number of candidates of about 200 tokens."""
    found: dict[str, dict[int, float]] = {}

    def note(name: str, count: int, times: Sequence[float]) -> None:
        for system in SYSTEMS:
            if name == system or (name.startswith(f"{system} :")):
                points = found.setdefault(system, {})
                points[count] = min(float(np.median(times)), points.get(count, np.inf))

    for name, counts in results.get("growth", {}).get("milliseconds", {}).items():
        for count, times in counts.items():
            note(name, int(count), times)
    measured = results.get("thousand", {}).get("d200", {})
    for name, times in measured.get("milliseconds", {}).items():
        note(name, measured["documents"], times)
    return {system: dict(sorted(found[system].items())) for system in SYSTEMS if system in found}


def draw(results: Mapping[str, Any], folders: Sequence[Path]) -> list[Path]:
    """Draw ``speed.svg`` into each folder; nothing where nothing was measured."""
    lines = series(results)
    if not lines:
        return []
    style = {"svg.hashsalt": "laterank", "svg.fonttype": "none", "font.family": "sans-serif"}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(figsize=(9.2, 5.4), layout="constrained", facecolor=PAPER)
        for system, points in lines.items():
            label, colour, marker, line = SYSTEMS[system]
            axes.plot(
                list(points),
                list(points.values()),
                line,
                color=colour,
                marker=marker,
                markersize=6,
                linewidth=1.8,
                label=label,
            )
        _dress(axes, lines)
        figure.legend(
            loc="outside upper left", ncols=2, handlelength=3.4, frameon=False, fontsize=9.5, labelcolor=INK
        )
        paths = [folder / "speed.svg" for folder in folders]
        for path in paths:
            figure.savefig(path, metadata={"Date": None}, facecolor=PAPER)
        plt.close(figure)
    return paths


def _dress(axes: Axes, lines: Mapping[str, Mapping[int, float]]) -> None:
    """Set both axes to powers of ten, in words that need no exponents."""
    counts = sorted({count for points in lines.values() for count in points})
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    values = [value for points in lines.values() for value in points.values()]
    decades = range(int(np.floor(np.log10(min(values)))), int(np.ceil(np.log10(max(values)))) + 1)
    axes.set_yticks([10.0**decade for decade in decades], [_duration(10.0**decade) for decade in decades])
    axes.minorticks_off()
    axes.set_xlabel("candidates of about 200 tokens", color=INK)
    axes.set_ylabel("one ranking, median", color=INK)
    axes.tick_params(colors=INK, length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"
