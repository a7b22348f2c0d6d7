"""The shipped card's table, out of the benchmark that measures what ships beside its peers: ``python card_table.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
CARD = ROOT / "src" / "laterank" / "model" / "bundled" / "README.md"
COLLECTIONS = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "squad-dev", "average")
ROWS = {
    "bm25": "BM25",
    "bundled": "this model (INT8)",
    "bundled-64": "64 numbers a token",
    "bundled-fp32": "in fp32",
    "answerai-colbert-small-v1-int8": "answerai-colbert-small-v1 (INT8)",
}
"""The benchmark's names of systems, and the card's."""


def judged_table(table: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table of nDCG@10."""
    lines = ["| | " + " | ".join(COLLECTIONS) + " |", "|---" * (len(COLLECTIONS) + 1) + "|"]
    for system, row in table.items():
        lines.append(f"| {system} | " + " | ".join(f"{row[name]:.1f}" for name in COLLECTIONS) + " |")
    return "\n".join(lines)


def benchmark_table(results: dict[str, Any]) -> str:
    """Return the card's table of what ``quality.json`` holds."""
    measured = results["results"] | {"average": results["mean"]}
    return judged_table(
        {
            shown: {name: 100 * measured[name][system]["nDCG@10"] for name in COLLECTIONS}
            for system, shown in ROWS.items()
        }
    )


def with_table(card: str, table: str) -> str:
    """Return the card with another table of judged collections.

    Raises:
        ValueError: If the card has none.
    """
    before, heading, rest = card.partition(table.splitlines()[0])
    if not heading:
        raise ValueError(f"the card has no table that begins {table.splitlines()[0]!r}")
    after = rest[rest.index("\n\n") :]
    return before + table + after


if __name__ == "__main__":
    table = benchmark_table(json.loads(RESULTS.read_text(encoding="utf-8")))
    CARD.write_text(with_table(CARD.read_text(encoding="utf-8"), table), encoding="utf-8")
    print(table)
