"""Ranking: the invariants, the cache, and bad input."""

import asyncio
import copy
import json
import pickle
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

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
    ProviderError,
    RankedDocument,
    Reranker,
    maxsim,
)
from laterank.cache.warming import Warmed


def scores_of(ranking: list[RankedDocument]) -> dict[int, float]:
    return {document.index: document.score for document in ranking}


def test_the_score_is_the_mean_of_maxsim(tiny_encoder: ColbertEncoder) -> None:
    """By default MaxSim is divided by the query's rows; score="sum" leaves it as the literature has it."""
    [query] = tiny_encoder.encode_queries([QUERY])
    sums = maxsim(query, tiny_encoder.encode_documents(DOCUMENTS[:4]))
    mean = scores_of(Reranker(tiny_encoder).rank(QUERY, DOCUMENTS[:4]))
    total = scores_of(Reranker(tiny_encoder, score="sum").rank(QUERY, DOCUMENTS[:4]))
    for index, expected in enumerate(sums):
        assert total[index] == pytest.approx(float(expected), abs=1e-5)
        assert mean[index] == pytest.approx(float(expected) / len(query), abs=1e-6)
        assert -1 <= mean[index] <= 1


def test_scores_are_plain_python_floats(tiny_reranker: Reranker) -> None:
    """numpy numbers break JSON and the LangGraph checkpointer."""
    ranking = tiny_reranker.rank(QUERY, DOCUMENTS)
    assert all(type(document.score) is float and type(document.index) is int for document in ranking)
    assert json.dumps([document.score for document in ranking])


def test_a_ranking_is_sorted_and_complete(tiny_reranker: Reranker) -> None:
    """Every document comes once, the best first."""
    ranking = tiny_reranker.rank(QUERY, DOCUMENTS)
    assert sorted(document.index for document in ranking) == list(range(len(DOCUMENTS)))
    assert [document.score for document in ranking] == sorted((d.score for d in ranking), reverse=True)


def test_ties_stay_in_the_callers_order(tiny_reranker: Reranker) -> None:
    """Equal documents keep the retriever's order."""
    ranking = tiny_reranker.rank(QUERY, ["mars", "venus", "mars", "mars"])
    assert [document.index for document in ranking if document.index != 1] == [0, 2, 3]


def test_duplicates_are_encoded_once(tiny_encoder: ColbertEncoder) -> None:
    """Ten copies of a document cost one, with the cache and without."""
    for cache in (True, False):
        encoder = CountingEncoder(tiny_encoder.files)
        ranking = Reranker(encoder, cache=cache).rank(QUERY, ["mars"] * 10 + ["venus"])
        assert sorted(encoder.asked) == ["mars", "venus"]
        assert len(ranking) == 11
        assert len({document.score for document in ranking if document.index < 10}) == 1


def test_cached_documents_are_not_encoded_again(tiny_encoder: ColbertEncoder) -> None:
    """The second call only looks up."""
    cache = MemoryCache()
    reranker = Reranker(tiny_encoder, cache=cache)
    first = reranker.rank(QUERY, DOCUMENTS)
    assert reranker.rank(QUERY, DOCUMENTS) == first
    stats = cache.stats()
    assert (stats.documents, stats.misses, stats.hits) == (5, 5, 5)


@settings(max_examples=30, deadline=None)
@given(
    st.permutations(range(len(DOCUMENTS))),
    st.booleans(),
    st.sampled_from([1, 40, 512]),
    st.sampled_from([1, 2]),
)
def test_order_cache_batches_and_threads_change_no_score(
    order: list[int], cached: bool, tokens_per_batch: int, threads: int
) -> None:
    """The invariants that a user relies on without knowing."""
    encoder = ColbertEncoder.from_pretrained(
        GOLDEN / "bert-pylate", threads=threads, tokens_per_batch=tokens_per_batch
    )
    reranker = Reranker(encoder, cache=cached)
    got = scores_of(reranker.rank(QUERY, [DOCUMENTS[position] for position in order]))
    expected = scores_of(REFERENCE.rank(QUERY, DOCUMENTS))
    for place, position in enumerate(order):
        assert got[place] == pytest.approx(expected[position], abs=2e-6)


REFERENCE = Reranker.from_pretrained(GOLDEN / "bert-pylate", threads=1)


