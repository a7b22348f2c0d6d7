"""Leaving out inputs of a linear map, against the definition of the error and of least squares."""

from types import ModuleType

import numpy as np
import pytest
from conftest import training_module


@pytest.fixture(scope="module")
def surgeon() -> ModuleType:
    """Import ``training/surgeon.py``."""
    return training_module("surgeon")


def case(inputs: int = 12, outputs: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Draw a map, and inputs that depend on each other. *Shapes:* ``(outputs, inputs)``, ``(300, inputs)``"""
    rng = np.random.default_rng(0)
    mixing = np.eye(inputs) + 0.3 * rng.normal(size=(inputs, inputs))
    return rng.normal(size=(outputs, inputs)), rng.normal(size=(300, inputs)) @ mixing


@pytest.mark.parametrize(("group", "at_once"), [(1, 1), (4, 1), (1, 4), (2, 3)])
def test_the_error_of_every_cut_is_that_of_the_refitted_map(
    surgeon: ModuleType, group: int, at_once: int
) -> None:
    """By the definition, over the inputs themselves, whether inputs go alone, in groups or many at once."""
    weight, inputs = case()
    moments = inputs.T @ inputs
    found = surgeon.cuts(weight, moments, group, at_once)
    assert len(found[-1].kept) <= at_once * group < len(found[-2].kept)
    assert [len(cut.kept) for cut in found] == list(range(12, 0, -group * at_once))
    solid = surgeon.damped(moments)
    for cut in found:
        lost = weight.copy()
        lost[:, cut.kept] -= surgeon.refitted(weight, moments, cut.kept)
        assert cut.error == pytest.approx(np.trace(lost @ solid @ lost.T), abs=1e-8)
        groups = {int(position) // group for position in cut.kept}
        assert sorted(cut.kept) == [g * group + i for g in sorted(groups) for i in range(group)]


def test_the_first_to_go_is_what_costs_least_of_all(
    surgeon: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against every input left out by itself, with the rest fitted by numpy's least squares."""
    monkeypatch.setattr(surgeon, "DAMPING", 0.0)
    weight, inputs = case()
    moments = inputs.T @ inputs
    errors = []
    for gone in range(12):
        rest = np.delete(inputs, gone, axis=1)
        fitted = np.linalg.lstsq(rest, inputs @ weight.T, rcond=None)[0]
        errors.append(np.square(inputs @ weight.T - rest @ fitted).sum())
    first = surgeon.cuts(weight, moments)[1]
    assert set(range(12)) - set(first.kept.tolist()) == {int(np.argmin(errors))}
    assert first.error == pytest.approx(min(errors))


def test_what_another_input_repeats_costs_nothing(surgeon: ModuleType) -> None:
    """A copy of an input goes first, and the copied one takes its weight over."""
    weight, inputs = case()
    inputs[:, 7] = inputs[:, 2]
    moments = inputs.T @ inputs
    first = surgeon.cuts(weight, moments)[1]
    [gone] = set(range(12)) - set(first.kept.tolist())
    assert gone in {2, 7}
    refitted = surgeon.refitted(weight, moments, first.kept)
    stays = first.kept.tolist().index(9 - gone)
    np.testing.assert_allclose(refitted[:, stays], weight[:, 2] + weight[:, 7], rtol=0.02, atol=0.02)


def test_a_correction_brings_the_outputs_to_the_wanted_ones(
    surgeon: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, where a linear map can."""
    monkeypatch.setattr(surgeon, "DAMPING", 0.0)
    weight, inputs = case()
    wanted = np.random.default_rng(1).normal(size=weight.shape)
    missing = (inputs @ (wanted - weight).T).T @ inputs
    np.testing.assert_allclose(weight + surgeon.correction(inputs.T @ inputs, missing), wanted)
