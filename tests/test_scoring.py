"""MaxSim against its definition."""

import multiprocessing
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from laterank import InputError, InputTypeError, maxsim
from laterank.cache.codec import decode_rows, encode_rows
from laterank.errors import ShapeError
from laterank.rows import QuantizedRows, StoredRows
from laterank.scoring import scores
from laterank.scoring.graphs import FLOAT16_GRAPH, FLOAT32_GRAPH, INT8_GRAPH
from laterank.scoring.kernels import LARGEST_INT8_DIM, LARGEST_PART, Float32Kernel


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


@settings(deadline=None)
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


def many_blocks(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a query and documents that make a block each, which threads share."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(scores, "SIMILARITIES_AT_ONCE", 1)
    monkeypatch.setattr(scores, "MULTIPLICATIONS_PER_THREAD", 1)
    return unit_rows(rng, 4, 8), [unit_rows(rng, 9, 8) for _ in range(200)]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_error_in_one_thread_ends_the_call(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """It is raised, and the other threads do not work through all that is left first."""
    query, documents = many_blocks(monkeypatch)
    done: list[int] = []

    def best(self: object, block: list[np.ndarray], length: int, scratch: object) -> np.ndarray:
        done.append(length)
        if len(done) == 3:
            raise error
        time.sleep(0.002)
        return np.zeros((len(block), 4), np.float32)

    monkeypatch.setattr(Float32Kernel, "best", best)
    with pytest.raises(error):
        maxsim(query, documents, threads=3)
    assert len(done) < 20


def test_threads_that_cannot_start_leave_their_work_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """And an error in one that did start is not lost: no score comes from memory that nobody wrote to."""
    query, documents = many_blocks(monkeypatch)
    expected = maxsim(query, documents, threads=1)
    submit, started = ThreadPoolExecutor.submit, []

    def refuse_the_second(self: ThreadPoolExecutor, work: Any) -> Any:
        started.append(work)
        if len(started) > 1:
            raise RuntimeError("can't start new thread")
        return submit(self, work)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse_the_second)
    assert maxsim(query, documents, threads=4).tolist() == expected.tolist()
    started.clear()
    here, best = threading.current_thread(), Float32Kernel.best

    def fail_elsewhere(self: Float32Kernel, *given: Any) -> Any:
        if threading.current_thread() is not here:
            raise MemoryError
        time.sleep(0.001)
        return best(self, *given)

    monkeypatch.setattr(Float32Kernel, "best", fail_elsewhere)
    with pytest.raises(MemoryError):
        maxsim(query, documents, threads=4)


def test_a_short_query_packs_no_more_rows_than_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of a block is bounded by its rows, too."""
    monkeypatch.setattr(scores, "ROWS_AT_ONCE", 40)
    rng = np.random.default_rng(0)
    query, documents = unit_rows(rng, 1, 8), [unit_rows(rng, 10, 8) for _ in range(9)]
    tasks = list(scores._tasks(query, list(documents)))
    assert max(len(block) * length for _, block, length in tasks) <= 40
    np.testing.assert_allclose(
        maxsim(query, documents), [definition(query, one) for one in documents], rtol=1e-5
    )


# --- rows as they are stored ----------------------------------------------------------------------------------------


def stored(rows: np.ndarray, storage: str) -> StoredRows:
    return decode_rows(encode_rows(rows, storage, key=b""), key=b"")  # type: ignore[arg-type]


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
@settings(max_examples=40, deadline=None)
@given(
    query_rows=st.integers(1, 40),
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=40),
    dim=st.sampled_from([1, 3, 48, 96, 128, 300]),
    seed=st.integers(0, 2**31),
)
def test_stored_rows_score_as_their_numbers_in_double_precision_do(
    storage: str, query_rows: int, lengths: list[int], dim: int, seed: int
) -> None:
    """Floats add what float32 rounds; INT8 half a step of each query row's 14 bits, which is less the more numbers there are."""
    rng = np.random.default_rng(seed)
    query = unit_rows(rng, query_rows, dim)
    documents = [stored(unit_rows(rng, length, dim), storage) for length in lengths]
    expected = [definition(query, np.asarray(rows, dtype=np.float64)) for rows in documents]
    half_steps = np.abs(query).max(axis=1) / LARGEST_PART / 2
    rounded = half_steps.sum() * max(np.abs(np.asarray(rows)).sum(axis=1).max() for rows in documents)
    allowed = 2e-6 * query_rows + (rounded if storage == "int8" else 0)
    np.testing.assert_allclose(maxsim(query, documents), expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    rows=st.integers(1, 33),
    dim=st.integers(1, 130),
)
@example(lengths=[200, 196, 181, 172, 171, 169, 145, 60, 52, 8, 3, 1], rows=32, dim=96)
def test_a_stored_documents_score_is_its_own(storage: str, lengths: list[int], rows: int, dim: int) -> None:
    """Alone or in company, on one thread or three, in blocks or not: the same to the last bit."""
    rng = np.random.default_rng(len(lengths))
    query, documents = (
        unit_rows(rng, rows, dim),
        [stored(unit_rows(rng, length, dim), storage) for length in lengths],
    )
    alone = [maxsim(query, [document])[0] for document in documents]
    for most in (500, scores.SIMILARITIES_AT_ONCE):
        with mock.patch.multiple(scores, SIMILARITIES_AT_ONCE=most, MULTIPLICATIONS_PER_THREAD=1):
            for threads in (1, 3):
                assert maxsim(query, documents, threads=threads).tolist() == alone


@given(st.lists(st.integers(1, 400), max_size=60), st.integers(1, 3000))
@example(lengths=[8, 7, 6, 5, 4, 3, 2, 1], most_rows=64)
def test_blocks_hold_every_document_once_with_little_padding(lengths: list[int], most_rows: int) -> None:
    """Within the bound, and none is ended by a document that would not have been padded further than its step."""
    blocks = list(scores._blocks(lengths, most_rows))
    assert sorted(place for block, _ in blocks for place in block) == list(range(len(lengths)))
    for block, length in blocks:
        assert length % scores.LENGTH_STEP == 0
        assert len(block) == 1 or len(block) * length <= most_rows
        longest = max(lengths[place] for place in block)
        assert length - scores.LENGTH_STEP < longest <= length
        for place in block:
            assert (
                lengths[place] >= longest * (1 - scores.MOST_PADDING)
                or lengths[place] > length - scores.LENGTH_STEP
            )
    for (block, length), (following, _) in pairwise(blocks):
        if lengths[following[0]] > length - scores.LENGTH_STEP:
            assert (len(block) + 1) * length > most_rows


def test_forms_may_be_mixed() -> None:
    """Each document is scored as it is, in the caller's order."""
    rng = np.random.default_rng(0)
    query, rows = unit_rows(rng, 8, 24), [unit_rows(rng, 5 + number, 24) for number in range(9)]
    storages = ["int8", "float16", "float32"] * 3
    mixed = maxsim(query, [stored(one, storage) for one, storage in zip(rows, storages, strict=True)])
    alone = [maxsim(query, [stored(one, storage)])[0] for one, storage in zip(rows, storages, strict=True)]
    assert mixed.tolist() == alone


def test_integers_of_any_size_are_added_up_right() -> None:
    """The largest numbers that rows can have, and more of them than 32 bits can hold the products of."""
    for dim in (LARGEST_INT8_DIM, LARGEST_INT8_DIM + 1):
        query = np.ones((2, dim), dtype=np.float32)
        query[1] = -1
        rows = QuantizedRows(np.full((3, dim), 127, np.int8), np.full(3, 1 / 127, np.float32))
        assert maxsim(query, [rows]) == pytest.approx([0], abs=0.01 * dim / 127)
        assert maxsim(query[:1], [rows]) == pytest.approx([dim], rel=1e-5)
        assert maxsim(query[1:], [rows]) == pytest.approx([-dim], rel=1e-5)


def test_zero_rows_score_zero_in_int8() -> None:
    """Neither a query row nor a document row of zeros divides by zero."""
    rows = QuantizedRows(np.zeros((2, 4), np.int8), np.zeros(2, np.float32))
    assert maxsim(np.zeros((3, 4), np.float32), [rows]).tolist() == [0.0]


def test_a_query_of_the_smallest_numbers_scores_zero_in_int8() -> None:
    """Numbers whose steps float32 cannot tell from 0 are no division by zero."""
    rows = QuantizedRows(np.ones((2, 4), np.int8), np.ones(2, np.float32))
    assert maxsim(np.full((3, 4), 1e-44, np.float32), [rows]).tolist() == [0.0]


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("place", range(0, 40, 13))
def test_broken_numbers_are_not_hidden_by_a_maximum(storage: str, broken: float, place: int) -> None:
    """One NaN or infinite number in a query or a document makes a score that is not finite, and only its own."""
    rng = np.random.default_rng(0)
    query, good = unit_rows(rng, 9, 16), stored(unit_rows(rng, 40, 16), storage)
    spoilt_query = query.copy()
    spoilt_query[4, 5] = broken
    assert not np.isfinite(maxsim(spoilt_query, [good])).any()
    if storage == "int8":
        spoilt: StoredRows = QuantizedRows(good.numbers, good.scales.copy())  # type: ignore[union-attr]
        spoilt.scales[place] = broken  # type: ignore[union-attr]
    else:
        spoilt = good.copy()  # type: ignore[union-attr]
        spoilt[place, 5] = broken  # type: ignore[index]
    assert np.isfinite(maxsim(query, [good, spoilt, good])).tolist() == [True, False, True]


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
def test_a_broken_document_changes_no_other_score(storage: str) -> None:
    """To the last bit: what shares a block with NaN is scored as it is alone."""
    rng = np.random.default_rng(0)
    for dim in (48, 96, 128, 300):
        query = unit_rows(rng, 21, dim)
        documents = [stored(unit_rows(rng, 40, dim), storage) for _ in range(8)]
        alone = [maxsim(query, [document])[0] for document in documents]
        broken = np.full((40, dim), np.nan, dtype=np.float16 if storage == "float16" else np.float32)
        if storage == "int8":
            broken = QuantizedRows(np.ones((40, dim), np.int8), np.full(40, np.nan, np.float32))
        *together, last = maxsim(query, [*documents, broken])
        assert together == alone
        assert np.isnan(last)


@pytest.mark.parametrize("storage", ["float16", "float32"])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_broken_document_leaves_the_others_scores_as_they_are(storage: str, broken: float) -> None:
    """To the last bit, though they share its block, which numpy multiplies in another order."""
    rng = np.random.default_rng(0)
    query, good = unit_rows(rng, 1, 300), [stored(unit_rows(rng, 40, 300), storage) for _ in range(9)]
    spoilt = np.array(good[0])
    spoilt[7, 5] = broken
    *found, last = maxsim(query, [*good, spoilt]).tolist()
    assert found == maxsim(query, good).tolist()
    assert not np.isfinite(last)


@pytest.mark.parametrize("graph", [FLOAT32_GRAPH, FLOAT16_GRAPH, INT8_GRAPH])
def test_the_graphs_are_valid_onnx(graph: bytes) -> None:
    """Written by hand, they pass the checker and the inference of every shape."""
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)


