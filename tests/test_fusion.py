"""Mixing with the first stage: the formulas, pure orders at both ends, ties, thresholds and bad input."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from laterank import InputError, InputTypeError, RankedDocument, Reranker
from laterank.fusion import Fusion, FusionKind, normalised, ranks

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = ["rings of Saturn", "Venus", "Mars is the Red Planet", "a planet", "Jupiter"]
RERANKER = Reranker.from_pretrained(GOLDEN / "bert-pylate", threads=1)
KINDS: tuple[FusionKind, ...] = ("rrf", "weighted")
NUMBERS = st.integers(-100_000, 100_000).map(lambda number: number / 64)  # far enough apart for float64
SCORES = st.lists(NUMBERS, min_size=1, max_size=30)


def order(values: Sequence[float]) -> list[int]:
    """Return positions, the highest value first, equal ones as they stand."""
    return sorted(range(len(values)), key=lambda position: -values[position])


def sums(values: Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def indexes(ranking: list[RankedDocument]) -> list[int]:
    return [place.index for place in ranking]


# --- the formulas ---------------------------------------------------------------------------------------------------


def test_equal_weights_add_reciprocal_ranks_as_the_paper_does() -> None:
    """Cormack et al. 2009: the sum of 1 / (60 + rank) over the rankings."""
    mixed = Fusion("rrf").of(sums([0.1, 0.9, 0.5]), None)
    expected = [1 / (60 + 3) + 1 / (60 + 1), 1 / (60 + 1) + 1 / (60 + 2), 1 / (60 + 2) + 1 / (60 + 3)]
    assert mixed.tolist() == pytest.approx(expected)


def test_weighted_scores_are_a_convex_combination_of_scaled_ones() -> None:
    """Bruch et al. 2023: each side scaled by its own least and greatest."""
    mixed = Fusion("weighted", 0.8).of(sums([10, 20, 15]), [3.0, 1.0, 2.0])
    assert mixed.tolist() == pytest.approx([0.2 * 1, 0.8 * 1, 0.8 * 0.5 + 0.2 * 0.5])


@given(SCORES)
def test_ranks_count_from_the_highest_score(scores: list[float]) -> None:
    """By the definition: one more than those before it."""
    expected = [0.0] * len(scores)
    for rank, position in enumerate(order(scores), start=1):
        expected[position] = rank
    assert ranks(np.array(scores)).tolist() == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_scaled_scores_span_0_to_1_and_keep_their_order(scores: list[float]) -> None:
    """Whatever the numbers, the largest there are included."""
    scaled = normalised(np.array(scores))
    assert all(0 <= value <= 1 for value in scaled)
    if len({score / 2 for score in scores}) > 1:
        assert (scaled.min(), scaled.max()) == (0, 1)
    for before, after in pairwise(order(scores)):
        assert scaled[before] >= scaled[after]


# --- the invariants -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(pairs=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_a_weight_of_0_or_1_gives_one_side_s_own_order(
    kind: FusionKind, pairs: list[tuple[float, float]]
) -> None:
    """Ties included: they stay as they stand."""
    mine, first = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert order(Fusion(kind, 1.0).of(sums(mine), first).tolist()) == order(mine)
    assert order(Fusion(kind, 0.0).of(sums(mine), first).tolist()) == order(first)
    assert order(Fusion("rrf", 0.0).of(sums(mine), None).tolist()) == list(range(len(mine)))


@pytest.mark.parametrize("kind", KINDS)
@given(scores=SCORES, weight=st.floats(0, 1))
def test_two_sides_that_agree_are_not_reordered(kind: FusionKind, scores: list[float], weight: float) -> None:
    """Whatever the weight, nothing that both put lower comes before; equal scores stay as they stand."""
    mixed = Fusion(kind, weight).of(sums(scores), scores).tolist()
    found = [mixed[position] for position in order(scores)]
    assert all(before >= after - 1e-12 for before, after in pairwise(found))


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_read_comes_last(kind: FusionKind) -> None:
    """Even where the first stage had it first, and at every weight."""
    for weight in (0.0, 0.5, 1.0):
        places = RERANKER.rank(
            QUERY,
            ["", "Mars", "Venus"],
            fusion=kind,
            fusion_weight=weight,
            first_stage_scores=[9.0, 2.0, 1.0],
        )
        assert places[-1] == RankedDocument(0, -1.0, 0.0)
        assert all(place.fused is not None and place.fused >= 0 for place in places)


# --- in a ranking ---------------------------------------------------------------------------------------------------


def test_a_ranking_is_sorted_by_what_was_mixed_and_keeps_its_scores() -> None:
    """score stays the reranker's, fused is what sorts."""
    alone = {place.index: place.score for place in RERANKER.rank(QUERY, DOCUMENTS)}
    for kind in KINDS:
        places = RERANKER.rank(QUERY, DOCUMENTS, fusion=kind, first_stage_scores=[5, 4, 3, 2, 1])
        assert {place.index: place.score for place in places} == alone
        fused = [place.fused for place in places if place.fused is not None]
        assert fused == sorted(fused, reverse=True)
        assert len(fused) == len(DOCUMENTS)
    assert all(place.fused is None for place in RERANKER.rank(QUERY, DOCUMENTS))


