"""Encoders of the caller's own: what they give is checked before it is scored or kept, and an error says what was wrong."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from laterank import EncodingError, InputTypeError, MemoryCache, Reranker
from laterank.errors import ShapeError
from laterank.rows import QuantizedRows

DIM = 4


def unit(count: int) -> np.ndarray:
    """Return rows of unit length."""
    return np.eye(DIM, dtype=np.float32)[np.arange(count) % DIM]


class OwnEncoder:
    """As little as the protocol asks for; what it gives may be spoilt."""

    name, dim = "own", DIM

    def __init__(
        self,
        queries: Callable[[list[np.ndarray]], Any] = list,
        documents: Callable[[list[np.ndarray]], Any] = list,
        fingerprint: Any = b"own",
    ) -> None:
        self.fingerprint = fingerprint
        self._spoil_queries, self._spoil_documents = queries, documents

    def encode_queries(self, texts: Sequence[str]) -> Any:
        return self._spoil_queries([unit(2) for _ in texts])

    def encode_documents(self, texts: Sequence[str]) -> Any:
        return self._spoil_documents([unit(len(text)) for text in texts])


DOCUMENTS = ["a", "bb", "ccc"]
WRONG = {
    "a generator": (
        lambda rows: iter(rows),
        "gave list_iterator, expected a list with an array for each text",
    ),
    "nothing": (lambda rows: None, "gave NoneType, expected a list"),
    "one too few": (lambda rows: rows[1:], r"gave \d answers for \d texts, expected an array for each"),
    "lists": (lambda rows: [each.tolist() for each in rows], r"gave text 0 a list, expected a float array"),
    "one vector": (
        lambda rows: [each[0] for each in rows],
        r"gave text 0 an array of float32 and shape \(4,\)",
    ),
    "another size": (lambda rows: [each[:, :3] for each in rows], r"shape \(\d, 3\), expected .*, 4\)"),
    "integers": (lambda rows: [each.astype(np.int8) for each in rows], "gave text 0 an array of int8"),
    "long rows": (
        lambda rows: [each * 3 for each in rows],
        "a row of length 3, expected unit length: divide",
    ),
    "NaN": (lambda rows: [each * np.nan for each in rows], "gave text 0 NaN or infinite numbers"),
    "overflow": (
        lambda rows: [each * np.float32(1e38) for each in rows],
        "gave text 0 NaN or infinite numbers",
    ),
}


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("side", ["queries", "documents"])
@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_scored_is_named(
    spoil: Callable[[list[np.ndarray]], Any], message: str, side: str, cache: bool
) -> None:
    """By the method and the class that gave it; and nothing of it is kept."""
    reranker = Reranker(OwnEncoder(**{side: spoil}), cache=cache)
    with pytest.raises(EncodingError, match=rf"encode_{side}\(\) of OwnEncoder .*{message}"):
        reranker.rank("query", DOCUMENTS)
    if isinstance(reranker.cache, MemoryCache):
        assert reranker.cache.stats().documents == 0


def test_a_query_without_rows_is_named_and_a_document_without_ranks_last() -> None:
    """A query must have something to score; a document need not."""
    with pytest.raises(
        EncodingError, match=r"text 0 an array of float32 and shape \(0, 4\), expected .*at least 1"
    ):
        Reranker(OwnEncoder(queries=lambda rows: [each[:0] for each in rows])).rank("query", DOCUMENTS)
    empty = Reranker(OwnEncoder(documents=lambda rows: [rows[0][:0], *rows[1:]]))
    assert empty.rank("query", DOCUMENTS)[-1].index == 0


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [list, tuple, lambda rows: np.stack([each[:1] for each in rows])])
def test_what_can_be_scored_is_taken(kind: str, shape: Callable[[list[np.ndarray]], Any]) -> None:
    """Floats of any kind, in any sequence, also as one array; rows shorter than 1 as well, such as means."""
    given = OwnEncoder(documents=lambda rows: shape([(each * 0.5).astype(kind) for each in rows]))
    assert [place.score for place in Reranker(given).rank("query", ["a", "a", "a"])] == [0.25] * 3


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("side", ["queries", "documents"])
def test_a_matrix_is_scored_as_the_array_that_it_is(side: str, cache: bool) -> None:
    """Subclasses of arrays have shapes of their own: a matrix cannot be stacked with others."""

    def as_matrices(rows: list[np.ndarray]) -> list[np.ndarray]:
        return [each.view(np.matrix) for each in rows]

    expected = Reranker(OwnEncoder(), cache=cache).rank("query", DOCUMENTS)
    for _ in range(2):
        assert Reranker(OwnEncoder(**{side: as_matrices}), cache=cache).rank("query", DOCUMENTS) == expected


class OwnReader(OwnEncoder):
    """An encoder that tells long documents as it is told to."""

    def __init__(self, windows: Any = None, truncated: Any = None) -> None:
        super().__init__()
        self._given_windows, self._given_truncated = windows, truncated

    def document_windows(self, texts: Sequence[str], *, overlap: float) -> Any:
        return self._given_windows

    def truncates(self, texts: Sequence[str]) -> Any:
        return self._given_truncated


WHOLE = [[(0, len(text))] for text in DOCUMENTS]


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (None, "gave NoneType, expected a list with windows for each text"),
        (WHOLE[1:], "gave 2 answers for 3 texts"),
        ([[], *WHOLE[1:]], "gave text 0 no windows"),
        ([WHOLE[0], None, WHOLE[2]], "gave text 1 None"),
        ([*WHOLE[:2], [(0, 1), (1,)]], r"gave text 2 \[\(0, 1\), \(1,\)\]"),
        ([*WHOLE[:2], [(0.0, 1.0)]], r"gave text 2 \[\(0.0, 1.0\)\]"),
    ],
)
def test_windows_that_are_none_are_named(windows: Any, message: str) -> None:
    """Each text has at least one, of two places each."""
    reranker = Reranker(OwnReader(windows=windows), long_documents="windows")
    with pytest.raises(EncodingError, match=rf"document_windows\(\) of OwnReader {message}"):
        reranker.rank("query", DOCUMENTS)


@pytest.mark.parametrize("truncated", [None, [True]])
@pytest.mark.parametrize("kind", ["truncate", "error"])
def test_an_answer_for_each_document_says_whether_it_is_cut(truncated: Any, kind: Any) -> None:
    """And nothing else."""
    with pytest.raises(EncodingError, match=r"truncates\(\) of OwnReader gave"):
        Reranker(OwnReader(truncated=truncated), long_documents=kind).rank("query", DOCUMENTS)


def test_what_tells_long_documents_may_be_numpys() -> None:
    """As rows may be."""
    ranking = Reranker(OwnReader(truncated=np.array([True, True, True]))).rank("query", DOCUMENTS)
    assert all(place.truncated for place in ranking)
    windows = np.array([[(0, 1)], [(0, 2)], [(0, 3)]])
    ranking = Reranker(OwnReader(windows=windows), long_documents="windows").rank("query", DOCUMENTS)
    assert ranking == Reranker(OwnEncoder()).rank("query", DOCUMENTS)


def test_a_fingerprint_is_bytes() -> None:
    """A text would not tell the models in a cache apart as bytes do, and hashing it is an error of Python's own."""
    with pytest.raises(EncodingError, match="fingerprint of OwnEncoder is str, expected bytes"):
        Reranker(OwnEncoder(fingerprint="own")).rank("query", DOCUMENTS)


