"""What is made of timings: ratios, the exponent of growth, bars that are met or missed, tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Bar", "at_least", "at_most", "best", "exponent", "speed_up", "table", "times_cells"]

Times = Sequence[float]


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and what it must reach.

    Attributes:
        what: In a few words.
        value: From the medians; None where it was not measured.
        limit: The bar.
        side: Whether the value must be at least or at most that.
        fastest: The same figure from the fastest rounds, where there are rounds.
        void: Why a value that reaches the bar does not count; empty where it does.
    """

    what: str
    value: float | None
    limit: float
    side: Literal["at least", "at most"]
    fastest: float | None = None
    void: str = ""

    @property
    def verdict(self) -> str:
        """Met, missed, or not measured."""
        if self.value is None:
            return "not measured"
        reached = self.value >= self.limit if self.side == "at least" else self.value <= self.limit
        if reached and self.void:
            return f"does not count: {self.void}"
        return "met" if reached else "missed"

    def cells(self) -> list[str]:
        """Return its row of the table."""
        value = "" if self.value is None else number(self.value)
        fastest = "" if self.fastest is None else f" ({number(self.fastest)})"
        return [self.what, f"{value}{fastest}", f"{self.side} {number(self.limit)}", self.verdict]


def at_least(what: str, limit: float, ratio: tuple[float, float] | float | None, void: str = "") -> Bar:
    """Return a bar that is reached from below; a pair is the ratio of the medians and of the fastest."""
    value, fastest = ratio if isinstance(ratio, tuple) else (ratio, None)
    return Bar(what, value, limit, "at least", fastest, void)


def at_most(what: str, limit: float, ratio: tuple[float, float] | float | None) -> Bar:
    """Return a bar that is reached from above."""
    value, fastest = ratio if isinstance(ratio, tuple) else (ratio, None)
    return Bar(what, value, limit, "at most", fastest)


def speed_up(slow: Times, fast: Times) -> tuple[float, float]:
    """Return how many times as long one takes as the other: the medians, and the fastest rounds."""
    return float(np.median(slow) / np.median(fast)), min(slow) / min(fast)


def best(times: Mapping[str, Times], prefixes: str | tuple[str, ...]) -> str | None:
    """Return which of the systems with such a name has the smallest median; None if there is none."""
    names = [name for name in times if name.startswith(prefixes)]
    return min(names, key=lambda name: float(np.median(times[name])), default=None)


def exponent(counts: Sequence[int], milliseconds: Sequence[float]) -> float:
    """Return ``b`` of ``time = a * count^b`` by least squares of the logarithms: 1 is linear growth."""
    return float(np.polyfit(np.log(counts), np.log(milliseconds), 1)[0])


def number(value: float) -> str:
    """Write with three digits or so, and whole from 100 on."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def times_cells(times: Times) -> list[str]:
    """Return the median, the fastest and the slowest, in milliseconds."""
    return [number(float(value)) for value in (np.median(times), min(times), max(times))]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table's lines."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