def test_the_order_given_is_the_first_stage_s_ranking() -> None:
    """Without scores, reciprocal ranks need no more."""
    by_order = RERANKER.rank(QUERY, DOCUMENTS, fusion="rrf", fusion_weight=0)
    assert indexes(by_order) == list(range(len(DOCUMENTS)))
    by_score = RERANKER.rank(
        QUERY, DOCUMENTS, fusion="rrf", fusion_weight=0, first_stage_scores=[1, 2, 3, 4, 5]
    )
    assert indexes(by_score) == [4, 3, 2, 1, 0]
    assert indexes(RERANKER.rank(QUERY, DOCUMENTS, fusion="rrf", fusion_weight=1)) == indexes(
        RERANKER.rank(QUERY, DOCUMENTS)
    )


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(len(DOCUMENTS))))
def test_scores_rank_alike_in_any_order(positions: list[int]) -> None:
    """With scores for every document, the order of the list plays no part."""
    scores = [0.3, 0.1, 0.5, 0.2, 0.4]
    expected = RERANKER.rank(QUERY, DOCUMENTS, fusion="weighted", first_stage_scores=scores)
    found = RERANKER.rank(
        QUERY,
        [DOCUMENTS[position] for position in positions],
        fusion="weighted",
        first_stage_scores=[scores[position] for position in positions],
    )
    assert [positions[place.index] for place in found] == indexes(expected)


def test_no_scale_changes_a_fused_ranking() -> None:
    """Raw MaxSim is mixed, whatever the score is given as."""
    options = {"fusion": "weighted", "first_stage_scores": [5, 4, 3, 2, 1]}
    total = Reranker(RERANKER.encoder, score="sum").rank(QUERY, DOCUMENTS, **options)  # type: ignore[arg-type]
    mean = RERANKER.rank(QUERY, DOCUMENTS, **options)  # type: ignore[arg-type]
    assert [(place.index, place.fused) for place in total] == [(place.index, place.fused) for place in mean]


def test_the_threshold_is_one_of_scores_and_comes_before_top_n() -> None:
    """What scores lower is left out wherever it is sorted, and top_n are kept of the rest."""
    alone = RERANKER.rank(QUERY, DOCUMENTS)
    threshold = alone[2].score
    passing = {place.index for place in alone if place.score >= threshold}
    everything = RERANKER.rank(QUERY, DOCUMENTS, fusion="rrf", fusion_weight=0)
    kept = RERANKER.rank(QUERY, DOCUMENTS, fusion="rrf", fusion_weight=0, score_threshold=threshold)
    assert kept == [place for place in everything if place.index in passing]
    two = RERANKER.rank(QUERY, DOCUMENTS, fusion="rrf", fusion_weight=0, score_threshold=threshold, top_n=2)
    assert two == kept[:2]


