"""How a reranker is asked: alone, mixed with the first stage, or stopping early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laterank.errors import InputError
from laterank.evaluation.measures import parsed_measures
from laterank.fusion import FusionKind
from laterank.reranker import Reranker

__all__ = ["ALONE", "RankOptions"]


@dataclass(frozen=True, slots=True)
class RankOptions:
    """Options of ``Reranker.rank``, whose effect on a collection is measured.

    Attributes:
        fusion: Mix in the first stage: ``"rrf"`` its order, ``"weighted"`` its scores; None for neither.
        fusion_weight: The reranker's share, from 0 to 1.
        budget: Encode at most so many documents a query; None for all.
        patience: Stop encoding after so many in a row that did not reach the best ``top_n``; None for never.
        top_n: How many ``patience`` looks for, and all that a ranking has then.
    """

    fusion: FusionKind | None = None
    fusion_weight: float = 0.5
    budget: int | None = None
    patience: int | None = None
    top_n: int | None = None

    @property
    def ends_early(self) -> bool:
        """Whether some documents may stay unread."""
        return self.budget is not None or self.patience is not None

    def name(self, model: str) -> str:
        """Return what a model asked this way is called: ``bundled,fusion=rrf``, as a name with settings is."""
        weight = self.fusion_weight if self.fusion and self.fusion_weight != ALONE.fusion_weight else None
        shown = {
            "fusion": self.fusion,
            "fusion_weight": weight,
            "budget": self.budget,
            "patience": self.patience,
            "top_n": self.top_n,
        }
        return ",".join([model, *(f"{name}={value}" for name, value in shown.items() if value is not None)])

    def check(self, reranker: Reranker, measures: Sequence[str], *, scored: bool) -> None:
        """Refuse what ``Reranker.rank`` refuses, before anything is encoded, and what cannot be measured.

        Args:
            reranker: Any.
            measures: What will be measured.
            scored: Whether the first stage gave scores.

        Raises:
            InputError: If an option has a value that cannot work, or a measure looks further than ``top_n``.
        """
        if self.fusion == "weighted" and not scored:
            raise InputError(
                'fusion is "weighted" and the run has no scores; pass them, or fusion="rrf", which mixes ranks'
            )
        self._ranked(reranker, [], [], [])
        if self.top_n is None:
            return
        if self.patience is None:
            raise InputError(f"top_n is {self.top_n} without patience, which alone asks how many are wanted")
        for name, measure in parsed_measures(measures).items():
            cutoff = measure.params.get("cutoff")
            if cutoff is None or cutoff > self.top_n:
                raise InputError(
                    f"measure {name} looks further than top_n, which is {self.top_n}; raise top_n, or measure less"
                )

    def order(
        self, reranker: Reranker, query: str, texts: Sequence[str], scores: Sequence[float] | None
    ) -> list[int]:
        """Return the places of one query's documents, the best first.

        Args:
            reranker: The model.
            query: The question.
            texts: The documents in the first stage's order.
            scores: The first stage's; None where it gave none.
        """
        [order] = self._ranked(reranker, [query], [texts], [scores or ()])
        return order

    def _ranked(
        self,
        reranker: Reranker,
        queries: Sequence[str],
        texts: Sequence[Sequence[str]],
        scores: Sequence[Sequence[float]],
    ) -> list[list[int]]:
        rankings = reranker.rank_many(
            queries,
            texts,
            top_n=self.top_n,
            fusion=self.fusion,
            fusion_weight=self.fusion_weight,
            first_stage_scores=scores if self.fusion == "weighted" else None,
            budget=self.budget,
            patience=self.patience,
        )
        return [[place.index for place in ranking] for ranking in rankings]


ALONE = RankOptions()
"""The reranker alone, and every document read."""
