"""How much two rankings, and two models, disagree."""

import json
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laterank import InputError, Reranker
from laterank.evaluation import Collection, Comparison, compare
from laterank.evaluation.agreement import kendall_tau, overlap, rank_biased_overlap

ITEMS = list("abcdefghijkl")
COLLECTION = Collection(
    "tiny",
    documents={
        "mars": "Mars is called the Red Planet.",
        "venus": "Venus is Earth's twin, a planet of heat.",
        "jupiter": "Jupiter has a <b>red</b> spot.",
        "rose": "A rose is a rose, and often red.",
    },
    queries={"1": "Which planet is <i>red</i>?", "2": "Which planet is hot?"},
)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Compare a model with itself cut to a number a token, which ranks otherwise whatever the model is."""
    whole, small = (Reranker.from_pretrained(truncate_dim=dim, threads=1) for dim in (None, 1))
    return compare(COLLECTION, {"whole": whole, "cut": small}, explained=2)


# --- two rankings -------------------------------------------------------------------------------------------------


@given(st.permutations(ITEMS), st.permutations(ITEMS))
def test_tau_counts_pairs_in_the_same_order(one: list[str], other: list[str]) -> None:
    """By its definition; and it is symmetric."""
    pairs = list(combinations(ITEMS, 2))
    same = [(one.index(a) < one.index(b)) == (other.index(a) < other.index(b)) for a, b in pairs]
    assert kendall_tau(one, other) == pytest.approx((2 * sum(same) - len(pairs)) / len(pairs))
    assert kendall_tau(one, other) == kendall_tau(other, one)
    assert kendall_tau(one, one[::-1]) == -1


@given(st.permutations(ITEMS), st.permutations(ITEMS), st.floats(0.1, 0.99))
def test_rank_biased_overlap_is_the_weighted_overlap_of_all_depths(
    one: list[str], other: list[str], persistence: float
) -> None:
    """RBO_ext of lists with the same documents is the infinite sum, where all deeper documents are common."""
    found = rank_biased_overlap(one, other, persistence=persistence)
    shares = [len({*one[:depth]} & {*other[:depth]}) / depth for depth in range(1, len(one) + 1)]
    weights = [(1 - persistence) * persistence ** (depth - 1) for depth in range(1, len(one) + 1)]
    rest = persistence ** len(one)  # what is deeper has all in common
    assert found == pytest.approx(sum(w * s for w, s in zip(weights, shares, strict=True)) + rest)
    assert rank_biased_overlap(one, one, persistence=persistence) == pytest.approx(1)


def test_the_first_documents_weigh_most() -> None:
    """Tau does not see where two documents change places."""
    above, below = ["b", "a", *ITEMS[2:]], [*ITEMS[:-2], "l", "k"]
    assert kendall_tau(ITEMS, above) == kendall_tau(ITEMS, below)
    assert rank_biased_overlap(ITEMS, above) < rank_biased_overlap(ITEMS, below) < 1


def test_overlap_is_the_share_of_common_documents() -> None:
    """Of the first, in any order; where there are fewer, of those that there are."""
    assert overlap(list("abcd"), list("bxay"), 2) == 0.5
    assert {overlap(list("abc"), order, 10) for order in permutations("abc")} == {1.0}
    assert (overlap([], [], 5), kendall_tau([], []), rank_biased_overlap([], [])) == (1, 1, 1)


@pytest.mark.parametrize(("one", "other"), [("ab", "a"), ("ab", "ac"), ("aab", "aab")])
def test_rankings_of_other_documents_are_refused(one: str, other: str) -> None:
    """Neither is defined for them."""
    for measure in (kendall_tau, rank_biased_overlap):
        with pytest.raises(InputError, match="the same ones in both"):
            measure(list(one), list(other))


# --- two models ---------------------------------------------------------------------------------------------------


def test_a_model_agrees_with_itself() -> None:
    """And there is nothing to explain."""
    reranker = Reranker.from_pretrained(threads=1)
    found = compare(COLLECTION, {"one": reranker, "other": reranker})
    assert found.means == pytest.approx(
        {"rank_biased_overlap": 1, "kendall_tau": 1, "overlap@2": 1, "same_best": 1}
    )
    assert found.disagreements == ()


@pytest.mark.parametrize(("depth", "top_k"), [(1, 1), (3, 1), (10, 5), (19, 9), (20, 10), (100, 10)])
def test_sets_of_the_first_are_smaller_than_what_both_sort(depth: int, top_k: int) -> None:
    """All candidates are the same ones in both rankings, so that their share says nothing."""
    texts = {f"d{number}": f"planet {number * 'red '}" for number in range(depth)}
    one, other = (Reranker.from_pretrained(truncate_dim=dim, threads=1) for dim in (None, 2))
    collection = Collection("deep", texts, {"q": "Which planet is red?"})
    found = compare(collection, {"one": one, "other": other}, run={"q": list(texts)}, explained=0)
    assert found.top_k == top_k
    assert f"overlap@{top_k}" in found.means
    assert f"| common of {top_k} |" in found.to_markdown()


def test_queries_with_hardly_any_candidates_are_told() -> None:
    """They raise the share of common documents, whatever the models do."""
    reranker = Reranker.from_pretrained(threads=1)
    run = {"1": ["rose", "mars", "venus", "jupiter"], "2": ["mars", "venus"]}
    found = compare(COLLECTION, {"a": reranker, "b": reranker}, run=run)
    assert found.notes == (
        "Queries with no more than 2 candidates, which are the first 2 of both models: 1, such as 2",
    )


def test_queries_come_by_how_much_they_differ(comparison: Comparison) -> None:
    """And the first of them are explained, each model's ranking as a change of the other's."""
    agreement = [query.rank_biased_overlap for query in comparison.queries]
    assert agreement == sorted(agreement)
    assert agreement[0] < 1
    for disagreement in comparison.disagreements:
        by_whole, by_cut = disagreement.explanations
        order = {place.index: place.after for place in (*by_cut.places, *by_cut.dropped)}
        assert sorted(order) == [0, 1, 2, 3]
        after = [place.explanation.document for place in by_whole.places]
        before = {place.index: place.explanation.document for place in by_cut.places}
        assert [before[index] for index in sorted(before)] == after  # before one is after the other


def test_every_face_says_the_same(comparison: Comparison, tmp_path: Path) -> None:
    """What comes from the collection is text on the page."""
    paths = [tmp_path / f"found{ending}" for ending in (".json", ".md", ".html")]
    comparison.save(*paths)
    data, tables, page = (path.read_text(encoding="utf-8") for path in paths)
    found = json.loads(data)
    assert found["means"] == pytest.approx(comparison.means, abs=1e-6)
    assert [query["id"] for query in found["queries"]] == [query.id for query in comparison.queries]
    assert f"| {comparison.queries[0].id} |" in tables
    assert f"{comparison.means['kendall_tau']:.3f}" in tables
    assert "&lt;i&gt;red&lt;/i&gt;" in page
    assert "<i>red" not in page
    assert "<b>red" not in page
    assert "<script" not in page
    assert f"query {comparison.queries[0].id}: before is cut, after is whole" in comparison.to_text(
        color=False
    )


def test_a_first_stage_of_the_callers_is_taken() -> None:
    """BM25 is not needed then."""
    reranker = Reranker.from_pretrained(threads=1)
    found = compare(COLLECTION, {"a": reranker, "b": reranker}, run={"1": ["rose", "mars"], "2": []}, top_k=1)
    assert [query.best for query in found.queries] == [("mars", "mars"), None]
    assert found.notes == ("Queries that the run has no documents for: 1, such as 2",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": "bundled"}, "there are 1 models, expected two"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 4}, "top_k is 4, and a query has 4 candidates at most"),
        ({"explained": -1}, "explained is -1"),
    ],
)
def test_what_cannot_be_compared_is_refused(options: dict[str, object], said: str) -> None:
    """With what was given."""
    with pytest.raises(InputError, match=said):
        compare(COLLECTION, **{"models": ["bundled", "bundled,truncate_dim=8"], **options})