def test_many_queries_are_mixed_one_by_one() -> None:
    """Each with its own scores, empty lists included."""
    queries, lists = [QUERY, "Venus", "rings"], [DOCUMENTS, [], DOCUMENTS[:2]]
    scores: list[list[float]] = [[1, 2, 3, 4, 5], [], [2, 1]]
    expected = [
        RERANKER.rank(query, documents, fusion="weighted", first_stage_scores=given)
        for query, documents, given in zip(queries, lists, scores, strict=True)
    ]
    assert RERANKER.rank_many(queries, lists, fusion="weighted", first_stage_scores=scores) == expected


def test_numpy_scores_are_scores() -> None:
    """They often come out of an array."""
    scores = np.array([5, 4, 3, 2, 1], dtype=np.float32)
    found = RERANKER.rank(QUERY, DOCUMENTS, fusion="weighted", first_stage_scores=scores)  # type: ignore[arg-type]
    assert found == RERANKER.rank(QUERY, DOCUMENTS, fusion="weighted", first_stage_scores=scores.tolist())
    assert all(type(place.fused) is float for place in found)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fusion": "mean"}, InputError, "fusion is 'mean', expected one of 'rrf', 'weighted', or None"),
        ({"fusion": "rrf", "fusion_weight": 1.1}, InputError, "fusion_weight is 1.1, expected"),
        ({"fusion_weight": float("nan")}, InputError, "fusion_weight is nan"),
        ({"fusion": "rrf", "fusion_weight": True}, InputError, "fusion_weight is True"),
        ({"fusion": "weighted"}, InputError, 'mixes scores: pass first_stage_scores, or fusion="rrf"'),
        ({"first_stage_scores": [1, 2]}, InputError, "without a fusion"),
        ({"fusion": "rrf", "first_stage_scores": [1]}, InputError, "has 1 scores for 2 documents"),
        ({"fusion": "rrf", "first_stage_scores": [1, None]}, InputTypeError, r"scores\[1\] is None"),
        ({"fusion": "rrf", "first_stage_scores": [1, "2"]}, InputTypeError, r"scores\[1\] is '2'"),
        ({"fusion": "rrf", "first_stage_scores": [float("inf"), 2]}, InputError, r"scores\[0\] is inf"),
        ({"fusion": "rrf", "first_stage_scores": [10**400, 2]}, InputError, r"scores\[0\] is 10000"),
        ({"fusion": "rrf", "first_stage_scores": "12"}, InputTypeError, "first_stage_scores is str"),
    ],
)
def test_what_cannot_be_mixed_is_refused(
    options: dict[str, object], error: type[InputError], message: str
) -> None:
    """What was given, what was expected, and where."""
    with pytest.raises(error, match=message):
        RERANKER.rank(QUERY, ["Mars", "Venus"], **options)  # type: ignore[arg-type]


def test_lists_of_scores_are_named_by_their_query() -> None:
    """One list a query, each as long as its documents."""
    lists = [["Mars"], ["Venus", "rings"]]
    with pytest.raises(InputError, match="1 lists for 2 queries"):
        RERANKER.rank_many([QUERY, QUERY], lists, fusion="rrf", first_stage_scores=[[1]])
    with pytest.raises(InputTypeError, match=r"first_stage_scores\[1\]\[0\] is None"):
        RERANKER.rank_many([QUERY, QUERY], lists, fusion="rrf", first_stage_scores=[[1], [None, 2]])  # type: ignore[list-item]


def test_scores_of_many_queries_come_in_lists(tiny_reranker: Reranker) -> None:
    """One number for all of them is refused by name."""
    with pytest.raises(InputError, match="first_stage_scores is float, expected one list of numbers"):
        tiny_reranker.rank_many(["mars"], [["red"]], fusion="rrf", first_stage_scores=0.5)  # type: ignore[arg-type]
