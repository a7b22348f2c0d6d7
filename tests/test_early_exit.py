"""Early exit: which candidates are encoded, what comes behind them, and that nothing changes where nothing is asked for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.schema import NodeWithScore, TextNode
from support_ranking import CountingEncoder

from laterank import ColbertEncoder, InputError, InputTypeError, MemoryCache, Reranker, SqliteCache
from laterank.early_exit import LEAST_AT_ONCE, EarlyExit
from laterank.langchain import ColbertRerank
from laterank.llama_index import ColbertRerank as ColbertNodeRerank

QUERY = "Which planet is red?"
DOCUMENTS = [f"Planet {number} of {number % 13} is {number * 7 % 11} red" for number in range(40)]


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder(ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate").files, threads=1)


def indices(ranking: Sequence[object]) -> list[int]:
    return [place.index for place in ranking]  # type: ignore[attr-defined]


# --- the rules ------------------------------------------------------------------------------------------------------

SCORES = st.lists(st.integers(0, 20), max_size=40)
"""Few different values, so that equal ones are common."""


def exit_one_by_one(scores: list[int], free: set[int], rule: EarlyExit) -> set[int]:
    """Return what is scored by the rules as they are stated, one document at a time."""
    scored, passed_over, encoded = set(free), 0, 0
    for document, score in enumerate(scores):
        if document in free:
            continue
        if rule.budget is not None and encoded == rule.budget:
            break
        if rule.patience is not None and passed_over >= rule.patience:
            break
        best = sorted((scores[known] for known in scored), reverse=True)[: rule.top_n]
        scored.add(document)
        encoded += 1
        entered = rule.top_n is None or len(best) < rule.top_n or score > best[-1]
        passed_over = 0 if entered else passed_over + 1
    return scored


@settings(max_examples=300)
@given(
    scores=SCORES,
    free=st.sets(st.integers(0, 39)),
    top_n=st.integers(1, 6),
    budget=st.none() | st.integers(1, 30),
    patience=st.none() | st.integers(1, 12),
)
def test_documents_are_scored_together_as_they_would_be_one_by_one(
    scores: list[int], free: set[int], top_n: int, budget: int | None, patience: int | None
) -> None:
    """Never one fewer, and at most as many more as one small batch has; each once, from the front."""
    free = {document for document in free if document < len(scores)}
    rule = EarlyExit(top_n, budget, patience)
    asked: list[str] = []

    def score(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return np.array([scores[int(text)] for text in texts], dtype=np.float32)

    found = rule.score([str(number) for number in range(len(scores))], {str(n) for n in free}, score)
    assert found == {text: scores[int(text)] for text in asked}
    assert len(asked) == len(found)
    least, scored = exit_one_by_one(scores, free, rule), {int(text) for text in found}
    assert least <= scored
    assert len(scored) - len(least) < LEAST_AT_ONCE
    encoded = sorted(scored - free)
    assert encoded == [number for number in range(len(scores)) if number not in free][: len(encoded)]
    assert budget is None or len(encoded) <= budget


@given(scores=SCORES, top_n=st.integers(1, 6))
def test_without_a_limit_that_is_reached_everything_is_scored(scores: list[int], top_n: int) -> None:
    """Limits as large as the list change nothing."""
    rule = EarlyExit(top_n, max(len(scores), 1), max(len(scores), 1))
    texts = [str(number) for number in range(len(scores))]
    assert len(rule.score(texts, (), lambda some: np.array([scores[int(text)] for text in some]))) == len(
        texts
    )


# --- rankings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 7, 39])
def test_a_budget_bounds_what_is_encoded(encoder: CountingEncoder, budget: int) -> None:
    """The first ones are ranked as they would be alone; the others follow in their order, and say that they were not read."""
    ranking = Reranker(encoder, cache=False).rank(QUERY, DOCUMENTS, budget=budget)
    assert encoder.asked == DOCUMENTS[:budget]
    alone = Reranker(encoder, cache=False).rank(QUERY, DOCUMENTS[:budget])
    assert ranking[:budget] == alone
    assert indices(ranking[budget:]) == list(range(budget, len(DOCUMENTS)))
    assert {(place.score, place.scored) for place in ranking[budget:]} == {(-1.0, False)}


def test_patience_ends_after_documents_that_stayed_out(encoder: CountingEncoder) -> None:
    """The best two come first, so that patience starts with the third document."""
    whole = Reranker(encoder).rank(QUERY, DOCUMENTS)
    ordered = [DOCUMENTS[place.index] for place in whole]
    encoder.asked.clear()
    ranking = Reranker(encoder, cache=False).rank(QUERY, ordered, top_n=2, patience=10)
    assert encoder.asked == ordered[:12]
    assert indices(ranking) == [0, 1]
    assert [place.score for place in ranking] == [place.score for place in whole[:2]]


def test_no_limit_that_is_reached_changes_a_ranking(encoder: CountingEncoder) -> None:
    """Nor the scores, nor their order."""
    documents = [*DOCUMENTS, "", DOCUMENTS[3]]
    exact = Reranker(encoder).rank(QUERY, documents, top_n=9)
    assert Reranker(encoder).rank(QUERY, documents, top_n=9, budget=40, patience=40) == exact


def test_what_is_cached_is_scored_and_costs_nothing(encoder: CountingEncoder, tmp_path: Path) -> None:
    """Wherever it stands; the budget is for the others. With a cache in memory, on disk, or one that cannot say."""

    class Plain:
        """A cache with no more than the four methods."""

        def __init__(self) -> None:
            self._kept = MemoryCache()
            self.get_many, self.put_many = self._kept.get_many, self._kept.put_many
            self.stats, self.clear = self._kept.stats, self._kept.clear

    for cache in (MemoryCache(), SqliteCache(tmp_path / "rows.sqlite"), Plain()):
        reranker = Reranker(encoder, cache=cache)  # type: ignore[arg-type]
        reranker.warm(DOCUMENTS[30:])
        encoder.asked.clear()
        ranking = reranker.rank(QUERY, DOCUMENTS, budget=5)
        assert encoder.asked == DOCUMENTS[:5]
        assert sorted(indices([place for place in ranking if place.scored])) == [*range(5), *range(30, 40)]
        assert indices(ranking[15:]) == list(range(5, 30))


@pytest.mark.parametrize("lost_in", ["a clear", "a file that is too small"])
def test_what_only_memory_has_costs_nothing_either(
    encoder: CountingEncoder, tmp_path: Path, lost_in: str
) -> None:
    """Whether another process dropped it from the file, or the file never took it."""
    path, most = tmp_path / "rows.sqlite", 1 if lost_in == "a file that is too small" else 1 << 30
    with SqliteCache(path, max_bytes=most) as cache, SqliteCache(path) as elsewhere:
        reranker = Reranker(encoder, cache=cache)
        reranker.rank(QUERY, DOCUMENTS[30:])
        elsewhere.clear()
        encoder.asked.clear()
        ranking = reranker.rank(QUERY, DOCUMENTS, budget=5)
        assert encoder.asked == DOCUMENTS[:5]
        assert sorted(indices([place for place in ranking if place.scored])) == [*range(5), *range(30, 40)]


def test_blank_documents_come_behind_those_that_were_not_scored(encoder: CountingEncoder) -> None:
    """They were read, and there was nothing; a repetition is scored with its first."""
    documents = ["", *DOCUMENTS[:3], DOCUMENTS[0]]
    ranking = Reranker(encoder).rank(QUERY, documents, budget=1)
    assert indices(ranking) == [1, 4, 2, 3, 0]
    assert [place.scored for place in ranking] == [True, True, False, False, True]


def test_what_was_not_scored_reaches_no_threshold(encoder: CountingEncoder) -> None:
    """Not even the lowest."""
    ranking = Reranker(encoder).rank(QUERY, DOCUMENTS, budget=3, score_threshold=-1.0)
    assert sorted(indices(ranking)) == [0, 1, 2]


def test_every_query_of_many_has_its_own_limit(encoder: CountingEncoder) -> None:
    """And finds what an earlier one had encoded."""
    queries, lists = [QUERY, "Which planet has rings?"], [DOCUMENTS[:20], DOCUMENTS[2:30]]
    rankings = Reranker(encoder).rank_many(queries, lists, budget=4)
    assert encoder.asked == [*DOCUMENTS[:4], *DOCUMENTS[4:8]]
    assert [sum(place.scored for place in ranking) for ranking in rankings] == [4, 6]


def test_both_adapters_have_the_limits(encoder: CountingEncoder) -> None:
    """They are options of a call: a shared reranker may have other ones elsewhere."""
    reranker = Reranker(encoder, cache=False)
    expected = indices(reranker.rank(QUERY, DOCUMENTS, top_n=3, budget=20, patience=6))
    encoder.asked.clear()
    chain = ColbertRerank(reranker=reranker, top_n=3, budget=20, patience=6)
    assert [result["index"] for result in chain.rerank(DOCUMENTS, QUERY)] == expected
    asked, encoder.asked = encoder.asked, []
    assert len(asked) <= 20
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(at))) for at, text in enumerate(DOCUMENTS)]
    step = ColbertNodeRerank(reranker=reranker, top_n=3, budget=20, patience=6)
    found = step.postprocess_nodes(nodes, query_str=QUERY)
    assert [int(node.node.node_id) for node in found] == expected
    assert encoder.asked == asked


@pytest.mark.parametrize("name", ["budget", "patience"])
def test_limits_are_counts(tiny_reranker: Reranker, name: str) -> None:
    """Errors name the option."""
    with pytest.raises(InputError, match=f"{name} is 0, expected at least 1"):
        tiny_reranker.rank(QUERY, DOCUMENTS, top_n=3, **{name: 0})
    with pytest.raises(InputTypeError, match=f"{name} is 'x', expected a whole number"):
        tiny_reranker.rank(QUERY, DOCUMENTS, top_n=3, **{name: "x"})


def test_patience_needs_to_know_how_many_are_wanted(tiny_reranker: Reranker) -> None:
    """Without top_n no document stays out."""
    with pytest.raises(InputError, match="patience is 5 and top_n is None"):
        tiny_reranker.rank(QUERY, DOCUMENTS, patience=5)


# --- with windows ---------------------------------------------------------------------------------------------------

LONG = " ".join(f"Moon {number} is far away, and its {number % 7} seas are cold." for number in range(40))


def test_limits_count_documents_that_are_read_in_windows_once(encoder: CountingEncoder) -> None:
    """Each is read whole or not at all, so that a budget means as many documents whatever their lengths."""
    documents = [LONG, *DOCUMENTS[:6], f"{LONG} The end."]
    alone = Reranker(encoder, cache=False, long_documents="windows").rank(QUERY, documents[:4])
    assert encoder.asked[:1] != [LONG]
    encoder.asked.clear()
    ranking = Reranker(encoder, cache=False, long_documents="windows").rank(QUERY, documents, budget=4)
    assert ranking[:4] == alone
    assert [(place.index, place.scored, place.window) for place in ranking[4:]] == [
        (index, False, None) for index in (4, 5, 6, 7)
    ]


def test_windows_of_one_document_do_not_stay_out_of_the_best(encoder: CountingEncoder) -> None:
    """Patience counts documents, and one document takes one place however good its windows are."""
    exact = Reranker(encoder, cache=False, long_documents="windows")
    documents = [*DOCUMENTS[:3], LONG, *DOCUMENTS[3:9]]
    whole = [documents[place.index] for place in exact.rank(QUERY, documents)]
    shortest_patience = exact.rank(QUERY, whole, top_n=4, patience=2)
    assert shortest_patience == exact.rank(QUERY, whole, top_n=4)
    encoder.asked.clear()
    last = exact.rank(QUERY, [LONG, *whole], top_n=1, patience=3)
    assert last == exact.rank(QUERY, [LONG, *whole[:6]], top_n=1)


def test_a_document_of_which_some_windows_are_cached_counts_as_unread(encoder: CountingEncoder) -> None:
    """Its score would be another one with the rest; it is free once all of them are there."""
    reranker = Reranker(encoder, long_documents="windows")
    exact = reranker.rank(QUERY, [LONG])
    windows = [LONG[start:end] for [found] in [encoder.document_windows([LONG])] for start, end in found]
    partly = Reranker(encoder, long_documents="windows")
    partly.warm(windows[:2])
    encoder.asked.clear()
    first, last = partly.rank(QUERY, [DOCUMENTS[0], LONG], budget=1)
    assert (first.index, first.scored, last.index, last.scored) == (0, True, 1, False)
    partly.warm([LONG])
    found = {place.index: place for place in partly.rank(QUERY, [DOCUMENTS[1], LONG], budget=1)}
    assert (found[1].score, found[1].window) == (exact[0].score, exact[0].window)
    assert found[0].scored


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
@pytest.mark.parametrize("policy", ["truncate", "windows"])
def test_what_is_scored_has_the_score_of_a_whole_ranking(
    encoder: CountingEncoder, tmp_path: Path, storage: str, policy: str
) -> None:
    """Under limits, from any storage, cold, warm and after a restart; an explanation says the same."""
    path, documents = tmp_path / "rows.sqlite", [*DOCUMENTS[:9], LONG, "", *DOCUMENTS[9:20]]

    def reranker() -> Reranker:
        return Reranker(encoder, cache=SqliteCache(path, storage=storage), long_documents=policy)  # type: ignore[arg-type]

    limited = reranker().rank(QUERY, documents, top_n=20, budget=12, patience=9)
    cold, warm = (shared := reranker()).rank(QUERY, documents), shared.rank(QUERY, documents)
    restarted = reranker()
    assert restarted.rank(QUERY, documents) == warm == cold
    scores = {place.index: (place.score, place.window, place.truncated) for place in cold}
    for place in limited:
        if place.scored:
            assert (place.score, place.window, place.truncated) == scores[place.index]
            assert restarted.explain(QUERY, documents[place.index]).score == place.score
    assert not all(place.scored for place in limited)


def test_what_was_not_read_is_not_said_to_be_cut(encoder: CountingEncoder) -> None:
    """Nor is it tokenised to find out, which a limit is there to save."""
    ranking = Reranker(encoder, cache=False).rank(QUERY, [DOCUMENTS[0], LONG], budget=1)
    assert [(place.index, place.scored, place.truncated) for place in ranking] == [
        (0, True, False),
        (1, False, False),
    ]
