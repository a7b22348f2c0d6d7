"""Alignment, shares and movement, against their definitions."""

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from laterank import CacheError, ColbertEncoder, InputError, InputTypeError, MemoryCache, Reranker
from laterank.explanation import Explanation, Token
from laterank.explanation.alignment import align, shares
from laterank.scale import ScoreKind

CopyOf = Callable[..., Path]

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "ما هو الكوكب الأحمر؟ 🚀",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    """Return the model that is in the package."""
    return Reranker.from_pretrained(threads=1)


def unit_rows(seed: int, count: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(seed=st.integers(0, 1000), queries=st.integers(1, 6), documents=st.integers(1, 9))
def test_each_row_meets_the_token_that_is_most_like_it(seed: int, queries: int, documents: int) -> None:
    """The definition, with loops: the first document row of the highest dot product."""
    query, document = unit_rows(seed, queries), unit_rows(seed + 1, documents)
    tokens = [Token(str(number), "text", number, number + 1) for number in range(9)]
    matches = align(query, document, query_tokens=tokens[:queries], document_tokens=tokens[:documents])
    for row, match in enumerate(matches):
        products = [float(np.dot(query[row], document[column])) for column in range(documents)]
        assert match.similarity == pytest.approx(max(products), abs=1e-6)
        assert products[match.position] == pytest.approx(max(products), abs=1e-6)
        assert (match.query, match.document) == (tokens[row], tokens[match.position])


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40))
def test_shares_add_up_to_one(similarities: list[float]) -> None:
    """A row below zero has none; where no row is above zero, nobody has any."""
    found = shares(similarities)
    assert all(0 <= share <= 1 for share in found)
    assert sum(found) == pytest.approx(1 if any(one > 0 for one in similarities) else 0, abs=1e-6)
    assert all(share == 0 for share, one in zip(found, similarities, strict=True) if one <= 0)


@pytest.mark.parametrize("score", ["mean", "sum", "probability"])
@pytest.mark.parametrize("cached", [True, False])
def test_the_score_is_that_of_the_ranking(score: ScoreKind, cached: bool, copy_of: CopyOf) -> None:
    """To the last bit, on every scale, for blank documents too."""
    folder = copy_of()
    content = {"coefficients": [9.0, 0.5, -1.0], "intercept": -4.0, "fitted_on": "made up for a test"}
    content |= {"format": 1, "features": ["mean", "log_query_tokens", "interaction"]}
    (folder / "calibration.json").write_text(json.dumps(content), encoding="utf-8")
    model = Reranker.from_pretrained(folder, threads=1, cache=cached, score=score)
    for place in model.rank(QUERY, DOCUMENTS):
        found = model.explain(QUERY, DOCUMENTS[place.index])
        assert found.score == place.score
        assert found.scale == score


def test_similarities_add_up_to_raw_maxsim(reranker: Reranker) -> None:
    """And shares to one, over the rows and over the document's tokens."""
    found = reranker.explain(QUERY, DOCUMENTS[2])
    assert sum(match.similarity for match in found.matches) == pytest.approx(found.maxsim, abs=1e-4)
    assert found.score == pytest.approx(found.maxsim / len(found.matches), abs=1e-6)
    assert sum(match.share for match in found.matches) == pytest.approx(1)
    assert sum(found.received) == pytest.approx(1)
    assert len(found.received) == len(found.document_reading.tokens)


def test_words_meet_words(reranker: Reranker) -> None:
    """Characters of the query and of the document, as the caller wrote them."""
    found = reranker.explain(QUERY, DOCUMENTS[2])
    met = {match.query.of(QUERY): match.document.of(DOCUMENTS[2]) for match in found.matches}
    assert met["Red"] == "Red"
    assert met["Planet"] == "Planet"


def test_expansion_rows_are_explained_too(tiny_reranker: Reranker) -> None:
    """They are scored like the query's own words."""
    found = tiny_reranker.explain("red planet", "the red planet")
    roles = [match.query.role for match in found.matches]
    assert len(roles) == 32
    assert roles.count("expansion") > 10


def test_a_document_without_text_has_the_lowest_score_and_no_matches(reranker: Reranker) -> None:
    """As in a ranking; none of the faces fails."""
    for document in ("", " \n", "\u200b"):
        found = reranker.explain(QUERY, document)
        assert (found.score, found.maxsim, found.matches) == (-1.0, None, ())
        assert set(found.received) <= {0.0}
        assert "nothing to read" in str(found)
        assert "nothing to read" in found.to_html()
        assert json.loads(json.dumps(found.to_dict()))["maxsim"] is None


def test_a_documents_rows_come_from_the_cache(reranker: Reranker) -> None:
    """What was ranked is explained without being encoded again."""
    cache = MemoryCache()
    model = Reranker(reranker.encoder, cache=cache)
    model.rank(QUERY, DOCUMENTS)
    before = cache.stats().misses
    model.explain_ranking(QUERY, DOCUMENTS)
    assert cache.stats().misses == before


def test_rows_of_another_tokenizer_are_refused(reranker: Reranker) -> None:
    """A cache that holds other rows would put words to the wrong numbers."""

    class Shortened(MemoryCache):
        def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
            return [rows[:-1] if rows is not None else None for rows in super().get_many(keys)]

    model = Reranker(reranker.encoder, cache=Shortened())
    model.warm(DOCUMENTS)
    with pytest.raises(CacheError, match="clear the cache"):
        model.explain(QUERY, DOCUMENTS[2])


