"""Token pooling: the clusters by their definition, the rows, who shares a cache with whom, and explanations."""

import logging
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from support_frameworks import TINY_MODEL

from laterank import ColbertEncoder, InputError, MemoryCache, Reranker, SqliteCache
from laterank.encoding.token_pooling import pool_rows, ward_clusters
from laterank.evaluation.models import named_rerankers
from laterank.langchain import ColbertRerank as LangChainRerank
from laterank.llama_index import ColbertRerank as LlamaIndexRerank

Rows = NDArray[np.float32]

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Venus is close to the Sun, and Venus is hot.",
    "Mars is called the Red Planet. The soil of Mars is red.",
    "Saturn has rings.",
    "",
]


def unit_rows(tokens: int, dim: int, seed: int) -> Rows:
    """Return rows at unit length, some of them near each other, as tokens of one text are."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(tokens, dim)) + 0.7 * random.normal(size=(1, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def squared_error(rows: Rows, cluster: tuple[int, ...]) -> float:
    """Return the sum of squared distances to the cluster's mean."""
    own = rows[list(cluster)].astype(np.float64)
    return float(((own - own.mean(axis=0)) ** 2).sum())


def ward_by_definition(rows: Rows, count: int) -> set[tuple[int, ...]]:
    """Merge the two clusters that add least to the squared error, until there are ``count``."""
    clusters: list[tuple[int, ...]] = [(place,) for place in range(len(rows))]
    while len(clusters) > count:
        pairs = [(a, b) for place, a in enumerate(clusters) for b in clusters[place + 1 :]]
        added = [
            squared_error(rows, a + b) - squared_error(rows, a) - squared_error(rows, b) for a, b in pairs
        ]
        a, b = pairs[int(np.argmin(added))]
        clusters = [*(cluster for cluster in clusters if cluster not in (a, b)), tuple(sorted(a + b))]
    return set(clusters)


# --- clusters and rows ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(tokens=st.integers(0, 14), dim=st.integers(2, 8), factor=st.integers(1, 16), seed=st.integers(0, 99))
def test_clusters_are_those_of_wards_method(tokens: int, dim: int, factor: int, seed: int) -> None:
    """By its definition, without the recurrence."""
    rows = unit_rows(tokens, dim, seed)
    assert set(ward_clusters(rows, factor)) == ward_by_definition(rows, math.ceil(tokens / factor))


@pytest.mark.parametrize("factor", [2, 3, 8])
@pytest.mark.parametrize("tokens", [30, 180, 300])
def test_clusters_are_those_that_scipy_finds(tokens: int, factor: int) -> None:
    """A peer, at the size of real documents."""
    hierarchy = pytest.importorskip(
        "scipy.cluster.hierarchy", reason="comes with other packages of the tests"
    )
    rows = unit_rows(tokens, 96, seed=tokens)
    tree = hierarchy.linkage(rows.astype(np.float64), method="ward")
    labels = hierarchy.fcluster(tree, math.ceil(tokens / factor), criterion="maxclust")
    theirs = {tuple(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}
    assert set(ward_clusters(rows, factor)) == theirs


@settings(deadline=None, max_examples=60)
@given(tokens=st.integers(0, 40), factor=st.integers(1, 50), seed=st.integers(0, 99))
def test_pooled_rows_are_the_unit_means_of_their_clusters(tokens: int, factor: int, seed: int) -> None:
    """Every token is in one cluster, clusters come in the order of their first token, and rows have unit length."""
    rows = unit_rows(tokens, 8, seed)
    before = rows.copy()
    clusters, pooled = ward_clusters(rows, factor), pool_rows(rows, factor)
    np.testing.assert_array_equal(rows, before)
    assert pooled.dtype == np.float32
    assert len(clusters) == len(pooled) == math.ceil(tokens / factor)
    assert sorted(place for cluster in clusters for place in cluster) == list(range(tokens))
    assert [cluster[0] for cluster in clusters] == sorted(cluster[0] for cluster in clusters)
    for cluster, row in zip(clusters, pooled, strict=True):
        mean = rows[list(cluster)].mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)


def test_equal_rows_share_one_and_ties_go_to_the_first() -> None:
    """A repeated token costs nothing, and nothing is left to chance."""
    corners = np.eye(4, dtype=np.float32)
    assert ward_clusters(corners[[0, 1, 2, 0, 1, 3]], 2) == ((0, 3), (1, 4), (2, 5))
    assert ward_clusters(corners, 2) == (
        (0, 1, 2),
        (3,),
    )  # adding the third to two costs as much as pairing it
    assert ward_clusters(np.repeat(corners[:1], 5, axis=0), 2) == ((0, 1, 2), (3,), (4,))


def test_a_factor_of_one_is_no_pooling() -> None:
    """The very rows."""
    rows = unit_rows(9, 8, seed=1)
    assert pool_rows(rows, 1) is rows


