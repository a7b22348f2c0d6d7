"""Means, confidence intervals and the tables of the quality benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["paired_interval", "write_report"]

Values = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]
"""Collection, system and measure to one value a query."""

RESAMPLES = 10_000


def paired_interval(ours: Sequence[float], base: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95% interval of the mean difference by resampling queries (Efron 1979, percentile bootstrap)."""
    difference = np.asarray(ours) - np.asarray(base)
    random = np.random.default_rng(seed)
    means = [
        difference[random.integers(0, len(difference), len(difference))].mean() for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def write_report(
    folder: Path, values: Values, facts: Mapping[str, Mapping[str, int]], *, baseline: str, depth: int
) -> None:
    """Write ``quality.json`` and ``quality.md``."""
    summary = _summary(values, baseline)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"depth": depth, "resamples": RESAMPLES, "collections": facts, "results": summary}
    (folder / "quality.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "quality.md").write_text(_markdown(summary, facts, baseline, depth), encoding="utf-8")


def _summary(values: Values, baseline: str) -> dict[str, dict[str, dict[str, Any]]]:
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for collection, systems in values.items():
        summary[collection] = {}
        for system, measures in systems.items():
            means = {name: round(float(np.mean(found)), 4) for name, found in measures.items()}
            entry: dict[str, Any] = dict(means)
            if system != baseline and baseline in systems:
                entry["difference_to_baseline_95"] = {
                    name: [round(bound, 4) for bound in paired_interval(found, systems[baseline][name])]
                    for name, found in measures.items()
                }
            summary[collection][system] = entry
    return summary


def _markdown(
    summary: Mapping[str, Mapping[str, Mapping[str, Any]]],
    facts: Mapping[str, Mapping[str, int]],
    baseline: str,
    depth: int,
) -> str:
    lines = [
        "# Ranking quality",
        "",
        f"BM25 (bm25s, English stop words) over the whole collection gives {depth} candidates, each system sorts them;",
        "document text is title and text. Differences to BM25 with 95% intervals of a paired bootstrap over queries",
        f"({RESAMPLES:,} resamples); an interval that holds 0 shows no difference. All values times 100.",
    ]
    systems = list(dict.fromkeys(system for found in summary.values() for system in found))
    for measure in ("nDCG@10", "MRR@10", "Recall@10"):
        lines += ["", f"## {measure}", "", f"| collection (documents / queries) | {' | '.join(systems)} |"]
        lines += ["|---" * (len(systems) + 1) + "|"]
        for name, found in summary.items():
            size = f"{facts[name]['documents']} / {facts[name]['queries']}"
            cells = [_cell(found.get(system), found.get(baseline), measure) for system in systems]
            lines.append(f"| {name} ({size}) | {' | '.join(cells)} |")
        means = [_mean(summary, system, measure) for system in systems]
        lines.append(f"| mean | {' | '.join(means)} |")
    return "\n".join([*lines, "", "Command: `python benchmarks/quality.py`", ""])


def _cell(entry: Mapping[str, Any] | None, base: Mapping[str, Any] | None, measure: str) -> str:
    if entry is None:
        return "-"
    interval = entry.get("difference_to_baseline_95")
    if interval is None or base is None:
        return f"{entry[measure] * 100:.1f}"
    low, high = (bound * 100 for bound in interval[measure])
    return f"{entry[measure] * 100:.1f} ({(entry[measure] - base[measure]) * 100:+.1f}, {low:+.1f} to {high:+.1f})"


def _mean(summary: Mapping[str, Mapping[str, Mapping[str, Any]]], system: str, measure: str) -> str:
    if any(system not in found for found in summary.values()):
        return "-"
    return f"{np.mean([found[system][measure] for found in summary.values()]) * 100:.1f}"
