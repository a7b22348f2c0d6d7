"""Draw the figures of README and docs: ``python docs/make_figures.py``.

Quality and calibration from what the benchmarks measured, late interaction from the bundled model itself; ``--only late`` draws
those alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from draw_late_interaction import draw_maxsim, draw_three_ways, draw_tokens

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
INK, GRID, PAPER = "#1f2430", "#d9dce3", "#ffffff"
COLOURS = {"bm25": "#b8bfcc", "bundled": "#c2410c", "answerai-colbert-small-v1-int8": "#1d4ed8"}
LABELS = {
    "bm25": "BM25",
    "bundled": "BM25, reranked by laterank (model in the wheel, 24 MB)",
    "answerai-colbert-small-v1-int8": "BM25, reranked by answerai-colbert-small-v1 INT8 (34 MB)",
}


def draw_quality() -> Path:
    """Draw nDCG@10 of the systems on every collection, the mean last, with the values written on the bars."""
    results = json.loads((RESULTS / "quality.json").read_text(encoding="utf-8"))["results"]
    systems = [name for name in COLOURS if any(name in found for found in results.values())]
    values = np.array([[found[name]["nDCG@10"] * 100 for name in systems] for found in results.values()])
    values = np.vstack([values, values.mean(axis=0)])
    places = np.arange(len(values), dtype=float)
    places[-1] += 0.35  # the mean stands apart
    figure, axes = plt.subplots(figsize=(10, 4.2), layout="constrained", facecolor=PAPER)
    width = 0.82 / len(systems)
    for number, name in enumerate(systems):
        at = places + (number - (len(systems) - 1) / 2) * width
        bars = axes.bar(at, values[:, number], width * 0.94, color=COLOURS[name], label=LABELS[name])
        axes.bar_label(bars, fmt="%.1f", fontsize=7, color=INK, padding=1)
    axes.set_xticks(places, [*results, "mean"], fontsize=10, color=INK)
    axes.get_xticklabels()[-1].set_fontweight("bold")
    axes.set_ylabel("nDCG@10", color=INK)
    axes.set_ylim(0, 109)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside upper left", ncols=1, frameon=False, fontsize=9.5, labelcolor=INK)
    path = IMAGES / "quality.svg"
    figure.savefig(path, metadata={"Date": None}, facecolor=PAPER)
    plt.close(figure)
    return path


def draw_reliability() -> Path:
    """Draw observed against predicted relevance, one point a bin, with the calibration error above."""
    results = json.loads((RESULTS / "calibration.json").read_text(encoding="utf-8"))
    predicted, observed, count = (
        np.array([found[name] for found in results["bins"]]) for name in ("predicted", "observed", "count")
    )
    figure, axes = plt.subplots(figsize=(5, 4.6), layout="constrained", facecolor=PAPER)
    axes.plot([0, 1], [0, 1], color=COLOURS["bm25"], linewidth=1.2)
    axes.text(
        0.82,
        0.83,
        "as probable as predicted",
        color="#6b7385",
        fontsize=9,
        rotation=45,
        rotation_mode="anchor",
        ha="center",
    )
    axes.plot(predicted, observed, color=COLOURS["bundled"], linewidth=1.4, marker="o", markersize=8)
    axes.set_xlabel('predicted: score="probability"', color=INK)
    axes.set_ylabel("observed: share of relevant passages", color=INK)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.tick_params(colors=INK, length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_title(
        f"Expected calibration error {results['ece']:.3f}, {int(count.sum()):,} pairs",
        loc="left",
        fontsize=10.5,
        color=INK,
    )
    path = IMAGES / "calibration.svg"
    figure.savefig(path, metadata={"Date": None}, facecolor=PAPER)
    plt.close(figure)
    return path


if __name__ == "__main__":
    mpl.rcParams["svg.hashsalt"] = "laterank"  # the same file from the same numbers
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["font.family"] = "sans-serif"
    IMAGES.mkdir(parents=True, exist_ok=True)
    for draw in (draw_maxsim, draw_three_ways, draw_tokens):
        draw(IMAGES)
    if sys.argv[1:] != ["--only", "late"]:
        draw_quality()
        if (RESULTS / "calibration.json").is_file():  # once a calibration was measured
            draw_reliability()