# --- the encoder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("truncate_dim", [None, 8])
@pytest.mark.parametrize("name", ["bert-pylate", "xlmr-jina", "lighton"])
def test_an_encoder_pools_documents_and_no_queries(name: str, truncate_dim: int | None) -> None:
    """As they are pooled afterwards, truncated ones truncated before."""
    plain = ColbertEncoder.from_pretrained(GOLDEN / name, truncate_dim=truncate_dim)
    pooling = ColbertEncoder.from_pretrained(GOLDEN / name, truncate_dim=truncate_dim, pool_factor=2)
    assert (plain.pool_factor, pooling.pool_factor, pooling.dim) == (1, 2, plain.dim)
    [query], [pooled_query] = plain.encode_queries([QUERY]), pooling.encode_queries([QUERY])
    np.testing.assert_array_equal(query, pooled_query)
    for rows, pooled in zip(
        plain.encode_documents(DOCUMENTS), pooling.encode_documents(DOCUMENTS), strict=True
    ):
        np.testing.assert_array_equal(pooled, pool_rows(rows, 2))


@pytest.mark.parametrize("off", [None, 1])
def test_a_factor_of_one_changes_neither_rows_nor_keys(off: int | None) -> None:
    """A cache from before is read."""
    plain = ColbertEncoder.from_pretrained(TINY_MODEL)
    same = ColbertEncoder.from_pretrained(TINY_MODEL, pool_factor=off)
    assert same.fingerprint == plain.fingerprint
    for rows, expected in zip(
        same.encode_documents(DOCUMENTS), plain.encode_documents(DOCUMENTS), strict=True
    ):
        np.testing.assert_array_equal(rows, expected)


def test_batch_mates_do_not_change_a_pooled_row() -> None:
    """Alone, together, backwards: the same bits, or near ties could fall otherwise."""
    encoder = ColbertEncoder.from_pretrained(pool_factor=2)
    together, backwards = encoder.encode_documents(DOCUMENTS), encoder.encode_documents(DOCUMENTS[::-1])[::-1]
    for text, rows, again in zip(DOCUMENTS, together, backwards, strict=True):
        np.testing.assert_array_equal(rows, again)
        np.testing.assert_array_equal(rows, encoder.encode_documents([text])[0])


def test_worker_processes_pool_alike(caplog: pytest.LogCaptureFixture) -> None:
    """The option travels to them, and rows come back pooled."""
    texts = [f"{text} Number {number}. " * 30 for number in range(60) for text in DOCUMENTS[:3]]
    alone = ColbertEncoder.from_pretrained(TINY_MODEL, pool_factor=3)
    with (
        caplog.at_level(logging.WARNING),
        ColbertEncoder.from_pretrained(TINY_MODEL, pool_factor=3, workers=2) as encoder,
    ):
        encoder.start_workers()
        for rows, expected in zip(
            encoder.encode_documents(texts), alone.encode_documents(texts), strict=True
        ):
            np.testing.assert_array_equal(rows, expected)
    assert not [record for record in caplog.records if "worker" in record.message]


def test_a_pickled_encoder_pools_alike() -> None:
    """The factor travels with it."""
    encoder = ColbertEncoder.from_pretrained(TINY_MODEL, pool_factor=2)
    restored = pickle.loads(pickle.dumps(encoder))
    assert (restored.pool_factor, restored.fingerprint) == (2, encoder.fingerprint)


@pytest.mark.parametrize("wrong", [0, -1, True, 2.0, "2"])
def test_what_is_no_factor_is_refused(wrong: object) -> None:
    """With its name and what it may be."""
    with pytest.raises(
        InputError, match=r"pool_factor is .*, expected (a whole number of )?at least 1, or None"
    ):
        ColbertEncoder.from_pretrained(TINY_MODEL, pool_factor=wrong)  # type: ignore[arg-type]


# --- the reranker -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
def test_rows_of_different_factors_never_meet_in_a_cache(tmp_path: Path, storage: str) -> None:
    """One file serves all of them, and a warm call scores as a cold one."""
    rankings = set()
    with SqliteCache(tmp_path / "rows.sqlite", storage=storage) as cache:  # type: ignore[arg-type]
        for factor in (None, 2, 3):
            reranker = Reranker.from_pretrained(TINY_MODEL, pool_factor=factor, cache=cache)
            cold = reranker.rank(QUERY, DOCUMENTS)
            assert reranker.rank(QUERY, DOCUMENTS) == cold
            fresh = SqliteCache(tmp_path / f"{factor}.sqlite", storage=storage)  # type: ignore[arg-type]
            with fresh:
                assert Reranker(reranker.encoder, cache=fresh).rank(QUERY, DOCUMENTS) == cold
            rankings.add(tuple(cold))
        assert len(cache) == 9
    assert len(rankings) == 3