def test_a_crowd_of_candidates_changes_no_score(tiny_reranker: Reranker) -> None:
    """10,000 candidates are ranked, and each one's score is the one that it has alone."""
    crowd = [f"planet number {number} is {'red ' * (number % 5)}" for number in range(10_000)]
    ranking = tiny_reranker.rank(QUERY, crowd, top_n=10)
    assert len(ranking) == 10
    for document in ranking:
        [alone] = tiny_reranker.rank(QUERY, [crowd[document.index]])
        assert alone.score == pytest.approx(document.score, abs=2e-6)


@pytest.mark.parametrize(
    "blank", ["", " ", "\n\t", "\u2003", "\u200b", "\x00\x0c", "\u00ad", "\ufeff \u202e"]
)
def test_blank_documents_rank_last(tiny_encoder: ColbertEncoder, blank: str) -> None:
    """An empty chunk has the lowest score there is, on both scales."""
    for score, lowest in (("mean", -1.0), ("sum", -32.0)):
        ranking = Reranker(tiny_encoder, score=score).rank(QUERY, [blank, "mars"])  # type: ignore[arg-type]
        assert ranking[-1] == RankedDocument(0, lowest)


def test_a_threshold_beyond_all_floats_is_one_beyond_all_scores(tiny_reranker: Reranker) -> None:
    """Python's whole numbers have no end."""
    assert tiny_reranker.rank(QUERY, DOCUMENTS, score_threshold=10**400) == []
    assert len(tiny_reranker.rank(QUERY, DOCUMENTS, score_threshold=-(10**400))) == len(DOCUMENTS)


def test_top_n_keeps_the_best(tiny_reranker: Reranker) -> None:
    """None means all, and more than there are is all."""
    everything = tiny_reranker.rank(QUERY, DOCUMENTS)
    assert tiny_reranker.rank(QUERY, DOCUMENTS, top_n=2) == everything[:2]
    assert tiny_reranker.rank(QUERY, DOCUMENTS, top_n=100) == everything


def test_the_threshold_leaves_out_lower_scores(tiny_reranker: Reranker) -> None:
    """A score equal to the threshold stays."""
    everything = tiny_reranker.rank(QUERY, DOCUMENTS)
    threshold = everything[2].score
    assert tiny_reranker.rank(QUERY, DOCUMENTS, score_threshold=threshold) == everything[:3]


def test_rank_many_is_rank_for_each(tiny_reranker: Reranker) -> None:
    """The batch form gives what the single form gives, empty lists included."""
    queries = [QUERY, "Venus", "rings"]
    lists = [DOCUMENTS, [], DOCUMENTS[2:4]]
    expected = [tiny_reranker.rank(query, documents) for query, documents in zip(queries, lists, strict=True)]
    assert tiny_reranker.rank_many(queries, lists) == expected
    assert tiny_reranker.rank_many([], []) == []


def test_no_documents_give_an_empty_ranking(tiny_reranker: Reranker) -> None:
    """A retriever that found nothing is no error."""
    assert tiny_reranker.rank(QUERY, []) == []


def test_the_callers_list_is_left_alone(tiny_reranker: Reranker) -> None:
    """Ranking sorts a list of its own."""
    documents = list(DOCUMENTS)
    tiny_reranker.rank(QUERY, documents)
    assert documents == DOCUMENTS


def test_warming_encodes_each_new_document_once(tiny_reranker: Reranker) -> None:
    """Any iterable works; blanks, duplicates and known documents cost nothing."""
    assert tiny_reranker.warm(text for text in [*DOCUMENTS, *DOCUMENTS]) == Warmed(12, 5, 0)
    assert tiny_reranker.warm(DOCUMENTS) == Warmed(6, 0, 5)
    assert tiny_reranker.cache is not None
    misses = tiny_reranker.cache.stats().misses
    tiny_reranker.rank(QUERY, DOCUMENTS)
    assert tiny_reranker.cache.stats().misses == misses


def test_warming_without_a_cache_is_refused(tiny_encoder: ColbertEncoder) -> None:
    """There is nothing to warm."""
    with pytest.raises(InputError, match="no cache"):
        Reranker(tiny_encoder, cache=False).warm(DOCUMENTS)


def test_threads_share_one_reranker(tiny_encoder: ColbertEncoder) -> None:
    """Eight threads with a small cache that evicts all the time get the single thread's scores."""
    reranker = Reranker(tiny_encoder, cache=MemoryCache(max_bytes=4000))
    expected = Reranker(tiny_encoder, cache=False).rank(QUERY, DOCUMENTS)
    with ThreadPoolExecutor(8) as executor:
        for ranking in executor.map(lambda _: reranker.rank(QUERY, DOCUMENTS), range(64)):
            assert [document.index for document in ranking] == [document.index for document in expected]
            assert [d.score for d in ranking] == pytest.approx([d.score for d in expected], abs=2e-6)


