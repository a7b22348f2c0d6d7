"""What an evaluation found: as data, as Markdown, for a notebook and as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from laterank.evaluation.evaluation_html import evaluation_fragment, evaluation_page
from laterank.evaluation.measures import QueryValues
from laterank.evaluation.plot import evaluation_svg
from laterank.evaluation.reranking import Timing
from laterank.evaluation.saving import json_text, save_files
from laterank.evaluation.statistics import RESAMPLES, SEED, Estimate
from laterank.evaluation.wording import evaluation_lines

__all__ = ["EVALUATION_FILES", "Evaluation", "SystemResult"]

EVALUATION_FILES = (".json", ".md", ".html", ".svg")
"""What an evaluation can be saved as."""


@dataclass(frozen=True, slots=True)
class SystemResult:
    """One system: the first stage, or a model that reranked it.

    Attributes:
        name: What it is called.
        means: By measure, each with its 95% interval.
        differences: How much better it is, by baseline and measure, with the 95% interval of the paired bootstrap.
        values: Every query's value, by measure and query.
        timing: How long a query takes; None for the first stage, or where none was measured.
    """

    name: str
    means: Mapping[str, Estimate]
    differences: Mapping[str, Mapping[str, Estimate]]
    values: QueryValues
    timing: Timing | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; an estimate is ``[mean, low, high]``."""
        return {
            **{measure: _rounded(found) for measure, found in self.means.items()},
            "differences": {
                base: {measure: _rounded(found) for measure, found in measures.items()}
                for base, measures in self.differences.items()
            },
            "timing": self.timing.to_dict() if self.timing else None,
            "queries": {
                measure: {query: round(value, 6) for query, value in values.items()}
                for measure, values in self.values.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Whether reranking helps on a collection. ``evaluate`` makes one; a notebook shows its tables and its plot.

    Attributes:
        collection: Its name.
        documents: How many it has.
        queries: How many were measured.
        first_stage: What found the candidates.
        depth: The most candidates a query.
        reachable: The share of the relevant documents that are among the candidates, on average over queries.
        measures: In the order that was asked for.
        systems: The first stage, and then each model.
        notes: What was left out of the measurement, for people.
        made_with: Versions and the processor.
    """

    collection: str
    documents: int
    queries: int
    first_stage: str
    depth: int
    reachable: float
    measures: tuple[str, ...]
    systems: tuple[SystemResult, ...]
    notes: tuple[str, ...]
    made_with: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON, with every query's values."""
        return {
            "collection": self.collection,
            "documents": self.documents,
            "queries": self.queries,
            "first_stage": self.first_stage,
            "depth": self.depth,
            "reachable": round(self.reachable, 6),
            "resamples": RESAMPLES,
            "seed": SEED,
            "measures": list(self.measures),
            "systems": {system.name: system.to_dict() for system in self.systems},
            "notes": list(self.notes),
            "made_with": dict(self.made_with),
        }

    def to_markdown(self) -> str:
        """Return the tables, with a sentence on each model."""
        return "\n".join(evaluation_lines(self)) + "\n"

    def to_html(self) -> str:
        """Return a page for a browser, with tables and plot, that loads nothing; a notebook shows the same."""
        return evaluation_page(self)

    def to_svg(self) -> str:
        """Return a plot of every mean and difference with its interval, as an SVG file's text."""
        return evaluation_svg(self)

    def save(self, *paths: str | PathLike[str]) -> None:
        """Write files: every value where the name ends in ``.json``, the tables in ``.md``, a page in
        ``.html``, the plot in ``.svg``.

        Raises:
            InputError: If a name ends otherwise, or a file cannot be written.
        """
        faces = (lambda: json_text(self.to_dict()), self.to_markdown, self.to_html, self.to_svg)
        save_files(paths, dict(zip(EVALUATION_FILES, faces, strict=True)))

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        return evaluation_fragment(self)


def _rounded(found: Estimate) -> list[float]:
    return [round(value, 6) for value in (found.mean, found.low, found.high)]
