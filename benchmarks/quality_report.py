"""The tables of the quality benchmark."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laterank.evaluation.machine import PACKAGES, package_versions
from laterank.evaluation.statistics import RESAMPLES, SEED, Estimate, Summary, summarise
from laterank.evaluation.tables import Table, difference_text
from laterank.model.files import find_model

__all__ = ["BASELINES", "Facts", "Measured", "made_by", "query_values", "write_report"]

Facts = dict[str, dict[str, int]]
"""Collection to its sizes."""
Measured = dict[str, dict[str, dict[str, dict[str, float]]]]
"""Collection, system, measure and query to a value."""
Summaries = Mapping[str, Mapping[str, Summary]]
"""Collection, or ``mean``, and system to a summary."""

BASELINES = {
    "bm25": "BM25",
    "answerai-colbert-small-v1-int8": "answerai-colbert-small-v1 INT8",
    "bundled": "the embedded model itself (INT8, all its numbers)",
}
PER_QUERY = ("bm25", "bundled")
"""Systems whose values of every query are kept."""
LABELS = {
    "bm25": "BM25",
    "minilm-pooled": "all-MiniLM-L6-v2, pooled cosine (fp32)",
    "minilm-maxsim": "all-MiniLM-L6-v2, MaxSim, untrained (fp32)",
    "bundled": "**the embedded model (INT8)**",
    "bundled-fp32": "the embedded model in fp32",
    "answerai-colbert-small-v1-int8": "answerai-colbert-small-v1 (INT8)",
    "ms-marco-minilm-l12-int8": "ms-marco-MiniLM-L-12 (INT8), a cross-encoder",
}


def write_report(folder: Path, found: Measured, sample: Measured, facts: Facts, *, depth: int) -> None:
    """Write ``quality.json``, ``quality.md``, and ``quality_queries.json`` with what a run of one's own can be compared to.

    Args:
        folder: Where to.
        found: What every query gave.
        sample: What a few queries gave, slow systems included; empty for no such table.
        facts: The collections' sizes.
        depth: BM25's candidates a query.
    """
    collections, mean = summarise(found, list(BASELINES))
    made = made_by("benchmarks/quality.py") | {"bundled model": find_model().digest().hex()}
    content = {
        "made": made,
        "depth": depth,
        "resamples": RESAMPLES,
        "seed": SEED,
        "collections": facts,
        "results": {name: _plain(systems) for name, systems in collections.items()},
        "mean": _plain(mean),
    }
    lines = [*_introduction(depth), *_tables({**collections, "mean": mean}, facts)]
    if sample:
        few, few_mean = summarise(sample, list(BASELINES))
        sizes = {name: _sample_size(sample[name]) for name in sample}
        content["sample"] = {
            "queries": sizes,
            "results": {name: _plain(systems) for name, systems in few.items()},
            "mean": _plain(few_mean),
        }
        lines += _sample_tables({**few, "mean": few_mean}, sizes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quality.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "quality_queries.json").write_text(query_values(found), encoding="utf-8")
    (folder / "quality.md").write_text("\n".join([*lines, *_footer(made)]), encoding="utf-8")


def query_values(found: Measured) -> str:
    """Return nDCG@10 of every query by collection, and by system for BM25 and the embedded model, as JSON."""
    kept = {
        name: {
            system: {query: round(value, 4) for query, value in measures["nDCG@10"].items()}
            for system, measures in systems.items()
            if system in PER_QUERY
        }
        for name, systems in found.items()
    }
    return json.dumps(kept, indent=0) + "\n"


def made_by(script: str) -> dict[str, str]:
    """Return the command that is running, the date, and the versions that matter."""
    return {
        "command": shlex.join(["python", script, *map(_without_machine, sys.argv[1:])]),
        "date": dt.date.today().isoformat(),
        **package_versions(),
    }


def _without_machine(argument: str) -> str:
    """Cut an absolute path to its last name: where things lie on one machine helps nobody."""
    name, equals, value = argument.rpartition("=")
    return f"{name}{equals}{Path(value).name}" if Path(value).is_absolute() else argument


def _plain(systems: Mapping[str, Summary]) -> dict[str, dict[str, Any]]:
    """Return plain data: each measure's mean, and ``differences`` as ``[mean, low, high]`` by baseline and measure."""
    return {
        system: {
            **{measure: round(found.mean, 6) for measure, found in summary.means.items()},
            "differences": {
                base: {name: _rounded(difference) for name, difference in measures.items()}
                for base, measures in summary.differences.items()
            },
        }
        for system, summary in systems.items()
    }


