"""MaxSim against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laterank import InputTypeError, maxsim
from laterank.errors import ShapeError
from laterank.scoring import scores


def definition(query: np.ndarray, document: np.ndarray) -> float:
    """Return the sum over query rows of the best similarity, in double precision."""
    return float(sum(max(float(np.dot(q, d)) for d in document) for q in query.astype(np.float64)))


def unit_rows(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    rows = rng.standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12), st.lists(st.integers(1, 30), max_size=12), st.integers(1, 48), st.integers(0, 2**31)
)
def test_maxsim_is_its_definition(query_rows: int, lengths: list[int], dim: int, seed: int) -> None:
    """Whatever the shapes, the score is sum over i of max over j."""
    rng = np.random.default_rng(seed)
    query = unit_rows(rng, query_rows, dim)
    documents = [unit_rows(rng, length, dim) for length in lengths]
    scores = maxsim(query, documents)
    assert scores.dtype == np.float32
    assert scores.shape == (len(documents),)
    for score, document in zip(scores, documents, strict=True):
        assert score == pytest.approx(definition(query, document), abs=1e-4)


def test_nothing_wins_over_negative_similarities() -> None:
    """Zero padding would score 0 here, the bug of several peers."""
    query = np.array([[1.0, 0.0]], dtype=np.float32)
    documents = [np.array([[-1.0, 0.0]] * length, dtype=np.float32) for length in (1, 5, 3)]
    assert maxsim(query, documents).tolist() == [-1.0, -1.0, -1.0]


@given(st.permutations(range(7)), st.integers(0, 1000))
def test_the_other_documents_do_not_change_a_score(order: list[int], seed: int) -> None:
    """Order and company of documents leave every score as it is, to the last bit."""
    rng = np.random.default_rng(seed)
    query = unit_rows(rng, 8, 16)
    documents = [unit_rows(rng, 1 + number * 3, 16) for number in range(7)]
    together = maxsim(query, [documents[position] for position in order])
    for position, score in zip(order, together, strict=True):
        assert maxsim(query, [documents[position]])[0] == score


def test_blocks_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splitting the candidates to bound the memory changes nothing."""
    rng = np.random.default_rng(0)
    query, documents = unit_rows(rng, 4, 8), [unit_rows(rng, 1 + number % 9, 8) for number in range(50)]
    whole = maxsim(query, documents)
    monkeypatch.setattr(scores, "SIMILARITIES_AT_ONCE", 40)
    np.testing.assert_array_equal(maxsim(query, documents), whole)


def test_no_documents_give_no_scores() -> None:
    """An empty candidate list is no error."""
    assert maxsim(np.ones((2, 3), dtype=np.float32), []).shape == (0,)


def test_the_arguments_are_left_alone() -> None:
    """Scoring writes to no array of the caller's."""
    query, document = np.ones((2, 3), dtype=np.float32), np.ones((4, 3), dtype=np.float32)
    query.flags.writeable = document.flags.writeable = False
    assert maxsim(query, [document]).tolist() == [6.0]


@pytest.mark.parametrize(
    ("query", "documents", "message"),
    [
        (
            np.ones((2, 4)),
            [np.ones((3, 4)), np.ones((0, 4))],
            r"documents\[1\] has shape \(0, 4\), expected \(at least 1, 4\)",
        ),
        (
            np.ones((2, 4)),
            [np.ones((3, 5))],
            r"documents\[0\] has shape \(3, 5\), expected \(at least 1, 4\)",
        ),
        (np.ones((0, 4)), [np.ones((3, 4))], r"query has shape \(0, 4\)"),
        (np.ones(4), [np.ones((3, 4))], r"query has shape \(4,\)"),
        (np.ones((2, 4)), [np.ones((3, 4, 1))], r"documents\[0\] has shape \(3, 4, 1\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    query: np.ndarray, documents: list[np.ndarray], message: str
) -> None:
    """The error says which array, its shape and the one expected."""
    with pytest.raises(ShapeError, match=message):
        maxsim(query, documents)


@pytest.mark.parametrize("query", [[[1.0]], None, np.ones((2, 2), dtype=np.int8)])
def test_what_is_no_float_array_is_refused(query: object) -> None:
    """Lists and integer arrays are named, not converted."""
    with pytest.raises(InputTypeError, match="query is"):
        maxsim(query, [np.ones((1, 2))])  # type: ignore[arg-type]
