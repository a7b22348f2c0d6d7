"""The memory cache: what it keeps, what it forgets, and that it cannot be spoilt from outside."""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laterank import DocumentCache, InputError, MemoryCache
from laterank.cache.memory import ENTRY_OVERHEAD_BYTES
from laterank.rows import QuantizedRows, as_float32

DIM = 4


def rows(length: int, value: float = 1.0) -> np.ndarray:
    return np.full((length, DIM), value, dtype=np.float32)


def cost(length: int) -> int:
    return length * DIM * 4 + ENTRY_OVERHEAD_BYTES


def test_what_is_put_comes_back() -> None:
    """Known keys give their rows, unknown ones None, in the order asked."""
    cache = MemoryCache()
    cache.put_many({b"a": rows(2, 1), b"b": rows(3, 2)})
    found = cache.get_many([b"b", b"x", b"a", b"b"])
    assert [None if one is None else one.shape for one in found] == [(3, DIM), None, (2, DIM), (3, DIM)]
    stats = cache.stats()
    assert (stats.documents, stats.hits, stats.misses, stats.size_bytes) == (2, 3, 1, cost(2) + cost(3))


def test_the_least_recently_used_goes_first() -> None:
    """A look-up keeps a document alive."""
    cache = MemoryCache(max_bytes=cost(2) * 2)
    cache.put_many({b"a": rows(2), b"b": rows(2)})
    cache.get_many([b"a"])
    cache.put_many({b"c": rows(2)})
    assert [one is not None for one in cache.get_many([b"a", b"b", b"c"])] == [True, False, True]
    assert cache.stats().evictions == 1


def test_a_document_larger_than_the_cache_is_not_kept() -> None:
    """It does not push everything else out either."""
    cache = MemoryCache(max_bytes=cost(4))
    cache.put_many({b"a": rows(2)})
    cache.put_many({b"huge": rows(1000)})
    assert [one is not None for one in cache.get_many([b"a", b"huge"])] == [True, False]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20)), max_size=80), st.integers(300, 3000))
def test_the_bound_holds_and_the_count_is_right(puts: list[tuple[int, int]], max_bytes: int) -> None:
    """Whatever is put, bytes stay under the bound and equal what is held."""
    cache = MemoryCache(max_bytes=max_bytes)
    for key, length in puts:
        cache.put_many({bytes([key]): rows(length)})
        held = [one for one in cache.get_many([bytes([number]) for number in range(10)]) if one is not None]
        stats = cache.stats()
        assert stats.size_bytes == sum(cost(len(one)) for one in held) <= max_bytes
        assert stats.documents == len(held)


