"""An evaluation in words and tables."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from laterank.evaluation.statistics import RESAMPLES
from laterank.evaluation.tables import Table, counted_queries, difference_text, estimate_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laterank.evaluation.evaluation import Evaluation, SystemResult

__all__ = ["evaluation_lines", "evaluation_sections", "evaluation_title"]

SMALL = 1e-9
"""Values of a query that are this close are equal."""

Part = str | Table


def evaluation_lines(found: Evaluation) -> list[str]:
    """Return the lines of a Markdown file."""
    lines = [f"# {evaluation_title(found)}"]
    for title, parts in evaluation_sections(found):
        lines += ["", f"## {title}"] if title else []
        for part in parts:
            lines += ["", *(part.to_markdown() if isinstance(part, Table) else [part])]
    return lines


def evaluation_title(found: Evaluation) -> str:
    """Return what stands above it all."""
    return f"Does reranking help? {found.collection}"


def evaluation_sections(found: Evaluation) -> list[tuple[str, list[Part]]]:
    """Return titles and what stands below them."""
    first, *models = found.systems
    sections: list[tuple[str, list[Part]]] = [
        ("", [*_introduction(found), *(_verdict(found, model) for model in models), _means(found)])
    ]
    sections.append((f"Difference to {first.name}", [_differences(found, first, models)]))
    if len(models) > 1:
        title = f"Difference to {models[0].name}"
        sections.append((title, [_differences(found, models[0], models[1:])]))
    if any(model.timing for model in models):
        sections.append(("Time per query", _times(found, models)))
    made = ", ".join(f"{name} {version}" for name, version in found.made_with.items() if name != "processor")
    sections.append(("How it was measured", [*(f"{note}." for note in found.notes), f"{made}."]))
    return sections


def _introduction(found: Evaluation) -> list[str]:
    return [
        (
            f"{counted_queries(found.queries)}, {found.documents:,} documents. {found.first_stage} gives each query's first "
            f"{found.depth}, and each model sorts them. {found.reachable:.1%} of the relevant documents are among them "
            f"(Recall@{found.depth}), which no reranker can exceed. Values times 100; in brackets the 95% interval of the "
            f"bootstrap over queries ({RESAMPLES:,} resamples), for differences the paired one."
        ),
    ]


def _verdict(found: Evaluation, model: SystemResult) -> str:
    """Say whether a model helps, by the first measure."""
    measure, first = found.measures[0], found.first_stage
    difference = model.differences[first][measure]
    if difference.low > 0:
        said = "is better than"
    elif difference.high < 0:
        said = "is worse than"
    else:
        said = "was not shown to differ from"
    holds = "lies above 0" if difference.low > 0 else "lies below 0" if difference.high < 0 else "holds 0"
    return f"{model.name} {said} {first}: {measure} {difference_text(difference)}; the interval {holds}."


def _means(found: Evaluation) -> Table:
    rows = [
        [system.name, *(estimate_text(system.means[measure]) for measure in found.measures)]
        for system in found.systems
    ]
    return Table(["", *found.measures], rows)


def _differences(found: Evaluation, base: SystemResult, models: Sequence[SystemResult]) -> Table:
    header = ["", *found.measures, f"queries better / same / worse by {found.measures[0]}"]
    rows = [
        [
            model.name,
            *(difference_text(model.differences[base.name][measure]) for measure in found.measures),
            _counts(model, base, found.measures[0]),
        ]
        for model in models
    ]
    return Table(header, rows)


def _counts(model: SystemResult, base: SystemResult, measure: str) -> str:
    changes = [value - base.values[measure][query] for query, value in model.values[measure].items()]
    better, worse = (sum(change * sign > SMALL for change in changes) for sign in (1, -1))
    return f"{better} / {len(changes) - better - worse} / {worse}"


def _times(found: Evaluation, models: Sequence[SystemResult]) -> list[Part]:
    timed = [(model.name, model.timing) for model in models if model.timing]
    _, one = timed[0]
    rows = [[name, _spread(timing.cold_seconds), _spread(timing.warm_seconds)] for name, timing in timed]
    return [
        Table(["", "new documents", "documents in the cache"], rows),
        (
            f"The median of {counted_queries(len(one.cold_seconds))} with {one.documents} documents each, in brackets the fastest and "
            "the slowest, measured one at a time, the models in turn. With new documents nothing is in the cache; "
            f"the first stage is not counted. {found.made_with.get('processor', '')}; other work on the machine counts, too."
        ),
    ]


def _spread(seconds: Sequence[float]) -> str:
    return f"{_time(median(seconds))} ({_time(min(seconds))} to {_time(max(seconds))})"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"
