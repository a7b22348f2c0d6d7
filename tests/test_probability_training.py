"""What fits calibration.json, against the definitions and against what the package makes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import training_module

from laterank.model.calibration import Calibration, read_calibrations
from laterank.model.files import BUNDLED_FOLDER


@pytest.fixture(scope="module")
def probability() -> ModuleType:
    """Import ``training/probability.py``."""
    return training_module("probability")


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def pairs(count: int, *, coefficients: tuple[float, float, float], intercept: float, seed: int = 0) -> Pairs:
    """Draw sums, rows and tokens of queries, and labels with the probability that the map gives."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, 40, count)
    rows = np.maximum(32, tokens)
    means = rng.uniform(0, 1, count)
    length = np.log(tokens)
    log_odds = (
        coefficients[0] * means + coefficients[1] * length + coefficients[2] * means * length + intercept
    )
    labels = rng.uniform(size=count) < 1 / (1 + np.exp(-log_odds))
    return means * rows, rows, tokens, labels.astype(float)


def test_the_fit_finds_the_map_that_made_the_labels(probability: ModuleType) -> None:
    """From 50,000 pairs, to within what chance leaves; on new pairs it is calibrated."""
    made = {"coefficients": (8.0, 0.4, -0.8), "intercept": -5.0}
    sums, rows, tokens, labels = pairs(50_000, **made)  # type: ignore[arg-type]
    entry = probability.fit_calibration(sums, rows, tokens, labels)
    fresh_sums, fresh_rows, fresh_tokens, fresh_labels = pairs(20_000, **made, seed=1)  # type: ignore[arg-type]
    truth = {**made, "features": probability.FEATURES}
    fitted = probability.probabilities(entry, fresh_sums, fresh_rows, fresh_tokens)
    expected = probability.probabilities(truth, fresh_sums, fresh_rows, fresh_tokens)
    assert np.abs(fitted - expected).max() < 0.03
    assert probability.expected_calibration_error(fitted, fresh_labels) < 0.015


def test_the_fit_is_where_the_likelihood_is_flat(probability: ModuleType) -> None:
    """At the maximum, the weighted residuals are orthogonal to every feature and to 1."""
    sums, rows, tokens, labels = pairs(500, coefficients=(5.0, 0.0, 0.5), intercept=-3.0)
    weights = np.random.default_rng(2).uniform(0.1, 3, 500)
    entry = probability.fit_calibration(sums, rows, tokens, labels, weights)
    residuals = weights * (labels - probability.probabilities(entry, sums, rows, tokens))
    assert abs(residuals.sum()) / weights.sum() < 1e-6
    features = probability.pair_features(sums, rows, tokens)
    assert np.abs(residuals @ features).max() / weights.sum() < 1e-4


def test_a_weight_counts_like_so_many_copies(probability: ModuleType) -> None:
    """Twice the weight is the same pair twice, and weight 0 is no pair."""
    sums, rows, tokens, labels = pairs(400, coefficients=(6.0, 0.0, 0.0), intercept=-3.0)
    weights = np.arange(400) % 3
    weighted = probability.fit_calibration(sums, rows, tokens, labels, weights)
    copies = [np.repeat(column, weights) for column in (sums, rows, tokens, labels)]
    repeated = probability.fit_calibration(*copies)
    np.testing.assert_allclose(weighted["coefficients"], repeated["coefficients"], rtol=1e-6)
    assert weighted["intercept"] == pytest.approx(repeated["intercept"], rel=1e-6)


def test_the_package_applies_what_was_fitted(probability: ModuleType, copy_of: Callable[..., Path]) -> None:
    """The same probabilities on both sides, from the file, longest queries included."""
    sums, rows, tokens, labels = pairs(2000, coefficients=(7.0, 0.2, 0.3), intercept=-4.0)
    entry = probability.fit_calibration(sums, rows, tokens, labels)
    path = copy_of() / "calibration.json"
    path.write_text(json.dumps(entry | {"dims": {"8": entry}}))
    fitted = read_calibrations(path)
    assert fitted[None] == fitted[8]
    assert isinstance(fitted[8], Calibration)
    for row_count, token_count in ((32, 1), (32, 32), (600, 512), (9000, 9000)):
        ours = fitted[8].probability(sums, row_count, token_count)
        np.testing.assert_allclose(
            ours, probability.probabilities(entry, sums, row_count, token_count), rtol=1e-9
        )


def test_separable_labels_stay_finite(probability: ModuleType) -> None:
    """A perfect model on few pairs gets a steep map, no overflow."""
    entry = probability.fit_calibration(
        [1, 2, 3, 30, 31, 32], [32] * 6, [5, 9, 7, 5, 9, 7], [0, 0, 0, 1, 1, 1]
    )
    assert np.isfinite(entry["coefficients"]).all()