def test_an_encoder_that_cannot_tell_its_tokens_is_named() -> None:
    """The error says what it lacks."""

    class Remote:
        name, fingerprint, dim = "remote", b"1", 4

        def encode_queries(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
            return [unit_rows(1, 3) for _ in texts]

        encode_documents = encode_queries

    with pytest.raises(InputError, match=r"Remote has no methods read_query\(\)"):
        Reranker(Remote()).explain("query", "document")


@pytest.mark.parametrize(("query", "document"), [("", "a"), (3, "a"), ("a", None), ("a", ["b"])])
def test_what_is_no_text_is_refused(reranker: Reranker, query: object, document: object) -> None:
    """As in ``rank``."""
    with pytest.raises(InputError):
        reranker.explain(query, document)  # type: ignore[arg-type]


def test_plain_data_is_json_and_slices_the_texts(reranker: Reranker) -> None:
    """Every span in the data cuts its characters out of the strings in the data."""
    document = "Mönéy 返金 \ud83d <b>\0</b> e\u0301 👩\u200d🚀"
    data = json.loads(json.dumps(reranker.explain(QUERY, document).to_dict()))
    for match in data["matches"]:
        for side in ("query", "document"):
            token = match[side]
            expected = data[side][token["start"] : token["end"]] if token["role"] == "text" else ""
            assert token["characters"] == expected
    assert [token["role"] for token in data["document_reading"]["tokens"]][:2] == ["start", "marker"]


def test_an_explanation_is_pickled_and_equal(reranker: Reranker) -> None:
    """It is a value, made of plain values."""
    found = reranker.explain(QUERY, DOCUMENTS[2])
    assert isinstance(found, Explanation)
    assert pickle.loads(pickle.dumps(found)) == found == reranker.explain(QUERY, DOCUMENTS[2])
    assert {type(match.similarity) for match in found.matches} == {float}


@settings(max_examples=40, deadline=None)
@given(query=st.text(min_size=1, max_size=20), document=st.text(max_size=30))
def test_any_text_can_be_explained(tiny_encoder: ColbertEncoder, query: str, document: str) -> None:
    """On every face."""
    model = Reranker(tiny_encoder)
    try:
        found = model.explain(query, document)
    except InputError:  # a blank query
        return
    assert str(found)
    found.to_html().encode()
    assert json.dumps(found.to_dict())


# --- rankings -------------------------------------------------------------------------------------------------------


def test_a_ranking_says_who_moved(reranker: Reranker) -> None:
    """Ranks count from 1, up is above zero, and the order is that of ``rank``."""
    found = reranker.explain_ranking(QUERY, DOCUMENTS)
    order = [place.index for place in reranker.rank(QUERY, DOCUMENTS)]
    assert [place.index for place in found.places] == order
    assert [place.after for place in found.places] == [1, 2, 3, 4, 5]
    assert [place.before for place in found.places] == [index + 1 for index in order]
    assert found.places[0].moved == 2
    assert sum(place.moved for place in found.places) == 0
    assert found.dropped == ()


def test_what_dropped_out_is_shown(reranker: Reranker) -> None:
    """Documents that were among the first before and are no longer."""
    found = reranker.explain_ranking(QUERY, DOCUMENTS, top_n=2)
    assert [place.index for place in found.places] == [2, 4]
    assert {place.index for place in found.dropped} == {0, 1}
    assert all(place.after > 2 for place in found.dropped)


def test_a_reason_is_what_sets_a_document_apart(reranker: Reranker) -> None:
    """Its similarity less the average of the same row over the documents shown, blank ones left out."""
    found = reranker.explain_ranking(QUERY, DOCUMENTS)
    explanations = [place.explanation for place in found.places if place.explanation.matches]
    for place in found.places:
        for reason in place.reasons:
            row = place.explanation.matches.index(reason.match)
            usual = np.mean([one.matches[row].similarity for one in explanations])
            assert reason.difference == pytest.approx(reason.match.similarity - usual)
        differences = [abs(reason.difference) for reason in place.reasons]
        assert differences == sorted(differences, reverse=True)
    assert found.places[-1].reasons == ()


def test_one_document_or_none_is_a_ranking(reranker: Reranker) -> None:
    """Alone, nothing sets a document apart."""
    [place] = reranker.explain_ranking(QUERY, DOCUMENTS[:1]).places
    assert (place.moved, place.reasons) == (0, ())
    empty = reranker.explain_ranking(QUERY, [])
    assert empty.places == ()
    assert "no documents" in str(empty)
    assert "no documents" in empty.to_html()
    blank = reranker.explain_ranking(QUERY, ["", " "])
    assert [place.index for place in blank.places] == [0, 1]


def test_duplicates_keep_their_places(reranker: Reranker) -> None:
    """The same text twice is two documents."""
    found = reranker.explain_ranking(QUERY, [DOCUMENTS[0], DOCUMENTS[2], DOCUMENTS[0]])
    assert [place.index for place in found.places] == [1, 0, 2]


def test_a_ranking_as_plain_data(reranker: Reranker) -> None:
    """JSON, with each reason's row."""
    data = json.loads(json.dumps(reranker.explain_ranking(QUERY, DOCUMENTS, top_n=2).to_dict()))
    assert data["documents"] == 5
    place = data["places"][0]
    assert (place["index"], place["before"], place["after"], place["moved"]) == (2, 3, 1, 2)
    reason = place["reasons"][0]
    assert place["explanation"]["matches"][reason["row"]]["query"] == reason["query"]


def test_top_n_is_checked(reranker: Reranker) -> None:
    """As in ``rank``."""
    with pytest.raises(InputError, match="top_n"):
        reranker.explain_ranking(QUERY, DOCUMENTS, top_n=0)
    with pytest.raises(InputTypeError, match=r"documents\[1\]"):
        reranker.explain_ranking(QUERY, ["a", None])  # type: ignore[list-item]
    with pytest.raises(InputTypeError, match=r"document is NoneType, expected a string"):
        reranker.explain(QUERY, None)  # type: ignore[arg-type]
