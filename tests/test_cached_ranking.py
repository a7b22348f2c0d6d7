"""Ranking through caches: no cache changes a ranking, and a warm call gives the cold call's very scores."""

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from support_ranking import DOCUMENTS, QUERY, CountingEncoder, DictCache

from laterank import (
    CacheError,
    CacheStats,
    ColbertEncoder,
    InputError,
    InputTypeError,
    MemoryCache,
    Reranker,
    SqliteCache,
)
from laterank.cache.warming import DOCUMENTS_AT_ONCE, Warmed

TOLERANCE = {"int8": 0.01, "float16": 0.001, "float32": 2e-6}
ENCODER = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=1)


@pytest.fixture
def counting() -> CountingEncoder:
    return CountingEncoder(ENCODER.files, threads=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", TOLERANCE)
@settings(max_examples=20, deadline=None)
@given(documents=st.lists(st.one_of(st.sampled_from(DOCUMENTS), st.text(max_size=40)), max_size=12))
def test_no_cache_changes_a_score(
    tmp_path_factory: pytest.TempPathFactory, storage: str, documents: list[str]
) -> None:
    """Without a cache, in memory, and on disk cold, warm and after a restart: alike, and from the disk identical."""
    uncached = Reranker(ENCODER, cache=False).rank(QUERY, documents)
    assert Reranker(ENCODER, cache=MemoryCache()).rank(QUERY, documents) == uncached
    path = tmp_path_factory.mktemp("cache") / "rows"
    with SqliteCache(path, storage=storage) as cache:  # type: ignore[arg-type]
        cold = Reranker(ENCODER, cache=cache).rank(QUERY, documents)
        assert Reranker(ENCODER, cache=cache).rank(QUERY, documents) == cold
    with SqliteCache(path, storage=storage, memory_bytes=0) as again:  # type: ignore[arg-type]
        for _ in range(2):
            assert Reranker(ENCODER, cache=again).rank(QUERY, documents[::-1]) == flipped(
                cold, len(documents)
            )
    expected = {ranked.index: ranked.score for ranked in uncached}
    assert {ranked.index: ranked.score for ranked in cold} == pytest.approx(expected, abs=TOLERANCE[storage])


def flipped(ranking: list, length: int) -> list:
    """Rank the reversed list by hand: mirrored positions, equal scores in the caller's order again."""
    mirrored = [replace(ranked, index=length - 1 - ranked.index) for ranked in ranking]
    return sorted(mirrored, key=lambda ranked: (-ranked.score, ranked.index))


def test_half_a_hit_list_scores_as_a_whole_one(path: Path) -> None:
    """Documents that were known and documents that are new meet in one ranking."""
    with SqliteCache(path) as cache:
        Reranker(ENCODER, cache=cache).rank(QUERY, DOCUMENTS[:2])
        mixed = Reranker(ENCODER, cache=cache).rank(QUERY, DOCUMENTS)
        assert Reranker(ENCODER, cache=cache).rank(QUERY, DOCUMENTS) == mixed


def test_what_the_cache_says_it_keeps_is_scored() -> None:
    """A cache of the caller's that rounds says so by what put_many gives, or not at all."""

    class Rounding(dict[bytes, np.ndarray]):
        says = True

        def get_many(self, keys: Sequence[bytes]) -> list[np.ndarray | None]:
            return [self.get(key) for key in keys]

        def put_many(self, documents: Mapping[bytes, np.ndarray]) -> Mapping[bytes, np.ndarray] | None:
            kept = {key: rows.round(1) for key, rows in documents.items()}
            self.update(kept)
            return kept if self.says else None

        def stats(self) -> CacheStats:
            return CacheStats(len(self), 0, None, 0, 0, 0)

    cache = Rounding()
    cold = Reranker(ENCODER, cache=cache).rank(QUERY, DOCUMENTS)
    assert Reranker(ENCODER, cache=cache).rank(QUERY, DOCUMENTS) == cold
    silent = Rounding()
    silent.says = False
    assert Reranker(ENCODER, cache=silent).rank(QUERY, DOCUMENTS) == Reranker(ENCODER, cache=None).rank(
        QUERY, DOCUMENTS
    )
    cache.put_many = lambda documents: [1]  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(CacheError, match="put_many of the cache gave list"):
        Reranker(ENCODER, cache=cache).rank(QUERY, ["new"])


# --- cache="path" ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_a_cache_on_disk(tmp_path: Path, kind: type, counting: CountingEncoder) -> None:
    """What one reranker encoded, the next finds, and folders are made on the way."""
    path = kind(tmp_path / "deep" / "er" / "rows.sqlite")
    first = Reranker(counting, cache=path).rank(QUERY, DOCUMENTS)
    assert len(counting.asked) == 5
    reranker = Reranker(counting, cache=path)
    assert reranker.rank(QUERY, DOCUMENTS) == first
    assert len(counting.asked) == 5
    assert isinstance(reranker.cache, SqliteCache)
    assert reranker.cache.path == Path(path)


def test_a_path_that_is_something_else_is_refused_at_once(tmp_path: Path) -> None:
    """When the reranker is made, with the path in the error."""
    with pytest.raises(CacheError, match="is a folder"):
        Reranker(ENCODER, cache=tmp_path)
    with pytest.raises(InputTypeError, match="cache is float, expected True, False, a path, or a cache"):
        Reranker(ENCODER, cache=1.5)  # type: ignore[arg-type]


def test_a_pickled_reranker_goes_on_with_the_same_file(path: Path) -> None:
    """What was encoded before is found by the restored one."""
    reranker = Reranker(ENCODER, cache=path)
    expected = reranker.rank(QUERY, DOCUMENTS)
    restored = pickle.loads(pickle.dumps(reranker))
    assert restored.rank(QUERY, DOCUMENTS) == expected
    assert restored.cache.stats().misses == 0


def test_models_share_a_file_and_keep_apart(path: Path, counting: CountingEncoder) -> None:
    """Another model, and the same one with truncated rows, never see each other's."""
    encoders = [
        counting,
        ColbertEncoder.from_pretrained(GOLDEN / "bert-stanford"),
        ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", truncate_dim=8),
    ]
    with SqliteCache(path, storage="float32") as cache:
        for encoder in encoders:
            shared = Reranker(encoder, cache=cache).rank(QUERY, DOCUMENTS)
            assert shared == Reranker(encoder, cache=False).rank(QUERY, DOCUMENTS)
        assert len(cache) == 15


def test_documents_without_a_scored_token_are_kept_too(path: Path) -> None:
    """A text that leaves no rows is no text that was never seen."""
    planet = ENCODER._tokenizer._vocabulary.encode(["planet"])[0].ids[0]
    encoder = ColbertEncoder.from_pretrained(
        GOLDEN / "bert-pylate", config={"keep_only_token_ids": (planet,)}
    )
    cold = Reranker(encoder, cache=path).rank(QUERY, ["venus", "planet"])
    warm = Reranker(encoder, cache=path)
    assert warm.rank(QUERY, ["venus", "planet"]) == cold
    assert warm.cache is not None
    assert warm.cache.stats().misses == 0


def test_a_damaged_document_is_encoded_again(path: Path) -> None:
    """The ranking is the same, and the file is whole afterwards."""
    import sqlite3

    with SqliteCache(path, memory_bytes=0) as cache:
        reranker = Reranker(ENCODER, cache=cache)
        expected = reranker.rank(QUERY, DOCUMENTS)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("UPDATE bodies SET body = zeroblob(length(body)) WHERE id <= 2")
        connection.close()
        assert reranker.rank(QUERY, DOCUMENTS) == expected
        misses = cache.stats().misses
        assert reranker.rank(QUERY, DOCUMENTS) == expected
        assert cache.stats().misses == misses


def test_threads_share_one_file(path: Path) -> None:
    """Eight threads with a file that evicts all the time get one thread's scores."""
    with SqliteCache(path, max_bytes=3000, memory_bytes=2000) as cache:
        reranker = Reranker(ENCODER, cache=cache)
        expected = reranker.rank(QUERY, DOCUMENTS)
        with ThreadPoolExecutor(8) as executor:
            for ranking in executor.map(lambda _: reranker.rank(QUERY, DOCUMENTS), range(48)):
                assert ranking == expected


def test_processes_share_one_file(path: Path) -> None:
    """Each of them prints the same ranking, whoever encoded the documents."""
    program = f"""
import sys
from laterank import Reranker
reranker = Reranker.from_pretrained({str(GOLDEN / "bert-pylate")!r}, threads=1, cache=sys.argv[1])
for _ in range(5):
    print([(ranked.index, ranked.score) for ranked in reranker.rank({QUERY!r}, {DOCUMENTS!r})])
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = {line for worker in workers for line in worker.communicate(timeout=240)[0].splitlines()}
    assert [worker.returncode for worker in workers] == [0] * 3
    assert len(printed) == 1


# --- warming --------------------------------------------------------------------------------------------------------


def test_warming_goes_on_where_it_was_interrupted(path: Path, counting: CountingEncoder) -> None:
    """What is in the file is not encoded again, nor read."""
    corpus = [f"mars {number}" for number in range(3 * DOCUMENTS_AT_ONCE)]

    def interrupted() -> Iterator[str]:
        yield from corpus[: 2 * DOCUMENTS_AT_ONCE + 5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Reranker(counting, cache=path).warm(interrupted())
    assert len(counting.asked) == 2 * DOCUMENTS_AT_ONCE
    again = Reranker(counting, cache=path)
    assert again.warm(corpus) == Warmed(3 * DOCUMENTS_AT_ONCE, DOCUMENTS_AT_ONCE, 2 * DOCUMENTS_AT_ONCE)
    assert sorted(counting.asked) == sorted(corpus)
    assert again.warm(corpus).encoded == 0
    assert again.cache is not None
    assert (again.cache.stats().hits, again.cache.stats().misses) == (0, 0)


def test_warming_brings_back_what_another_process_dropped(path: Path, counting: CountingEncoder) -> None:
    """Memory still has it and ranks with it; but only what is in the file outlives the process."""
    with SqliteCache(path) as cache, SqliteCache(path) as elsewhere:
        reranker = Reranker(counting, cache=cache)
        cold = reranker.rank(QUERY, DOCUMENTS)
        elsewhere.clear()
        counting.asked.clear()
        assert reranker.rank(QUERY, DOCUMENTS) == cold
        assert counting.asked == []
        readable = len(DOCUMENTS) - 1
        assert reranker.warm(DOCUMENTS) == Warmed(len(DOCUMENTS), encoded=readable)
        assert reranker.warm(DOCUMENTS) == Warmed(len(DOCUMENTS), known=readable)
    counting.asked.clear()
    with SqliteCache(path) as restarted:
        assert Reranker(counting, cache=restarted).rank(QUERY, DOCUMENTS) == cold
    assert counting.asked == []


def test_warming_reads_no_further_than_it_must() -> None:
    """An endless or huge iterable is taken piece by piece."""
    taken = 0

    def corpus() -> Iterator[str]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield f"mars {number % 7}"

    held: list[int] = []
    Reranker(ENCODER).warm(corpus(), progress=lambda done: held.append(taken - done.documents))
    assert held == [0, 0, 0, 0]


def test_warming_tells_how_far_it_is(path: Path) -> None:
    """A function is given the counts so far, the last of which is the result."""
    told: list[Warmed] = []
    corpus = [f"mars {number}" for number in range(300)] + ["mars 0", ""]
    result = Reranker(ENCODER, cache=path).warm(corpus, progress=told.append)
    assert told == [Warmed(256, 256, 0), Warmed(302, 300, 1)]
    assert result == told[-1]


def test_the_bar_is_for_terminals(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a log file or a test there is none, whatever was asked for."""
    Reranker(ENCODER, cache=path).warm(DOCUMENTS, progress=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals of another kind")
def test_on_a_terminal_the_bar_is_shown(path: Path) -> None:
    """It counts documents, and knows how many there are where that can be known."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    program = (
        "import sys; from laterank import Reranker\n"
        f"reranker = Reranker.from_pretrained({str(GOLDEN / 'bert-pylate')!r}, threads=1, cache=sys.argv[1])\n"
        "reranker.warm(['mars', 'venus'], progress=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], stderr=follower, check=False, timeout=120
    )
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert done.returncode == 0, shown
    assert "warming: 100%" in shown
    assert "2/2" in shown


def test_warming_any_cache_skips_what_it_has(counting: CountingEncoder) -> None:
    """A cache that cannot tell what it has without giving it is asked for the rows."""
    for cache in (DictCache(), MemoryCache()):
        reranker = Reranker(counting, cache=cache)
        assert reranker.warm(DOCUMENTS) == Warmed(6, 5, 0)
        assert reranker.warm(DOCUMENTS) == Warmed(6, 0, 5)


def test_a_cache_too_small_for_the_corpus_is_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise warming would look done, and the queries would encode all the same."""
    corpus = [f"mars {number}" for number in range(600)]
    with SqliteCache(path, max_bytes=20_000) as cache, caplog.at_level(logging.WARNING, logger="laterank"):
        Reranker(ENCODER, cache=cache).warm(corpus)
    assert "documents that were warmed are not in the cache any more" in caplog.text


@pytest.mark.parametrize(
    ("documents", "options", "error", "message"),
    [
        ("mars", {}, InputTypeError, "documents is str"),
        (None, {}, InputTypeError, "documents is NoneType"),
        (
            ["mars"],
            {"progress": "yes"},
            InputTypeError,
            "progress is 'yes', expected True, False or a function",
        ),
        (["mars", 7], {}, InputTypeError, r"documents\[1\] is int"),
    ],
)
def test_what_cannot_be_warmed_is_named(
    documents: object, options: dict[str, object], error: type[InputError], message: str
) -> None:
    """Before anything is encoded."""
    with pytest.raises(error, match=message):
        Reranker(ENCODER).warm(documents, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("hint", [-1, "many", ZeroDivisionError("no idea")])
@pytest.mark.parametrize("method", ["__len__", "__length_hint__"])
def test_a_length_that_is_none_is_unknown(method: str, hint: object) -> None:
    """It is for the bar alone."""

    def tell(self: object) -> object:
        if isinstance(hint, Exception):
            raise hint
        return hint

    corpus = type("Corpus", (), {"__iter__": lambda self: iter(["mars", "venus"]), method: tell})()
    assert Reranker(ENCODER).warm(corpus, progress=True).documents == 2


def test_warming_huge_documents_holds_few_at_a_time() -> None:
    """A piece has as many documents as two million characters, and one that alone has more."""
    taken = 0

    def corpus() -> Iterator[str]:
        nonlocal taken
        for number in range(8):
            taken += 1
            yield f"{number} mars is red " * 100_000

    held: list[int] = []
    done = Reranker(ENCODER).warm(corpus(), progress=lambda done: held.append(taken - done.documents))
    assert done.documents == 8
    assert held == [0] * 4