def _rounded(difference: Estimate) -> list[float]:
    return [round(value, 6) for value in (difference.mean, difference.low, difference.high)]


def _introduction(depth: int) -> list[str]:
    return [
        "# Ranking quality",
        "",
        f"BM25 (bm25s, English stop words) over the whole collection gives {depth} candidates, each system sorts them;",
        "document text is title and text. In brackets: the 95% interval of a paired bootstrap over queries",
        f"({RESAMPLES:,} resamples, drawn within each collection also for the mean); an interval that holds 0 shows no",
        "difference. All values times 100; `mean` weighs the collections alike. A name with a number is the model",
        "before it with so many numbers a token, with `poolN` N tokens of a document share a row, and a type is what a cache on",
        "disk rounds rows to.",
    ]


def _tables(summaries: Summaries, facts: Facts) -> list[str]:
    sizes = {name: f"{size['documents']} / {size['queries']}" for name, size in facts.items()}
    lines = _means(summaries, "nDCG@10", sizes, "documents / queries")
    for base, label in BASELINES.items():
        lines += _differences(summaries, base, label, "nDCG@10")
    for measure in ("MRR@10", "Recall@10"):
        lines += _means(summaries, measure, sizes, "documents / queries")
        for base in list(BASELINES)[:2]:
            lines += _differences(summaries, base, BASELINES[base], measure)
    return lines


def _sample_tables(summaries: Summaries, sizes: Mapping[str, int]) -> list[str]:
    texts = {name: str(size) for name, size in sizes.items()}
    lines = [
        "",
        "# A sample of the queries, with a cross-encoder",
        "",
        "A cross-encoder reads every pair anew and is too slow for all queries; every system on the same few queries.",
    ]
    lines += _means(summaries, "nDCG@10", texts, "queries")
    for base, label in list(BASELINES.items())[:2]:
        lines += _differences(summaries, base, label, "nDCG@10")
    for measure in ("MRR@10", "Recall@10"):
        lines += _means(summaries, measure, texts, "queries")
    return lines


def _means(summaries: Summaries, measure: str, sizes: Mapping[str, str], unit: str) -> list[str]:
    rows = [[f"({unit})", *(sizes.get(name, "") for name in summaries)]]
    for system in _systems(summaries):
        cells = [
            f"{systems[system].means[measure].mean * 100:.1f}" if system in systems else "-"
            for systems in summaries.values()
        ]
        rows.append([_label(system), *cells])
    return ["", f"## {measure}", "", *Table(["system", *summaries], rows).to_markdown()]


def _differences(summaries: Summaries, base: str, label: str, measure: str) -> list[str]:
    compared = [
        system
        for system in _systems(summaries)
        if any(system in found and base in found[system].differences for found in summaries.values())
    ]
    if base == "bundled":  # its own variants, and whatever else is not compared anywhere yet
        compared = [system for system in compared if system not in LABELS or system == "bundled-fp32"]
    if not compared:
        return []
    rows = [
        [_label(system), *(_difference(found.get(system), base, measure) for found in summaries.values())]
        for system in compared
    ]
    title = f"### {measure}: difference to {label}"
    return ["", title, "", *Table(["system", *summaries], rows).to_markdown()]


def _difference(summary: Summary | None, base: str, measure: str) -> str:
    if summary is None or base not in summary.differences:
        return "-"
    return difference_text(summary.differences[base][measure])


def _systems(summaries: Summaries) -> list[str]:
    return list(dict.fromkeys(system for systems in summaries.values() for system in systems))


def _label(system: str) -> str:
    stem, *parts = system.split("-")
    if system in LABELS or stem != "bundled":
        return LABELS.get(system, system)
    return ", ".join(["the embedded model", *map(_part, parts)])


def _part(part: str) -> str:
    """Say what one part of a variant's name means."""
    if part.startswith("pool"):
        return f"{part.removeprefix('pool')} tokens a row"
    return f"{part} numbers a token" if part.isdigit() else f"{part} on disk"


def _sample_size(systems: Mapping[str, Mapping[str, Mapping[str, float]]]) -> int:
    measures = next(iter(systems.values()))
    return len(next(iter(measures.values())))


def _footer(made: Mapping[str, str]) -> list[str]:
    versions = ", ".join(f"{name} {made[name]}" for name in ("python", *PACKAGES) if name in made)
    return ["", f"Command: `{made['command']}`; {made['date']}; {versions}.", ""]
