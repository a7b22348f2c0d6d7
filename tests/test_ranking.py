"""The ranking: what comes first, and what is left out."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from laterank import Reranker, SqliteCache
from laterank.ranking import best

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
