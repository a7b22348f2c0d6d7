"""Calibrated relevance: the file, the map, and probabilities through every way in."""

import json
import math
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import GOLDEN, TINY_MODELS, edit_json
from hub_server import HubModel, HubServer
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import ValidationError
from support_frameworks import TINY_MODEL

from laterank import ColbertEncoder, InputError, ModelFormatError, RankedDocument, Reranker, maxsim
from laterank.langchain import ColbertRerank as LangChainRerank
from laterank.llama_index import ColbertRerank as LlamaIndexRerank
from laterank.model import hub
from laterank.model.calibration import Calibration, read_calibrations
from laterank.model.files import find_model

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = ["Venus is close to the Sun.", "Mars is called the Red Planet.", "Saturn has rings.", ""]
COMMIT = "c" * 40
CONTENT: dict[str, Any] = {
    "format": 1,
    "features": ["mean", "log_query_tokens", "interaction"],
    "coefficients": [9.0, 0.5, -1.0],
    "intercept": -4.0,
    "fitted_on": "made up for a test",
    "expected_calibration_error": 0.02,
}
DIMS = {
    "12": {"coefficients": [8.0, 0.0, 0.0], "intercept": -3.0},
    "8": {"features": ["mean"], "coefficients": [5.0], "intercept": -1.0},
}


def write(folder: Path, **changes: Any) -> Path:
    """Write a calibration into a model's folder."""
    path = folder / "calibration.json"
    path.write_text(json.dumps(CONTENT | changes), encoding="utf-8")
    return path


@pytest.fixture
def calibrated(copy_of: Callable[..., Path]) -> Path:
    """Return a tiny model of 16 numbers with a calibration for all of them, for 12 and for 8."""
    folder = copy_of()
    edit_json(folder / "config_sentence_transformers.json", matryoshka_dims=[12, 8])
    write(folder, dims=DIMS)
    return folder


def definition(mean: float, tokens: int, coefficients: list[float], intercept: float) -> float:
    """Return Platt's sigmoid of the three features."""
    z = (
        coefficients[0] * mean
        + coefficients[1] * math.log(tokens)
        + coefficients[2] * mean * math.log(tokens)
    )
    return 1 / (1 + math.exp(-z - intercept))


def scores_of(ranking: list[RankedDocument]) -> dict[int, float]:
    return {document.index: document.score for document in ranking}


# --- the map --------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=8),
    st.integers(1, 512),
    st.integers(1, 512),
    st.floats(0.1, 50),
    st.floats(-5, 5),
    st.floats(-20, 20),
)
def test_a_higher_score_is_never_less_probable(
    means: list[float], rows: int, tokens: int, slope_of_one: float, slope_of_many: float, intercept: float
) -> None:
    """Whatever passes the check of the slope keeps the order of one query's documents."""
    interaction = (max(slope_of_many, 0.01) - slope_of_one) / math.log(512) * 0.999
    coefficients = (slope_of_one, 0.3, interaction)
    features = ("mean", "log_query_tokens", "interaction")
    calibration = Calibration(features=features, coefficients=coefficients, intercept=intercept)
    sums = np.sort(np.array(means) * rows)
    probabilities = calibration.probability(sums, rows, tokens)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities) >= 0).all()
    expected = [definition(total / rows, tokens, list(coefficients), intercept) for total in sums]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-9)


def test_infinities_stay_in_range() -> None:
    """Nothing to score is 0, and extreme log-odds neither overflow nor warn."""
    calibration = Calibration(features=("interaction", "mean"), coefficients=(-100.0, 1e6), intercept=5.0)
    assert calibration.probability([-np.inf, -32.0, 32.0], 32, 9).tolist() == [0.0, 0.0, 1.0]


def test_a_query_longer_than_any_fitted_one_counts_as_the_longest() -> None:
    """Beyond 512 tokens an interaction could turn the slope around."""
    falling = Calibration(features=("mean", "interaction"), coefficients=(6.3, -1.0), intercept=0.0)
    sums = np.array([100.0, 200.0])
    np.testing.assert_array_equal(falling.probability(sums, 8000, 8000), falling.probability(sums, 8000, 512))
    assert np.diff(falling.probability(sums, 8000, 8000)) > 0


