"""The tables of the early exit's benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from quality_report import Measured, made_by

from laterank.evaluation.statistics import Summary, summarise

__all__ = ["write_report"]

Summaries = Mapping[str, Mapping[str, Summary]]
"""Collection, or ``mean``, and rule to a summary."""


def write_report(
    folder: Path, found: Measured, queries: Mapping[str, int], *, depth: int, top_n: int
) -> None:
    """Write ``early_exit.json`` and ``early_exit.md``.

    Args:
        folder: Where to.
        found: What every query gave under every rule, the rule ``all`` among them.
        queries: How many each collection has.
        depth: BM25's candidates a query.
        top_n: How many are wanted.
    """
    collections, mean = summarise(found, ["all"])
    summaries = {**collections, "mean": mean}
    made = made_by("benchmarks/early_exit.py")
    results = {
        name: {
            rule: {
                **{measure: round(value.mean, 4) for measure, value in summary.means.items()},
                "nDCG@10 - all": [round(value, 4) for value in _difference(summary)],
            }
            for rule, summary in rules.items()
        }
        for name, rules in summaries.items()
    }
    content = {"made": made, "depth": depth, "top_n": top_n, "queries": dict(queries), "results": results}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "early_exit.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    versions = ", ".join(f"{name} {version}" for name, version in made.items() if name != "command")
    lines = [*_introduction(depth, top_n), *_tables(summaries, queries)]
    lines += ["", f"Command: `{made['command']}`; {versions}.", ""]
    (folder / "early_exit.md").write_text("\n".join(lines), encoding="utf-8")


def _introduction(depth: int, top_n: int) -> list[str]:
    return [
        "# Early exit",
        "",
        f"BM25 gives {depth} candidates; the embedded model encodes them in BM25's order, with nothing cached, until a rule",
        f"says stop; top_n={top_n}. What was not encoded comes behind in BM25's order. nDCG@10 times 100; in brackets the",
        "difference to encoding all, with the 95% interval of a paired bootstrap over queries. `kept` is the share of the",
        f"whole ranking's top {top_n} that is still there.",
    ]


def _tables(summaries: Summaries, queries: Mapping[str, int]) -> list[str]:
    rules = list(next(iter(summaries.values())))
    lines = ["", "## The mean over collections", ""]
    lines += ["| rule | documents encoded | top 10 kept | nDCG@10 |", "|---|---|---|---|"]
    for rule in rules:
        means = summaries["mean"][rule].means
        cell = _judged(summaries["mean"][rule])
        lines.append(f"| {rule} | {means['encoded'].mean:.0f} | {means['kept'].mean:.1%} | {cell} |")
    lines += ["", "## Each collection: documents encoded, nDCG@10", ""]
    names = [name for name in summaries if name != "mean"]
    lines.append(f"| rule | {' | '.join(f'{name} ({queries[name]} queries)' for name in names)} |")
    lines.append("|---" * (len(names) + 1) + "|")
    for rule in rules:
        cells = [
            f"{summaries[name][rule].means['encoded'].mean:.0f}: {_judged(summaries[name][rule])}"
            for name in names
        ]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return lines


def _judged(summary: Summary) -> str:
    value = f"{summary.means['nDCG@10'].mean * 100:.1f}"
    if "all" not in summary.differences:
        return value
    mean, low, high = (number * 100 for number in _difference(summary))
    return f"{value} ({mean:+.1f}, {low:+.1f} to {high:+.1f})"


def _difference(summary: Summary) -> tuple[float, float, float]:
    if "all" not in summary.differences:
        return (0.0, 0.0, 0.0)
    found = summary.differences["all"]["nDCG@10"]
    return (found.mean, found.low, found.high)