async def test_it_runs_beside_an_event_loop(tiny_reranker: Reranker) -> None:
    """In a thread, many calls at once give what one gives; a cancelled one harms no other."""
    expected = tiny_reranker.rank(QUERY, DOCUMENTS)
    tasks = [asyncio.create_task(asyncio.to_thread(tiny_reranker.rank, QUERY, DOCUMENTS)) for _ in range(12)]
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert all(result == expected for position, result in enumerate(results) if position != 3)


def test_pickled_and_copied_rerankers_rank_alike(tiny_reranker: Reranker) -> None:
    """A pickled one starts with an empty cache, a copied one shares encoder and cache."""
    expected = tiny_reranker.rank(QUERY, DOCUMENTS)
    restored = pickle.loads(pickle.dumps(tiny_reranker))
    assert [d.index for d in restored.rank(QUERY, DOCUMENTS)] == [d.index for d in expected]
    copied = copy.deepcopy(tiny_reranker)
    assert copied.encoder is tiny_reranker.encoder
    assert copied.cache is tiny_reranker.cache


def test_one_cache_serves_many_models(tiny_encoder: ColbertEncoder) -> None:
    """Models that share a cache never see each other's rows."""
    cache = MemoryCache()
    other = ColbertEncoder.from_pretrained(GOLDEN / "bert-stanford")
    for encoder in (tiny_encoder, other):
        shared = Reranker(encoder, cache=cache).rank(QUERY, DOCUMENTS)
        assert shared == Reranker(encoder, cache=False).rank(QUERY, DOCUMENTS)
    assert cache.stats().documents == 10


class BrokenCache:
    """A cache that gives rows of another model, or too few answers."""

    def __init__(self, answer: list[np.ndarray | None]) -> None:
        self.answer = answer

    def get_many(self, keys: Sequence[bytes]) -> list[np.ndarray | None]:
        return self.answer

    def put_many(self, documents: Mapping[bytes, np.ndarray]) -> None:
        pass

    def stats(self) -> CacheStats:
        return CacheStats(0, 0, None, 0, 0, 0)

    def clear(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([np.ones((3, 7), dtype=np.float32)], r"shape \(3, 7\) and float32, but .* makes 16 numbers"),
        ([np.ones(16, dtype=np.float32)], r"shape \(16,\)"),
        ([], "0 answers to 1 keys"),
        ([[[1.0]]], "the cache gave a list"),
        ([np.ones((3, 16), dtype=np.int8)], "int8"),
        ([np.full((3, 16), np.nan, dtype=np.float32)], "not finite"),
    ],
)
def test_a_cache_with_rows_of_another_size_is_refused(
    tiny_encoder: ColbertEncoder, answer: list[np.ndarray | None], message: str
) -> None:
    """A model whose dimension differs from its cache must not be scored with it."""
    with pytest.raises(CacheError, match=message):
        Reranker(tiny_encoder, cache=BrokenCache(answer)).rank(QUERY, ["mars"])


@pytest.mark.parametrize("query", ["", "  ", "\n", "\u200b"])
def test_a_blank_query_is_refused(tiny_reranker: Reranker, query: str) -> None:
    """There is nothing to rank by, and 32 mask tokens are no question."""
    with pytest.raises(InputError, match="is blank"):
        tiny_reranker.rank(query, DOCUMENTS)


@pytest.mark.parametrize(
    ("query", "documents", "message"),
    [
        (None, DOCUMENTS, "query is NoneType"),
        (b"mars", DOCUMENTS, "query is bytes"),
        (QUERY, ["mars", None, "venus"], r"documents\[1\] is NoneType"),
        (QUERY, ["mars", 3], r"documents\[1\] is int"),
        (QUERY, "mars", "documents is str, expected a sequence"),
        (QUERY, None, "documents is NoneType"),
        (QUERY, {"mars": 1}, "documents is dict"),
    ],
)
def test_wrong_types_are_named_with_their_position(
    tiny_reranker: Reranker, query: object, documents: object, message: str
) -> None:
    """What is no text is found and named before anything is encoded."""
    with pytest.raises(InputTypeError, match=message):
        tiny_reranker.rank(query, documents)  # type: ignore[arg-type]