def test_a_forked_process_scores() -> None:
    """Sessions are the parent's; a child loads its own."""
    query, document = np.ones((2, 3), dtype=np.float32), np.ones((4, 3), dtype=np.float32)
    assert maxsim(query, [document]).tolist() == [6.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads, which this is about
        child = multiprocessing.get_context("fork").Process(
            target=lambda: os._exit(int(maxsim(query, [document])[0]))
        )
        child.start()
    child.join(60)
    assert child.exitcode == 6


# --- arguments ------------------------------------------------------------------------------------------------------


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
        (
            np.ones((2, 0)),
            [np.ones((3, 0))],
            r"query has shape \(2, 0\), expected \(at least 1, at least 1\)",
        ),
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


@pytest.mark.parametrize("threads", [0, -1, 1.5, "x", True])
def test_threads_that_cannot_be_are_refused(threads: object) -> None:
    """With what was given, even where there is too little work for a second one."""
    with pytest.raises(
        InputError, match=f"threads is {threads!r}, expected (a whole number of )?at least 1, or None"
    ):
        maxsim(np.ones((1, 2)), [np.ones((1, 2))], threads=threads)  # type: ignore[arg-type]


def test_a_numpy_number_of_threads_will_do() -> None:
    """As everywhere."""
    assert maxsim(np.ones((1, 2)), [np.ones((1, 2))], threads=np.int64(2)).tolist() == [2.0]  # type: ignore[arg-type]