def test_half_an_encoder_is_none() -> None:
    """Both methods must be there when the reranker is made."""

    class QueriesOnly:
        def encode_queries(self, texts: Sequence[str]) -> list[np.ndarray]:
            return []

    with pytest.raises(InputTypeError, match="encoder is QueriesOnly, expected an Encoder"):
        Reranker(QueriesOnly())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("numbers", "scales", "error", "message"),
    [
        ([[1, 2]], np.ones(1, np.float32), InputTypeError, "numbers is list, expected an array of int8"),
        (
            np.ones((1, 2)),
            np.ones(1, np.float32),
            InputTypeError,
            "numbers is an array of float64, expected .* int8",
        ),
        (
            np.ones((1, 2), np.int8),
            np.ones(1),
            InputTypeError,
            "scales is an array of float64, expected .* float32",
        ),
        (
            np.ones(2, np.int8),
            np.ones(2, np.float32),
            ShapeError,
            r"numbers has shape \(2,\), expected \(tokens, dim\)",
        ),
        (
            np.ones((3, 2), np.int8),
            np.ones(2, np.float32),
            ShapeError,
            r"scales has shape \(2,\), expected \(3,\)",
        ),
        (np.ones((3, 2), np.int8), np.ones((3, 1), np.float32), ShapeError, r"scales has shape \(3, 1\)"),
    ],
)
def test_int8_rows_are_checked_when_they_are_made(
    numbers: Any, scales: Any, error: type[Exception], message: str
) -> None:
    """By hand, as a cache of the caller's does it: types and shapes of both arrays."""
    with pytest.raises(error, match=message):
        QuantizedRows(numbers, scales)