@pytest.mark.parametrize("top_n", [0, -1])
def test_top_n_below_one_is_refused(tiny_reranker: Reranker, top_n: int) -> None:
    """-1 would quietly lose the last document."""
    with pytest.raises(InputError, match=f"top_n is {top_n}"):
        tiny_reranker.rank(QUERY, DOCUMENTS, top_n=top_n)


@pytest.mark.parametrize("top_n", [True, 1.5, "3"])
def test_top_n_of_another_type_is_refused(tiny_reranker: Reranker, top_n: object) -> None:
    """True is no number of documents."""
    with pytest.raises(InputTypeError, match="top_n is"):
        tiny_reranker.rank(QUERY, DOCUMENTS, top_n=top_n)  # type: ignore[arg-type]


def test_other_wrong_options_are_refused(tiny_encoder: ColbertEncoder, tiny_reranker: Reranker) -> None:
    """Each error shows what was given and what was expected."""
    with pytest.raises(InputError, match="score is 'average', expected one of 'mean', 'sum'"):
        Reranker(tiny_encoder, score="average")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="cache is dict"):
        Reranker(tiny_encoder, cache={})  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match=r"score_threshold is '0\.5'"):
        tiny_reranker.rank(QUERY, DOCUMENTS, score_threshold="0.5")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="2 queries and 1 lists"):
        tiny_reranker.rank_many([QUERY, QUERY], [DOCUMENTS])


def test_a_megabyte_of_text_is_ranked(tiny_reranker: Reranker) -> None:
    """A whole book as one document is cut, not refused, and memory stays small."""
    book = "Mars, known for its reddish appearance, is the Red Planet. " * 20_000
    ranking = tiny_reranker.rank(QUERY, [book, "venus"])
    assert {document.index for document in ranking} == {0, 1}


def test_lone_surrogates_are_ranked(tiny_reranker: Reranker) -> None:
    """Text cut in the middle of an emoji neither crashes nor meets another text in the cache."""
    ranking = tiny_reranker.rank("mars \ud83d", ["mars \ud83d", "mars \udc00", "mars"])
    assert len(ranking) == 3
    assert tiny_reranker.cache is not None
    assert tiny_reranker.cache.stats().documents == 3


def test_a_failing_document_loses_nothing(tiny_encoder: ColbertEncoder) -> None:
    """An error in the middle of a call leaves reranker and cache usable."""
    calls = threading.Event()

    class Failing(ColbertEncoder):
        def encode_documents(self, texts: Sequence[str]) -> list[np.ndarray]:
            if not calls.is_set():
                calls.set()
                raise RuntimeError("out of memory")
            return super().encode_documents(texts)

    reranker = Reranker(Failing(tiny_encoder.files))
    with pytest.raises(RuntimeError, match="out of memory"):
        reranker.rank(QUERY, DOCUMENTS)
    assert len(reranker.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)


def test_documents_that_several_queries_share_are_encoded_once(tiny_encoder: ColbertEncoder) -> None:
    """Without a cache, too, a passage that ten queries retrieved is encoded once."""
    encoder = CountingEncoder(tiny_encoder.files)
    rankings = Reranker(encoder, cache=False).rank_many(
        [QUERY, "Venus", "rings"], [["mars", "venus"], ["venus"], ["venus", "mars"]]
    )
    assert sorted(encoder.asked) == ["mars", "venus"]
    assert [len(ranking) for ranking in rankings] == [2, 1, 2]


def test_documents_whose_tokens_are_all_unscored_rank_last(tiny_encoder: ColbertEncoder) -> None:
    """A model that keeps certain tokens only may keep none of a document; that is no crash."""
    planet = tiny_encoder._tokenizer._vocabulary.encode(["planet"])[0].ids[0]
    encoder = ColbertEncoder.from_pretrained(
        GOLDEN / "bert-pylate", config={"keep_only_token_ids": (planet,)}
    )
    reranker = Reranker(encoder)
    for _ in range(2):  # encoded, then from the cache
        assert reranker.rank(QUERY, ["venus", "planet"])[-1] == RankedDocument(0, -1.0)


def test_candidates_are_worked_through_in_pieces(tiny_encoder: ColbertEncoder) -> None:
    """However many there are, no more than 1024 documents' rows are held at a time."""
    sizes: list[int] = []

    class Watching(ColbertEncoder):
        def encode_documents(self, texts: Sequence[str]) -> list[np.ndarray]:
            sizes.append(len(texts))
            return super().encode_documents(texts)

    Reranker(Watching(tiny_encoder.files), cache=False).rank(
        QUERY, [f"mars {number}" for number in range(3000)]
    )
    assert sum(sizes) == 3000
    assert max(sizes) <= 1024


