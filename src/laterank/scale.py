"""The scale of a score: raw MaxSim, its mean over the query's rows, or a calibrated probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from laterank.errors import InputError
from laterank.model.calibration import Calibration

__all__ = ["CalibratedEncoder", "Scale", "ScoreKind"]

ScoreKind = Literal["mean", "sum", "probability"]


@runtime_checkable
class CalibratedEncoder(Protocol):
    """What ``score="probability"`` needs of an encoder beside its rows."""

    def calibration(self) -> Calibration:
        """Return the map from its scores to probabilities, or raise InputError where it has none."""

    def count_query_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many scored rows of each query are its own and no expansion."""


class Scale:
    """What a query's raw MaxSim is given to the caller as. No scale changes a ranking."""

    def __init__(self, kind: ScoreKind, encoder: object) -> None:
        """Make a scale.

        Args:
            kind: ``"mean"``, ``"sum"`` or ``"probability"``.
            encoder: The model, asked for its calibration where the kind is ``"probability"``.

        Raises:
            InputError: If there is no such kind, or the model has no calibration.
            ModelFormatError: If its calibration is broken.
        """
        if kind not in get_args(ScoreKind):
            raise InputError(
                f"score is {kind!r}, expected one of {', '.join(map(repr, get_args(ScoreKind)))}"
            )
        self.kind: ScoreKind = kind
        self._encoder: CalibratedEncoder | None = None
        self._calibration: Calibration | None = None
        if kind == "probability":
            if not isinstance(encoder, CalibratedEncoder):
                raise InputError(
                    f"score is 'probability', but {type(encoder).__name__} has no methods calibration() and "
                    "count_query_tokens(); use 'mean' or 'sum', or a ColbertEncoder"
                )
            self._encoder, self._calibration = encoder, encoder.calibration()

    def count_tokens(self, queries: Sequence[str]) -> list[int]:
        """Return each query's own scored tokens where this scale depends on them, else zeros."""
        return self._encoder.count_query_tokens(queries) if self._encoder else [0] * len(queries)

    def scores(self, sums: NDArray[np.float32], *, query_rows: int, query_tokens: int) -> list[float]:
        """Return one query's scores.

        Args:
            sums: Raw MaxSim; minus infinity for a document without anything to score, NaN for one that was not scored.
                *Shape:* ``(documents,)``
            query_rows: The query's scored rows, expansion included.
            query_tokens: What ``count_tokens`` gives for it.

        Returns:
            Plain Python floats, one a document: in [-1, 1] for ``mean``, in [-query_rows, query_rows] for ``sum``, in
            [0, 1] for ``probability``; the least of these for minus infinity and NaN.
        """
        sums = np.where(np.isnan(sums), np.float32(-np.inf), sums)
        if self._calibration is not None:
            return [float(p) for p in self._calibration.probability(sums, query_rows, query_tokens)]
        sums = np.where(np.isneginf(sums), np.float32(-query_rows), sums)
        return [float(score) for score in (sums / query_rows if self.kind == "mean" else sums)]