def test_what_is_held_cannot_be_changed_from_outside() -> None:
    """Neither the array that was put nor the one that comes back is a way in."""
    cache, mine = MemoryCache(), rows(2)
    cache.put_many({b"a": mine})
    mine[:] = 9
    [held] = cache.get_many([b"a"])
    assert held is not None
    assert held[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        held[0, 0] = 9


def test_a_slice_does_not_keep_its_large_parent_alive() -> None:
    """A view of a batch would keep the whole batch in memory, uncounted."""
    cache = MemoryCache()
    cache.put_many({b"a": rows(1000)[:2]})
    [held] = cache.get_many([b"a"])
    assert held is not None
    assert held.base is None


@pytest.mark.parametrize(("given", "kept"), [("f2", "f2"), ("f4", "f4"), ("f8", "f4"), (">f4", "f4")])
def test_floats_are_kept_in_what_they_are_scored_in(given: str, kept: str) -> None:
    """float16 as it is, everything else as float32."""
    cache = MemoryCache()
    cache.put_many({b"a": rows(2).astype(given)})
    [held] = cache.get_many([b"a"])
    assert held is not None
    assert held.dtype == np.dtype(kept)
    np.testing.assert_array_equal(held, rows(2))


def test_int8_rows_are_kept_as_they_are_and_cannot_be_changed() -> None:
    """They cost what they hold, and share nothing with arrays that can still be written to."""
    numbers, scales = np.ones((3, DIM), np.int8), np.full(3, 0.5, np.float32)
    cache = MemoryCache()
    cache.put_many({b"a": QuantizedRows(numbers, scales)})
    numbers[:] = scales[:] = 9
    [held] = cache.get_many([b"a"])
    assert isinstance(held, QuantizedRows)
    np.testing.assert_array_equal(as_float32(held), rows(3, 0.5))
    assert cache.stats().size_bytes == 3 * (DIM + 4) + ENTRY_OVERHEAD_BYTES


def test_a_part_of_a_file_does_not_keep_the_rest_alive() -> None:
    """Rows that were read over a large buffer are copied out of it; over bytes of their own they are not."""
    own, large = bytes(4 * 2 * DIM), bytes(4 * 1000 * DIM)
    cache = MemoryCache()
    cache.put_many(
        {key: np.ndarray((2, DIM), np.float32, held) for key, held in ((b"o", own), (b"l", large))}
    )
    bases = [found.base for found in cache.get_many([b"o", b"l"]) if isinstance(found, np.ndarray)]
    assert bases[0] is own
    assert bases[1] is not large


def test_clear_forgets_documents() -> None:
    """The counters go on, the documents are gone."""
    cache = MemoryCache()
    cache.put_many({b"a": rows(2)})
    cache.clear()
    assert (cache.get_many([b"a"]), cache.stats().size_bytes) == ([None], 0)


def test_threads_share_it() -> None:
    """Concurrent puts and gets lose no count and raise nothing."""
    cache, failures = MemoryCache(max_bytes=cost(3) * 20), []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(300):
                key = bytes([int(rng.integers(60))])
                cache.put_many({key: rows(3, key[0])})
                for found in cache.get_many([key]):
                    assert found is None or found[0, 0] == key[0]
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert cache.stats().size_bytes == cache.stats().documents * cost(3) <= cost(3) * 20


def test_pickling_carries_the_bound_and_copies_share() -> None:
    """A pickled cache is empty; a deep copy is the same cache."""
    cache = MemoryCache(max_bytes=12345)
    cache.put_many({b"a": rows(2)})
    restored = pickle.loads(pickle.dumps(cache))
    assert (restored.max_bytes, restored.stats().documents) == (12345, 0)
    assert copy.deepcopy(cache) is cache


def test_it_follows_the_protocol() -> None:
    """Anything with these four methods can take its place."""
    assert isinstance(MemoryCache(), DocumentCache)


def test_a_numpy_number_is_a_bound() -> None:
    """As it comes out of an array of settings; it stays an ordinary number."""
    assert type(MemoryCache(max_bytes=np.int64(1000)).max_bytes) is int  # type: ignore[arg-type]


@pytest.mark.parametrize("max_bytes", [0, -1, True, np.True_, 1.5, np.float64(2), None, "1"])
def test_a_bound_that_is_no_size_is_refused(max_bytes: object) -> None:
    """The error shows what was given."""
    with pytest.raises(InputError, match="max_bytes is"):
        MemoryCache(max_bytes=max_bytes)  # type: ignore[arg-type]


def test_an_interrupted_put_leaves_the_count_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of an eviction must not make the bound leak."""
    cache = MemoryCache(max_bytes=cost(2) * 2)
    cache.put_many({b"a": rows(2), b"b": rows(2)})
    forget = cache._forget

    def interrupted(key: bytes) -> None:
        forget(key)
        if key == b"a":
            raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_forget", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.put_many({b"c": rows(2)})
    monkeypatch.undo()
    stats = cache.stats()
    assert stats.size_bytes == stats.documents * cost(2) <= cache.max_bytes


def test_a_signal_handler_may_look_at_the_cache_that_it_interrupted() -> None:
    """The same thread enters twice; a plain lock would never open again."""
    cache = MemoryCache()
    with cache._lock:
        assert cache.stats().documents == 0
