"""The ranking: what comes first, and what is left out."""

import tracemalloc
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laterank import Reranker, SqliteCache
from laterank.cache.memory import ENTRY_OVERHEAD_BYTES
from laterank.ranking import best
from laterank.rows import QuantizedRows, StoredRows
from laterank.sums import _pieces

sums_of_a_few_values = st.lists(st.sampled_from([-np.inf, -2.0, 0.0, 0.5, 0.5000001, 3.0]), max_size=40)


@settings(deadline=None)
@given(sums_of_a_few_values, st.one_of(st.none(), st.integers(1, 50)))
def test_the_top_n_are_the_first_n_of_a_stable_sort(values: list[float], top_n: int | None) -> None:
    """Whatever is equal to the last of them, and with blank documents among them."""
    sums = np.array(values, dtype=np.float32)
    expected = sorted(range(len(sums)), key=lambda index: -sums[index])[:top_n]
    ranking = best(sums, sums.tolist(), top_n=top_n, score_threshold=None)
    assert [document.index for document in ranking] == expected
    assert [document.score for document in ranking] == [sums[index] for index in expected]


class NumberEncoder:
    """Makes the text "7" of seven rows' length, all of one direction, without a network."""

    name, fingerprint, dim = "numbers", b"numbers", 8

    def encode_queries(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.eye(4, 8, dtype=np.float32) for _ in texts]

    def encode_documents(self, texts: Sequence[str]) -> list[np.ndarray]:
        turns = [int(text) / 100_000 for text in texts]
        return [np.full((32, 8), turn, dtype=np.float32) for turn in turns]


def test_a_long_list_from_disk_is_ranked_in_the_memory_of_a_piece(tmp_path: Path) -> None:
    """20,000 documents of 1 KB, and never more at hand than a small part of their rows."""
    documents = [str(number) for number in range(20_000)]
    stored_bytes = 20_000 * 32 * (8 + 4)
    with SqliteCache(tmp_path / "rows", memory_bytes=0) as cache:
        reranker = Reranker(NumberEncoder(), cache=cache)
        reranker.warm(documents)
        reranker.rank("query", documents[:10])
        tracemalloc.start()
        try:
            ranking = reranker.rank("query", documents, top_n=3)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [document.index for document in ranking][:1] == [19_999]
    assert peak < stored_bytes


class WatchingCache(SqliteCache):
    """Counts how many of the rows that it gave are alive when it is asked for more."""

    def __init__(self, path: Path, *, memory_bytes: int) -> None:
        super().__init__(path, memory_bytes=memory_bytes)
        self.given: list[weakref.ref[object]] = []
        self.alive_and_asked: list[tuple[int, int]] = []

    def get_many(self, keys: Sequence[bytes]) -> list[StoredRows | None]:
        self.given = [rows for rows in self.given if rows() is not None]
        self.alive_and_asked.append((len(self.given), len(keys)))
        found = super().get_many(keys)
        self.given += [weakref.ref(rows.numbers) for rows in found if isinstance(rows, QuantizedRows)]
        return found


@pytest.mark.parametrize("memory_documents", [0, 50])
def test_rows_are_dropped_before_the_next_are_read(
    tmp_path: Path, memory_documents: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a piece's rows live, and those that the cache keeps in memory; the scores are those of one piece."""
    documents = [str(number) for number in range(3_000)]
    memory_bytes = memory_documents * (32 * (8 + 4) + ENTRY_OVERHEAD_BYTES)
    with WatchingCache(tmp_path / "rows", memory_bytes=memory_bytes) as cache:
        reranker = Reranker(NumberEncoder(), cache=cache)
        reranker.warm(documents)
        in_pieces = reranker.rank("query", documents, top_n=10)
        assert [asked for _, asked in cache.alive_and_asked] == [1024, 1024, 952]
        assert all(alive <= memory_documents for alive, _ in cache.alive_and_asked)
    monkeypatch.setattr("laterank.sums.DOCUMENTS_AT_ONCE", 3_000)
    with SqliteCache(tmp_path / "rows") as cache:
        assert Reranker(NumberEncoder(), cache=cache).rank("query", documents, top_n=10) == in_pieces


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 8), st.integers(1, 100))
def test_pieces_hold_every_text_and_no_more_than_they_may(
    sizes: list[int], documents: int, characters: int
) -> None:
    """In order; only a single longer text may have more characters."""
    texts = [" " * size for size in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("laterank.sums.DOCUMENTS_AT_ONCE", documents)
        patch.setattr("laterank.sums.CHARACTERS_AT_ONCE", characters)
        pieces = list(_pieces(texts))
    assert [text for piece in pieces for text in piece] == texts
    assert all(0 < len(piece) <= documents for piece in pieces)
    assert all(len(piece) == 1 or sum(map(len, piece)) <= characters for piece in pieces)
