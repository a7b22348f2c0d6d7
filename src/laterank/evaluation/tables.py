"""Tables that are Markdown in a file and HTML in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laterank.evaluation.statistics import Estimate
from laterank.explanation.markup import escaped

__all__ = ["TABLE_STYLE", "Table", "counted_queries", "difference_text", "estimate_text"]

TABLE_STYLE = """
.laterank .lr-wide { overflow-x: auto; }
.laterank .lr-wide th, .laterank .lr-wide td { overflow-wrap: normal; vertical-align: top; border-top: 1px solid var(--line); }
.laterank .lr-wide thead th { vertical-align: bottom; }
.laterank .lr-wide td { white-space: nowrap; }
.laterank .lr-wide tbody th { color: var(--ink); font-weight: 400; min-width: 9rem; overflow-wrap: anywhere; }
"""
"""Tables keep their numbers whole; on a narrow screen they scroll by themselves."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header, all of the same length, the first column for names."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_markdown(self) -> list[str]:
        """Return its lines."""
        return [_row(self.header), "|---" * len(self.header) + "|", *map(_row, self.rows)]

    def to_html(self) -> str:
        """Return a table element; every cell is escaped."""
        head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in self.header)
        rows = "".join(
            f'<tr><th scope="row">{escaped(name)}</th>{"".join(f"<td>{escaped(cell)}</td>" for cell in cells)}</tr>'
            for name, *cells in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def counted_queries(queries: int) -> str:
    """Return ``1 query``, or ``1,000 queries``."""
    return f"{queries:,} {'query' if queries == 1 else 'queries'}"


def estimate_text(found: Estimate) -> str:
    """Return a mean and its interval, times 100."""
    return f"{found.mean * 100:.1f} ({found.low * 100:.1f} to {found.high * 100:.1f})"


def difference_text(found: Estimate) -> str:
    """Return a difference and its interval, times 100."""
    return f"{found.mean * 100:+.1f} ({found.low * 100:+.1f} to {found.high * 100:+.1f})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"