def test_queries_of_one_length_give_a_map_of_the_score_alone(probability: ModuleType) -> None:
    """What does not vary has no coefficient of its own; the map still fits."""
    sums, _, _, labels = pairs(5000, coefficients=(6.0, 0.0, 0.0), intercept=-3.0)
    entry = probability.fit_calibration(sums, np.full(5000, 32), np.full(5000, 1), labels)
    assert entry["coefficients"][1:] == [0.0, 0.0]


def test_a_slope_that_would_turn_leaves_the_interaction_out(probability: ModuleType) -> None:
    """Short queries whose score says the opposite must not turn a ranking: the map falls back to one slope for all."""
    sums, rows, tokens, labels = pairs(3000, coefficients=(-4.0, 0.0, 4.0), intercept=-1.0)
    entry = probability.fit_calibration(sums, rows, tokens, labels)
    assert entry["features"] == ["mean", "log_query_tokens"]
    assert entry["coefficients"][0] > 0
    predicted = probability.probabilities(entry, sums, rows, tokens)
    assert predicted.mean() == pytest.approx(np.mean(labels), abs=1e-4)


def test_what_cannot_be_fitted_is_refused(probability: ModuleType) -> None:
    """One kind of label, a broken number, or scores that fall with relevance."""
    sums, rows, tokens, labels = pairs(300, coefficients=(6.0, 0.0, 0.0), intercept=-3.0)
    with pytest.raises(ValueError, match="expected both 0 and 1"):
        probability.fit_calibration(sums, rows, tokens, np.ones(300))
    with pytest.raises(ValueError, match="not finite"):
        probability.fit_calibration(np.where(labels, np.nan, sums), rows, tokens, labels)
    with pytest.raises(ValueError, match="expected more than 0"):
        probability.fit_calibration(sums, rows, tokens, 1 - labels)


def test_the_error_is_its_definition(probability: ModuleType) -> None:
    """Two bins worked out by hand."""
    predicted, labels = [0.1, 0.3, 0.6, 0.8], [0, 1, 1, 1]
    bins = probability.reliability(predicted, labels, bins=2)
    assert [(b.predicted, b.observed, b.count) for b in bins] == [
        (pytest.approx(0.2), 0.5, 2),
        (pytest.approx(0.7), 1.0, 2),
    ]
    assert probability.expected_calibration_error(predicted, labels, bins=2) == pytest.approx(0.3)
    assert probability.results(predicted, labels, 2)["bins"][0]["count"] == 2


def test_bins_hold_equally_many_pairs(probability: ModuleType) -> None:
    """Equal mass, not equal width, and no pair is lost."""
    predicted = np.random.default_rng(0).uniform(size=103) ** 8
    bins = probability.reliability(predicted, predicted > 0.1)
    assert len(bins) == 10
    assert sum(b.count for b in bins) == 103
    assert {b.count for b in bins} <= {10, 11}
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)


def test_the_order_of_equal_probabilities_changes_nothing(probability: ModuleType) -> None:
    """A constant prediction of the base rate is calibrated, even where the labels come sorted."""
    labels = np.array([1.0] * 50 + [0.0] * 50)
    assert probability.expected_calibration_error(np.full(100, 0.5), labels) == 0.0
    assert len(probability.reliability([0.2, 0.9], [0, 1])) == 2


def test_the_documentation_says_how_far_the_shipped_map_can_be_trusted() -> None:
    """Of the diagram's pairs: the error where probabilities are not near 0, and the highest of them."""
    root = Path(__file__).parent.parent
    diagram = json.loads((root / "benchmarks" / "results" / "calibration.json").read_text(encoding="utf-8"))
    likely = [one for one in diagram["bins"] if one["predicted"] >= 0.1]
    pairs = sum(one["count"] for one in likely)
    gap = sum(abs(one["predicted"] - one["observed"]) * one["count"] for one in likely) / pairs
    last = diagram["bins"][-1]
    shipped = json.loads((BUNDLED_FOLDER / "calibration.json").read_text(encoding="utf-8"))
    page = (root / "docs" / "scores.md").read_text(encoding="utf-8")
    assert f"error is {shipped['expected_calibration_error']:.4f}, in which" in page
    assert f"those given 0.1 or more, what is given and what is observed lie {gap:.2f} apart" in page
    assert (
        f"the highest, given {last['predicted']:.2f} on\naverage, {last['observed']:.0%} were relevant"
        in page
    )
