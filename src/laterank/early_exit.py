"""Early exit: of many candidates, encode only the most promising, where only the best few are wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from laterank.checks import checked_count
from laterank.errors import InputError

__all__ = ["EarlyExit"]

Sums = NDArray[np.float32]
D = TypeVar("D", bound=Hashable)

LEAST_AT_ONCE = 4
"""Fewer documents at a time would leave threads without work; patience may end a few documents late for it."""


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """When to stop encoding candidates that come in the order of a first stage, the most promising first.

    What need not be encoded is always scored: it costs next to nothing. The rest is encoded from the front. A document that
    was passed over might have scored best; how often it does is measured, not proven (``benchmarks/early_exit.py``).

    Attributes:
        top_n: How many are wanted.
        budget: The most documents to encode; None for no limit.
        patience: Stop after so many in a row that were encoded and stayed out of the best ``top_n``; None for no such rule.
    """

    top_n: int | None
    budget: int | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        """Check both rules.

        Raises:
            InputError: If one is less than 1, or ``patience`` comes without ``top_n``.
            InputTypeError: If one is no whole number.
        """
        for name in ("budget", "patience"):
            if (given := getattr(self, name)) is not None:
                checked_count(given, name, otherwise=", or None for no such rule")
        if self.patience is not None and self.top_n is None:
            raise InputError(
                f"patience is {self.patience} and top_n is None; pass top_n, which tells what staying out of it means"
            )

    @property
    def on(self) -> bool:
        """Whether there is a rule at all."""
        return self.budget is not None or self.patience is not None

    def score(
        self, documents: Sequence[D], free: Collection[D], score: Callable[[Sequence[D]], Sums]
    ) -> dict[D, float]:
        """Score documents from the front until a rule says stop.

        Args:
            documents: Distinct, the most promising first.
            free: Those that need not be encoded.
            score: Returns raw MaxSim of some of them. *Shape:* ``(documents,)``

        Returns:
            The raw MaxSim of every document that was scored.
        """
        known = [document for document in documents if document in free]
        found = dict(zip(known, score(known).tolist(), strict=True)) if known else {}
        waiting = [document for document in documents if document not in free][: self.budget]
        best, passed_over = sorted(found.values(), reverse=True)[: self.top_n], 0
        while waiting and (self.patience is None or passed_over < self.patience):
            piece = waiting[: self._next_stop(len(best), passed_over)]
            waiting = waiting[len(piece) :]
            for document, reached in zip(piece, score(piece).tolist(), strict=True):
                found[document] = reached
                entered = self.top_n is None or len(best) < self.top_n or reached > best[-1]
                ended = self.patience is not None and passed_over >= self.patience
                passed_over = 0 if entered and not ended else passed_over + 1
                if entered:
                    best = sorted([*best, reached], reverse=True)[: self.top_n]
        return found

    def _next_stop(self, places_taken: int, passed_over: int) -> int | None:
        """Return after how many more documents patience can end at the earliest: so many are encoded together."""
        if self.patience is None or self.top_n is None:
            return None
        return max(self.top_n - places_taken + self.patience - passed_over, LEAST_AT_ONCE)