@pytest.mark.parametrize(
    ("features", "coefficients"),
    [
        (("mean",), (-1.0,)),
        (("mean",), (0.0,)),
        (("log_query_tokens",), (1.0,)),
        (("mean", "interaction"), (6.0, -1.0)),  # 6 - ln 512 < 0
        (("mean", "interaction"), (-0.1, 1.0)),
    ],
)
def test_a_map_that_would_change_a_ranking_is_refused(
    features: tuple[str, ...], coefficients: tuple[float, ...]
) -> None:
    """The slope in the score must be above 0 for every query of 1 to 512 tokens."""
    with pytest.raises(InputError, match="a higher score must be a higher probability"):
        Calibration(features=features, coefficients=coefficients, intercept=0.0)


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, '"format" is 2, this laterank reads 1; upgrade'),
        ({"format": None}, '"format" is None'),
        ({"format": True}, '"format" is True'),
        (
            {"features": ["mean", "log_query_rows", "interaction"]},
            "\"features\" has 'log_query_rows', expected any of",
        ),
        ({"features": ["mean", "mean", "interaction"]}, "each of them once"),
        ({"features": "mean"}, "\"features\" is 'mean', expected a list"),
        ({"features": []}, '"features" is ()'),
        ({"features": [["mean"]]}, r'"features" has'),
        ({"coefficients": [1.0]}, "expected 3 numbers"),
        ({"coefficients": 9.0}, '"coefficients" is 9.0'),
        ({"coefficients": [9.0, math.nan, 0.0]}, r'"coefficients\[1\]" is nan, expected a finite number'),
        ({"coefficients": [9.0, "0", 0.0]}, r'"coefficients\[1\]" is \'0\''),
        ({"coefficients": [9.0, True, 0.0]}, r'"coefficients\[1\]" is True'),
        ({"coefficients": [-9.0, 0.0, 0.0]}, "fit it again"),
        ({"intercept": math.inf}, '"intercept" is inf'),
        ({"intercept": None}, '"intercept" is None'),
        ({"fitted_on": 3}, '"fitted_on" is 3'),
        ({"expected_calibration_error": 1.5}, '"expected_calibration_error" is 1.5'),
        ({"dims": [8]}, r'"dims" is \[8\]'),
        ({"dims": {"eight": {}}}, '"dims": "eight" is {}'),
        ({"dims": {"0": {}}}, '"dims": "0"'),
        ({"dims": {"8": 3}}, '"dims": "8" is 3'),
        ({"dims": {"8": {"coefficients": [1.0, 0.0, 0.0]}}}, '"dims": "8" lacks "intercept"'),
        ({"dims": {"8": {"coefficients": [1.0], "intercept": 0.0}}}, '"dims": "8": "coefficients" is'),
    ],
)
def test_a_broken_file_is_named_with_its_field(
    copy_of: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    """At construction, with what was given and what was expected."""
    folder = copy_of()
    path = write(folder, **changes)
    with pytest.raises(ModelFormatError, match=message.replace("()", r"\(\)")) as caught:
        Reranker.from_pretrained(folder, score="probability")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("missing", ["features", "coefficients", "intercept"])
def test_a_missing_field_is_named(copy_of: Callable[..., Path], missing: str) -> None:
    """Nothing is guessed."""
    folder = copy_of()
    edit_json(write(folder), remove=(missing,))
    with pytest.raises(ModelFormatError, match=rf'calibration\.json lacks "{missing}"'):
        Reranker.from_pretrained(folder, score="probability")


@pytest.mark.parametrize("content", ["", "[]", "{", "nonsense"])
def test_a_file_that_is_no_json_object_is_named(copy_of: Callable[..., Path], content: str) -> None:
    """Half a download, say."""
    folder = copy_of()
    (folder / "calibration.json").write_text(content)
    with pytest.raises(ModelFormatError, match=r"calibration\.json"):
        Reranker.from_pretrained(folder, score="probability")


def test_who_asks_for_no_probability_reads_no_calibration(copy_of: Callable[..., Path]) -> None:
    """A broken file is no reason not to rank."""
    folder = copy_of()
    write(folder, format=99)
    assert len(Reranker.from_pretrained(folder).rank(QUERY, DOCUMENTS)) == 4


def test_what_people_want_to_know_is_kept(calibrated: Path) -> None:
    """An entry for a size takes features and source from the file where it has none of its own."""
    fitted = read_calibrations(calibrated / "calibration.json")
    assert list(fitted) == [None, 12, 8]
    assert (fitted[None].fitted_on, fitted[None].expected_calibration_error) == ("made up for a test", 0.02)
    assert fitted[12].features == fitted[None].features
    assert (fitted[12].fitted_on, fitted[12].expected_calibration_error) == ("made up for a test", None)
    assert fitted[8].features == ("mean",)


def test_the_file_in_the_documentation_is_one(tmp_path: Path) -> None:
    """What docs/scores.md shows can be copied and corrected."""
    page = (GOLDEN.parents[1] / "docs" / "scores.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "calibration.json"
    path.write_text(shown)
    assert list(read_calibrations(path)) == [None, 64]


# --- which calibration a model has ----------------------------------------------------------------------------------


def test_a_model_without_a_calibration_says_so() -> None:
    """At construction: its name, and what to do."""
    with pytest.raises(
        InputError, match=r"bert-pylate ships no calibration .*use 'mean' or 'sum', or fit one"
    ):
        Reranker.from_pretrained(GOLDEN / "bert-pylate", score="probability")


def test_each_size_has_its_own_calibration(calibrated: Path) -> None:
    """Truncation changes the scale of scores, so a size without an entry is an error that names those with one."""
    for truncate_dim, intercept in ((None, -4.0), (16, -4.0), (12, -3.0), (8, -1.0)):
        encoder = ColbertEncoder.from_pretrained(calibrated, truncate_dim=truncate_dim)
        assert encoder.calibration().intercept == intercept
    with pytest.raises(InputError, match="not fitted for 4 numbers a token, only for: all numbers, 12, 8"):
        Reranker.from_pretrained(calibrated, truncate_dim=4, score="probability")


def test_the_whole_embedding_may_stand_among_the_sizes(copy_of: Callable[..., Path]) -> None:
    """A file with nothing but sizes serves the whole one by its number."""
    folder = copy_of()
    path = write(folder, dims={"16": {"coefficients": [7.0, 0.0, 0.0], "intercept": -2.0}})
    edit_json(path, remove=("coefficients", "intercept"))
    for truncate_dim in (None, 16):
        encoder = ColbertEncoder.from_pretrained(folder, truncate_dim=truncate_dim)
        assert encoder.calibration().intercept == -2.0
    edit_json(path, dims=DIMS)
    with pytest.raises(InputError, match="not fitted for all numbers a token, only for: 12, 8"):
        Reranker.from_pretrained(folder, score="probability")


def test_an_encoder_that_knows_no_calibration_is_refused(tiny_encoder: ColbertEncoder) -> None:
    """One of the caller's own, with rows and nothing else."""

    class Rows:
        name, fingerprint, dim = "mine", b"", 16
        encode_queries = tiny_encoder.encode_queries
        encode_documents = tiny_encoder.encode_documents

    assert len(Reranker(Rows()).rank(QUERY, DOCUMENTS)) == 4
    with pytest.raises(InputError, match=r"Rows has no methods calibration\(\) and count_query_tokens\(\)"):
        Reranker(Rows(), score="probability")


@pytest.mark.parametrize("name", TINY_MODELS)
def test_a_querys_own_tokens_are_counted_without_expansion(name: str) -> None:
    """Without expansion every row counts; with it, a longer expansion adds rows and changes no count."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / name)
    [count], [rows] = encoder.count_query_tokens([QUERY]), encoder.encode_queries([QUERY])
    if encoder.config.query_expansion == "none":
        assert count == len(rows)
    else:
        longer = ColbertEncoder.from_pretrained(
            GOLDEN / name, config={"query_length": encoder.config.query_length + 5}
        )
        assert longer.count_query_tokens([QUERY]) == [count]
        assert len(longer.encode_queries([QUERY])[0]) == len(rows) + 5
        assert 0 < count < len(rows)


def test_unscored_query_tokens_are_not_counted(copy_of: Callable[..., Path]) -> None:
    """A skiplist that applies to queries takes the question mark away."""
    plain = ColbertEncoder.from_pretrained(copy_of())
    skipping = ColbertEncoder.from_pretrained(plain.files.folder, config={"skip_query": True})
    assert skipping.count_query_tokens(["red?"]) == [plain.count_query_tokens(["red?"])[0] - 1]


# --- probabilities --------------------------------------------------------------------------------------------------


def test_a_probability_is_the_fitted_map_of_the_score(calibrated: Path) -> None:
    """By its definition, for each document; a blank one has none."""
    reranker = Reranker.from_pretrained(calibrated, score="probability")
    assert reranker.score == "probability"
    encoder = reranker.encoder
    [query], [tokens] = encoder.encode_queries([QUERY]), reranker.encoder.count_query_tokens([QUERY])  # type: ignore[attr-defined]
    sums = maxsim(query, encoder.encode_documents(DOCUMENTS[:3]))
    got = scores_of(reranker.rank(QUERY, DOCUMENTS))
    for index, total in enumerate(sums):
        expected = definition(
            float(total) / len(query), tokens, CONTENT["coefficients"], CONTENT["intercept"]
        )
        assert got[index] == pytest.approx(expected, abs=1e-6)
        assert type(got[index]) is float
    assert got[3] == 0.0


def test_the_ranking_is_that_of_every_other_scale(calibrated: Path) -> None:
    """Even where probabilities are so near to 1 that they are equal."""
    write(calibrated, coefficients=[1e5, 0.0, 0.0])
    documents = [*DOCUMENTS, "Mars is red.", "the planet Mars", "rings", "", "red"]
    rankings = {
        score: Reranker.from_pretrained(calibrated, score=score).rank(QUERY, documents)  # type: ignore[arg-type]
        for score in ("mean", "sum", "probability")
    }
    orders = [[document.index for document in ranking] for ranking in rankings.values()]
    assert orders[0] == orders[1] == orders[2]
    assert len(set(scores_of(rankings["probability"]).values())) < len(
        set(scores_of(rankings["sum"]).values())
    )


def test_the_threshold_is_a_probability_too(calibrated: Path) -> None:
    """It compares in the unit of the score, and a score equal to it stays."""
    reranker = Reranker.from_pretrained(calibrated, score="probability")
    everything = reranker.rank(QUERY, DOCUMENTS)
    middle = everything[1].score
    assert reranker.rank(QUERY, DOCUMENTS, score_threshold=middle) == everything[:2]
    assert reranker.rank(QUERY, DOCUMENTS, score_threshold=1.0) == []


def test_many_queries_have_the_probabilities_of_each(calibrated: Path) -> None:
    """Each query by its own length, an empty list between them."""
    reranker = Reranker.from_pretrained(calibrated, score="probability")
    queries = ["red", QUERY, "Venus", " ".join(["planet"] * 20)]
    lists = [DOCUMENTS, [], DOCUMENTS[:2], DOCUMENTS]
    expected = [reranker.rank(query, documents) for query, documents in zip(queries, lists, strict=True)]
    assert reranker.rank_many(queries, lists) == expected


def test_a_pickled_reranker_gives_the_same_probabilities(calibrated: Path) -> None:
    """The map travels along."""
    reranker = Reranker.from_pretrained(calibrated, score="probability")
    expected = reranker.rank(QUERY, DOCUMENTS)
    assert pickle.loads(pickle.dumps(reranker)).rank(QUERY, DOCUMENTS) == expected


def test_a_calibration_is_no_part_of_the_caches_key(calibrated: Path) -> None:
    """Rows do not depend on it, so a new one finds what is cached."""
    before = ColbertEncoder.from_pretrained(calibrated).fingerprint
    write(calibrated, intercept=1.0)
    assert ColbertEncoder.from_pretrained(calibrated).fingerprint == before
    (calibrated / "calibration.json").unlink()
    assert ColbertEncoder.from_pretrained(calibrated).fingerprint == before


def test_langchain_gives_probabilities(calibrated: Path) -> None:
    """In the metadata, under a threshold in the same unit."""
    expected = Reranker.from_pretrained(calibrated, score="probability").rank(QUERY, DOCUMENTS)
    documents = [Document(text) for text in DOCUMENTS]
    ranked = LangChainRerank(model=calibrated, score="probability", top_n=None).compress_documents(
        documents, QUERY
    )
    assert [document.metadata["relevance_score"] for document in ranked] == [d.score for d in expected]
    kept = LangChainRerank(model=calibrated, score="probability", score_threshold=expected[0].score)
    assert len(kept.compress_documents(documents, QUERY)) == 1


def test_llama_index_gives_probabilities(calibrated: Path) -> None:
    """As the node's score, under a threshold in the same unit."""
    expected = Reranker.from_pretrained(calibrated, score="probability").rank(QUERY, DOCUMENTS)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
    ranked = LlamaIndexRerank(model=calibrated, score="probability", top_n=None).postprocess_nodes(
        nodes, query_str=QUERY
    )
    assert [node.score for node in ranked] == [d.score for d in expected]
    kept = LlamaIndexRerank(model=calibrated, score="probability", score_threshold=expected[0].score)
    assert len(kept.postprocess_nodes(nodes, query_str=QUERY)) == 1


@pytest.mark.parametrize("adapter", [LangChainRerank, LlamaIndexRerank])
def test_an_adapter_without_a_calibration_says_so_when_it_is_built(
    adapter: type[LangChainRerank | LlamaIndexRerank],
) -> None:
    """No query has to fail first."""
    with pytest.raises(ValidationError, match="ships no calibration"):
        adapter(model=TINY_MODEL, score="probability")


# --- where it comes from --------------------------------------------------------------------------------------------


@pytest.fixture
def server(calibrated: Path) -> Iterator[HubServer]:
    """Return a hub with the calibrated model."""
    names = [path for path in calibrated.rglob("*") if path.is_file() and path.name != "golden.npz"]
    files = {path.relative_to(calibrated).as_posix(): path.read_bytes() for path in names}
    running = HubServer(models={"tiny/calibrated": HubModel(commits={COMMIT: files}, refs={"main": COMMIT})})
    with closing(running.start()):
        yield running


def test_a_download_brings_the_calibration(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calibrated: Path
) -> None:
    """A hub model gives the probabilities of its folder, then offline as well."""
    from huggingface_hub import constants, file_download, hf_api

    for module in (constants, file_download, hf_api):
        for name, value in (
            ("ENDPOINT", server.url),
            ("HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"),
            ("HF_HUB_OFFLINE", False),
        ):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    expected = Reranker.from_pretrained(calibrated, score="probability").rank(QUERY, DOCUMENTS)
    for local_files_only in (False, True):
        reranker = Reranker.from_pretrained(
            "tiny/calibrated",
            score="probability",
            cache_dir=tmp_path / "cache",
            local_files_only=local_files_only,
            token=False,
        )
        assert reranker.rank(QUERY, DOCUMENTS) == expected
    assert server.downloads.count("calibration.json") == 1


def test_a_bundled_calibration_is_found_like_any_other(
    calibrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model inside the wheel is a folder, too."""
    resolve = hub.resolve
    monkeypatch.setattr(hub, "resolve", lambda model, choose, **options: resolve(calibrated, choose))
    config = find_model(config={"embedding_size": 16})
    assert config.name == "bundled"
    assert config.calibration == calibrated / "calibration.json"
