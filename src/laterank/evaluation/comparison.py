"""What a comparison of two models found: as data, as text, as Markdown and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from statistics import fmean
from typing import Any

from laterank.evaluation.comparison_html import comparison_fragment, comparison_page
from laterank.evaluation.saving import json_text, save_files
from laterank.evaluation.tables import Table, counted_queries
from laterank.explanation.ranking import RankingExplanation
from laterank.explanation.wording import one_line

__all__ = ["COMPARISON_FILES", "Comparison", "Disagreement", "QueryAgreement"]

COMPARISON_FILES = (".json", ".md", ".html")
"""What a comparison can be saved as."""

LISTED, LONGEST_QUERY = 10, 90
"""Queries in the table, and characters of each."""


@dataclass(frozen=True, slots=True)
class QueryAgreement:
    """How alike two models rank one query's candidates.

    Attributes:
        id: The query's id.
        text: The query.
        rank_biased_overlap: From 0 to 1 for the same order; the first documents weigh most.
        kendall_tau: From -1 for the opposite order to 1 for the same; all pairs of documents weigh alike.
        overlap: The share of the first ``top_k`` documents that both have.
        best: The first document of each; None where there are no candidates.
    """

    id: str
    text: str
    rank_biased_overlap: float
    kendall_tau: float
    overlap: float
    best: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One query, explained by both models.

    Attributes:
        id: The query's id.
        explanations: The first model's ranking, as a change of the second's, and the second's, as a change of the first's.
    """

    id: str
    explanations: tuple[RankingExplanation, RankingExplanation]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much two models disagree. ``compare`` makes one; a notebook shows it as a page.

    Attributes:
        collection: Its name.
        documents: How many it has.
        first_stage: What found the candidates.
        depth: The most candidates a query.
        top_k: How many of the first are compared as sets.
        models: The two names.
        queries: The least alike first.
        disagreements: The least alike of them, explained.
        notes: What is odd about the data, for people.
    """

    collection: str
    documents: int
    first_stage: str
    depth: int
    top_k: int
    models: tuple[str, str]
    queries: tuple[QueryAgreement, ...]
    disagreements: tuple[Disagreement, ...]
    notes: tuple[str, ...]

    @property
    def means(self) -> dict[str, float]:
        """The means over queries; ``same_best`` is the share of queries whose first document is the same."""
        return {
            "rank_biased_overlap": fmean(query.rank_biased_overlap for query in self.queries),
            "kendall_tau": fmean(query.kendall_tau for query in self.queries),
            f"overlap@{self.top_k}": fmean(query.overlap for query in self.queries),
            "same_best": fmean(query.best is None or len(set(query.best)) == 1 for query in self.queries),
        }

    def summary(self) -> Table:
        """Return the means as a table."""
        names = {
            "rank_biased_overlap": "rank-biased overlap (1: the same order; the first documents weigh most)",
            "kendall_tau": "Kendall's tau (1: the same order, -1: the opposite one)",
            f"overlap@{self.top_k}": f"documents that both have among their first {self.top_k}",
            "same_best": "queries with the same first document",
        }
        shares = ("overlap", "same_best")
        rows = [
            [names[key], f"{value:.0%}" if key.startswith(shares) else f"{value:.3f}"]
            for key, value in self.means.items()
        ]
        return Table([f"mean of {counted_queries(len(self.queries))}", ""], rows)

    def least_alike(self) -> Table:
        """Return the queries that differ most as a table."""
        header = [
            "query",
            "",
            "RBO",
            "tau",
            f"common of {self.top_k}",
            *(f"first by {name}" for name in self.models),
        ]
        rows = [
            [
                query.id,
                _start(one_line(query.text)),
                f"{query.rank_biased_overlap:.3f}",
                f"{query.kendall_tau:.3f}",
                f"{query.overlap:.0%}",
                *(query.best or ("", "")),
            ]
            for query in self.queries[:LISTED]
        ]
        return Table(header, rows)

    def introduction(self) -> str:
        """Say what was compared."""
        notes = "".join(f" {note}." for note in self.notes)
        return (
            f"{self.first_stage} gives each query's first {self.depth} of {self.documents:,} documents; both models sort "
            f"them. Nothing is judged: this says where the rankings differ, not which is better.{notes}"
        )

    def to_markdown(self) -> str:
        """Return the tables."""
        one, other = self.models
        lines = [
            f"# {one} and {other} on {self.collection}",
            "",
            self.introduction(),
            "",
            *self.summary().to_markdown(),
            "",
            "## The queries that differ most",
            "",
            *self.least_alike().to_markdown(),
        ]
        return "\n".join(lines) + "\n"

    def to_text(self, *, color: bool | None = None, width: int | None = None) -> str:
        """Return the explanations for a terminal; the arguments are those of ``Explanation.to_text``."""
        one, other = self.models
        parts = []
        for found in self.disagreements:
            for explanation, after, before in zip(
                found.explanations, (one, other), (other, one), strict=True
            ):
                text = explanation.to_text(color=color, width=width)
                parts.append(f"query {found.id}: before is {before}, after is {after}\n\n{text}")
        return "\n\n\n".join(parts)

    def to_html(self) -> str:
        """Return a page of its own, without scripts and without anything from elsewhere."""
        return comparison_page(self)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "collection": self.collection,
            "documents": self.documents,
            "first_stage": self.first_stage,
            "depth": self.depth,
            "models": list(self.models),
            "means": {name: round(value, 6) for name, value in self.means.items()},
            "queries": [
                {
                    "id": query.id,
                    "text": query.text,
                    "rank_biased_overlap": round(query.rank_biased_overlap, 6),
                    "kendall_tau": round(query.kendall_tau, 6),
                    f"overlap@{self.top_k}": round(query.overlap, 6),
                    "best": list(query.best) if query.best else None,
                }
                for query in self.queries
            ],
            "disagreements": [
                {
                    "id": found.id,
                    "explanations": [explanation.to_dict() for explanation in found.explanations],
                }
                for found in self.disagreements
            ],
            "notes": list(self.notes),
        }

    def save(self, *paths: str | PathLike[str]) -> None:
        """Write files: everything where the name ends in ``.json``, the tables in ``.md``, the page in ``.html``.

        Raises:
            InputError: If a name ends otherwise, or a file cannot be written.
        """
        faces = (lambda: json_text(self.to_dict()), self.to_markdown, self.to_html)
        save_files(paths, dict(zip(COMPARISON_FILES, faces, strict=True)))

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        return comparison_fragment(self)


def _start(text: str) -> str:
    return text if len(text) <= LONGEST_QUERY else f"{text[: LONGEST_QUERY - 1]}…"