@pytest.mark.parametrize(
    ("queries", "documents", "message"),
    [
        (["a b", "c d"], [["x"], ["y", None]], r"documents_per_query\[1\]\[1\] is NoneType"),
        (["a b"], None, "documents_per_query is NoneType"),
        (["a b", 3], [["x"], ["y"]], r"queries\[1\] is int"),
    ],
)
def test_a_wrong_text_among_many_queries_is_named(
    tiny_reranker: Reranker, queries: object, documents: object, message: str
) -> None:
    """Query and position of the culprit are both in the error."""
    with pytest.raises(InputTypeError, match=message):
        tiny_reranker.rank_many(queries, documents)  # type: ignore[arg-type]


def test_a_wrong_text_deep_in_a_corpus_is_named(tiny_reranker: Reranker) -> None:
    """Warming reads piece by piece and counts from the start all the same."""
    with pytest.raises(InputTypeError, match=r"documents\[1500\] is NoneType"):
        tiny_reranker.warm(["mars"] * 1500 + [None])  # type: ignore[list-item]
    with pytest.raises(InputTypeError, match="documents is NoneType"):
        tiny_reranker.warm(None)  # type: ignore[arg-type]


def test_numpy_numbers_are_numbers(tiny_reranker: Reranker) -> None:
    """top_n and threshold often come out of an array."""
    ranking = tiny_reranker.rank(QUERY, DOCUMENTS, top_n=np.int64(2), score_threshold=np.float32(-1))  # type: ignore[arg-type]
    assert len(ranking) == 2
    with pytest.raises(InputError, match="NaN"):
        tiny_reranker.rank(QUERY, DOCUMENTS, score_threshold=float("nan"))


def test_a_reranker_can_be_loaded_ahead(tiny_encoder: ColbertEncoder) -> None:
    """A service that loads at start-up finds a broken model then."""
    Reranker(tiny_encoder).load()
    broken = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers="NoSuchExecutionProvider")
    with pytest.raises(ProviderError):
        Reranker(broken).load()


def test_what_is_loaded_is_not_loaded_twice(tiny_encoder: ColbertEncoder) -> None:
    """Not after ``close`` either, where there are no workers to start."""

    class Counting(CountingEncoder):
        queries = 0

        def encode_queries(self, texts: Sequence[str]) -> list[np.ndarray]:
            self.queries += 1
            return super().encode_queries(texts)

    reranker = Reranker(counting := Counting(tiny_encoder.files))
    reranker.load()
    reranker.close()
    reranker.load()
    assert counting.queries == 1


def test_an_empty_cache_of_the_callers_is_used(tiny_encoder: ColbertEncoder) -> None:
    """A cache that counts as false while it is empty is a cache all the same."""
    cache = DictCache()
    Reranker(tiny_encoder, cache=cache).rank(QUERY, DOCUMENTS)
    assert len(cache) == 5


def test_many_queries_cost_what_they_ask_for(
    tiny_encoder: ColbertEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each document is scored once for each query that has it, and for no other."""
    from laterank import sums as module

    scored: list[int] = []
    monkeypatch.setattr(
        module, "maxsim", lambda query, rows, **_: scored.append(len(rows)) or maxsim(query, rows)
    )
    queries = [f"planet {number}" for number in range(300)]
    lists = [[f"mars {number} {place}" for place in range(5)] for number in range(300)]
    Reranker(tiny_encoder).rank_many(queries, lists)
    assert sum(scored) == 1500
    assert len(scored) <= 300 + 2


@pytest.mark.parametrize(("encoder", "cache"), [("bundled", True), (None, MemoryCache)])
def test_what_is_no_encoder_or_no_cache_is_refused(
    tiny_encoder: ColbertEncoder, encoder: object, cache: object
) -> None:
    """A model's name belongs to from_pretrained, and a class is no cache."""
    with pytest.raises(InputTypeError, match="expected"):
        Reranker(encoder or tiny_encoder, cache=cache)  # type: ignore[arg-type]


def test_a_deque_of_documents_is_a_sequence(tiny_reranker: Reranker) -> None:
    """Whatever has an order and a length will do."""
    from collections import deque

    assert tiny_reranker.rank(QUERY, deque(DOCUMENTS)) == tiny_reranker.rank(QUERY, DOCUMENTS)
    assert len(tiny_reranker.encoder.encode_documents(deque(DOCUMENTS))) == len(DOCUMENTS)
