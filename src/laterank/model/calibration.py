"""From a model's score to the probability that a passage is relevant: ``calibration.json``, read, checked and applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laterank.errors import InputError, ModelFormatError
from laterank.model.json_files import read_json

__all__ = ["CALIBRATION_FILE", "FEATURES", "Calibration", "find_calibration", "read_calibrations"]

CALIBRATION_FILE = "calibration.json"
FORMAT = 1
FEATURES = ("mean", "log_query_tokens", "interaction")
MOST_QUERY_TOKENS = 512
"""Longer queries count as this long: nothing was fitted on them, and the slope is known to rise up to here only."""

_ENTRY_FIELDS = ("features", "coefficients", "intercept", "fitted_on", "expected_calibration_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A logistic map from the score of a (query, document) pair to the probability of relevance.

    ``P(relevant) = 1 / (1 + exp(-(intercept + sum_k coefficient_k feature_k)))``: Platt scaling (Platt 1999,
    "Probabilistic outputs for support vector machines") with the query's length beside the score.

    Attributes:
        features: Of a pair. ``mean``: MaxSim divided by the query's rows; ``log_query_tokens``: the natural logarithm of
            the query's scored rows without expansion; ``interaction``: their product.
        coefficients: One for each feature.
        intercept: The log-odds where every feature is 0.
        fitted_on: The labelled pairs behind it, for people.
        expected_calibration_error: What was measured on other pairs than those, in [0, 1]; None if nothing was.
    """

    features: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float
    fitted_on: str = ""
    expected_calibration_error: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no such map, or would change a ranking.

        Raises:
            InputError: Naming the attribute, what was given and what was expected.
        """
        _check_features(self.features)
        _check_coefficients(self.coefficients, self.features)
        _check_number("intercept", self.intercept)
        if not isinstance(self.fitted_on, str):
            raise InputError(f'"fitted_on" is {self.fitted_on!r}, expected a text')
        if (error := self.expected_calibration_error) is not None:
            _check_number("expected_calibration_error", error)
            if not 0 <= error <= 1:
                raise InputError(f'"expected_calibration_error" is {error}, expected a number from 0 to 1')
        for tokens in (1, MOST_QUERY_TOKENS):  # linear in the logarithm between them: the two ends decide
            if (slope := self._slope(_log_tokens(tokens))) <= 0:
                raise InputError(
                    f'"coefficients" let the probability change by {slope:g} with the score of a query of {tokens} '
                    "tokens, expected more than 0: a higher score must be a higher probability; fit it again"
                )

    def probability(self, sums: ArrayLike, query_rows: int, query_tokens: int) -> NDArray[np.float64]:
        """Return how probable it is that each document is relevant; a higher score is never less probable.

        Args:
            sums: One query's raw MaxSim with each document; minus infinity gives 0. *Shape:* ``(documents,)``
            query_rows: The query's scored rows, expansion included.
            query_tokens: The query's scored rows without expansion.

        Returns:
            In [0, 1]. *Shape:* ``(documents,)``

        Examples:
            >>> from laterank.model.calibration import Calibration
            >>> calibration = Calibration(features=("mean",), coefficients=(10.0,), intercept=-5.0)
            >>> calibration.probability([16.0, 24.0], query_rows=32, query_tokens=7).round(3).tolist()
            [0.5, 0.924]
        """
        length = _log_tokens(query_tokens)
        offset = self.intercept + self._coefficient("log_query_tokens") * length
        # As a slope and an offset, so that minus infinity meets no difference of infinities.
        log_odds = self._slope(length) * (np.asarray(sums, dtype=np.float64) / query_rows) + offset
        return np.asarray(np.exp(-np.logaddexp(0, -log_odds)), dtype=np.float64)

    def _slope(self, log_tokens: float) -> float:
        """Return how the log-odds change with the mean score, at one query length."""
        return self._coefficient("mean") + self._coefficient("interaction") * log_tokens

    def _coefficient(self, feature: str) -> float:
        return dict(zip(self.features, self.coefficients, strict=True)).get(feature, 0.0)


def find_calibration(
    path: Path | None, *, name: str, truncate_dim: int | None, size: int | None
) -> Calibration:
    """Return a model's calibration for the size that its embeddings have.

    Args:
        path: The model's ``calibration.json``; None where it has none.
        name: The model's name, for the error.
        truncate_dim: What its embeddings are truncated to; None for all numbers.
        size: Numbers in a whole embedding; None where that is not known yet.

    Raises:
        InputError: If the model has no calibration, or none for this size.
        ModelFormatError: If the file is broken.
    """
    if path is None:
        raise InputError(
            f"score is 'probability', but {name} ships no calibration ({CALIBRATION_FILE}); use 'mean' or 'sum', or fit "
            f"one on labelled pairs (training/probability.py) and put it into the model's folder as {CALIBRATION_FILE}"
        )
    fitted = read_calibrations(path)
    if truncate_dim in (None, size) and None in fitted:
        return fitted[None]
    if (found := fitted.get(truncate_dim or size)) is not None:
        return found
    there = ", ".join("all numbers" if dim is None else str(dim) for dim in fitted)
    raise InputError(
        f"score is 'probability', but {path} was not fitted for {truncate_dim or 'all'} numbers a token, only for: {there}; "
        "pass a truncate_dim of these, use 'mean' or 'sum', or fit one for it (training/probability.py)"
    )


def read_calibrations(path: Path) -> dict[int | None, Calibration]:
    """Read every calibration of a file, by the size that embeddings are truncated to; None is the whole embedding.

    Raises:
        ModelFormatError: If the file is broken or of a newer format, naming file and field.
    """
    raw: dict[str, Any] = read_json(path)
    if raw.get("format") != FORMAT or isinstance(raw["format"], bool):
        raise ModelFormatError(
            f'{path}: "format" is {raw.get("format")!r}, this laterank reads {FORMAT}; '
            "upgrade laterank or take the model's older revision"
        )
    dims = raw.get("dims", {})
    if not isinstance(dims, dict):
        raise ModelFormatError(f'{path}: "dims" is {dims!r}, expected an object with an entry for each size')
    fitted: dict[int | None, Calibration] = {}
    if "coefficients" in raw or not dims:
        fitted[None] = _read_entry(raw, str(path))
    shared: dict[str, Any] = {name: raw[name] for name in ("features", "fitted_on") if name in raw}
    for size, entry in dims.items():
        source = f'{path}: "dims": "{size}"'
        if not (size.isascii() and size.isdecimal()) or int(size) < 1 or not isinstance(entry, dict):
            raise ModelFormatError(
                f"{source} is {entry!r}, expected an object under a whole number of at least 1"
            )
        fitted[int(size)] = _read_entry({**shared, **entry}, source)
    return fitted


def _read_entry(raw: Mapping[str, Any], source: str) -> Calibration:
    settings = {name: raw[name] for name in _ENTRY_FIELDS if name in raw}
    for name in ("features", "coefficients", "intercept"):
        if name not in settings:
            raise ModelFormatError(f'{source} lacks "{name}"; fit it again or download the model again')
        if isinstance(settings[name], list):  # as JSON has a tuple
            settings[name] = tuple(settings[name])
    try:
        return Calibration(**settings)
    except InputError as error:
        raise ModelFormatError(f"{source}: {error}") from error


def _check_features(features: object) -> None:
    if not isinstance(features, tuple) or not features:
        raise InputError(f'"features" is {features!r}, expected a list of any of {", ".join(FEATURES)}')
    unknown = [feature for feature in features if feature not in FEATURES]
    if unknown:
        raise InputError(f'"features" has {unknown[0]!r}, expected any of {", ".join(FEATURES)}')
    if len(set(features)) < len(features):
        raise InputError(f'"features" is {list(features)}, expected each of them once')


def _check_coefficients(coefficients: object, features: tuple[str, ...]) -> None:
    if not isinstance(coefficients, tuple) or len(coefficients) != len(features):
        raise InputError(
            f'"coefficients" is {coefficients!r}, expected {len(features)} numbers, one for each of "features"'
        )
    for position, coefficient in enumerate(coefficients):
        _check_number(f"coefficients[{position}]", coefficient)


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise InputError(f'"{name}" is {value!r}, expected a finite number')


def _log_tokens(query_tokens: int) -> float:
    return log(min(max(query_tokens, 1), MOST_QUERY_TOKENS))