def test_a_pooled_reranker_warms_ranks_many_and_exits_early_alike() -> None:
    """Each is a way to the same scores."""
    encoder = ColbertEncoder.from_pretrained(TINY_MODEL, pool_factor=2)
    expected = Reranker(encoder, cache=False).rank(QUERY, DOCUMENTS)
    warmed = Reranker(encoder, cache=MemoryCache())
    assert warmed.warm(DOCUMENTS).encoded == 3
    assert warmed.rank(QUERY, DOCUMENTS, budget=1) == expected
    assert Reranker(encoder).rank_many([QUERY, QUERY], [DOCUMENTS, DOCUMENTS[::-1]])[0] == expected
    assert Reranker(encoder).rank(QUERY, DOCUMENTS, budget=len(DOCUMENTS)) == expected


def test_windows_are_pooled_each_for_itself() -> None:
    """A long document's score is that of its best window, pooled."""
    given = {"document_length": 16}
    reranker = Reranker.from_pretrained(
        TINY_MODEL, config=given, pool_factor=2, long_documents="windows", cache=False
    )
    long = " ".join(DOCUMENTS[:3])
    [place] = reranker.rank(QUERY, [long])
    assert place.window is not None
    start, end = place.window
    assert Reranker(reranker.encoder, cache=False).rank(QUERY, [long[start:end]])[0].score == place.score
    explanation = reranker.explain(QUERY, long)
    assert explanation.score == place.score
    assert explanation.document_reading.pooled is not None


@pytest.mark.parametrize("adapter", [LangChainRerank, LlamaIndexRerank])
def test_the_adapters_pool_too(adapter: type[LangChainRerank | LlamaIndexRerank]) -> None:
    """The option reaches the model, survives a dump, and refuses what is no factor."""
    reranker = adapter(model=TINY_MODEL, pool_factor=2)
    assert reranker.reranker.encoder.pool_factor == 2
    assert reranker.model_dump()["pool_factor"] == 2
    for wrong in (0, -1, True, "2"):
        with pytest.raises(ValidationError, match="pool_factor"):
            adapter(model=TINY_MODEL, pool_factor=wrong)


def test_a_model_of_the_command_line_may_pool() -> None:
    """Beside the same model without."""
    found = named_rerankers(["bundled,pool_factor=2,truncate_dim=48,threads=1"])
    [encoder] = [reranker.encoder for reranker in found.values()]
    assert (encoder.pool_factor, encoder.dim) == (2, 48)


def test_probabilities_are_refused_where_they_were_not_fitted() -> None:
    """A calibration is one of scores over a row a token."""
    assert Reranker.from_pretrained(score="probability", pool_factor=1).score == "probability"
    with pytest.raises(InputError, match="pool_factor is 2; use 'mean' or 'sum', or no pool_factor"):
        Reranker.from_pretrained(score="probability", pool_factor=2)


# --- explanations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [True, False])
def test_an_explanation_names_every_token_of_the_row_that_was_met(cache: bool) -> None:
    """No single token is shown for what several of them scored together."""
    plain = Reranker.from_pretrained()
    reranker = Reranker.from_pretrained(pool_factor=2, cache=cache)
    text = DOCUMENTS[1]
    [place] = reranker.rank(QUERY, [text])
    explanation = reranker.explain(QUERY, text)
    reading = explanation.document_reading
    assert reading.tokens == plain.explain(QUERY, text).document_reading.tokens
    assert reading.pooled is not None
    assert len(reading.pooled) == math.ceil(len(reading.tokens) / 2)
    assert explanation.score == place.score
    [document], [query] = plain.encoder.encode_documents([text]), plain.encoder.encode_queries([QUERY])
    for match, row in zip(explanation.matches, query, strict=True):
        assert match.positions in reading.pooled
        assert (match.position, match.document) == (match.positions[0], reading.tokens[match.positions[0]])
        mean = document[list(match.positions)].mean(axis=0)
        assert match.similarity == pytest.approx(float(row @ mean / np.linalg.norm(mean)), abs=0.02)
    assert sum(explanation.received) == pytest.approx(1)


def test_every_face_of_an_explanation_shows_pooled_tokens_together() -> None:
    """On a terminal, on a page and as data."""
    reranker = Reranker.from_pretrained(pool_factor=8)
    explanation = reranker.explain(QUERY, DOCUMENTS[1])
    match = next(match for match in explanation.matches if len(match.positions) > 1)
    tokens = explanation.met_by(match)
    assert tokens == tuple(explanation.document_reading.tokens[place] for place in match.positions)
    assert " + " in explanation.to_text(width=200)
    assert " + " in explanation.to_html()
    data = explanation.to_dict()
    row = explanation.matches.index(match)
    assert data["matches"][row]["positions"] == match.positions
    assert data["document_reading"]["pooled"] == explanation.document_reading.pooled
    ranking = reranker.explain_ranking(QUERY, DOCUMENTS)
    assert [place.index for place in reranker.rank(QUERY, DOCUMENTS)] == [
        place.index for place in ranking.places
    ]
    assert "→" in ranking.to_html()


def test_a_copied_model_pools_alike(copy_of: Callable[..., Path]) -> None:
    """The fingerprint is of files and settings, the factor among them."""
    one, other = (ColbertEncoder.from_pretrained(folder, pool_factor=2) for folder in (copy_of(), TINY_MODEL))
    assert one.fingerprint == other.fingerprint
