"""The encoder against the arrays of the reference libraries, against fastembed, and against published scores.

`golden/README.md` says how the arrays were made and where the references differ from each other.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastembed.common.model_description import DenseModelDescription, ModelSource
from fastembed.late_interaction.colbert import Colbert
from fastembed.late_interaction.jina_colbert import JinaColbert
from fastembed.late_interaction.lateon import LateOn
from tokenizers import Tokenizer

from laterank import ColbertEncoder, maxsim

GOLDEN = Path(__file__).parent / "golden"
TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
ANSWERAI = Path(__file__).parents[2] / "shared/models/answerai-colbert-small-v1-int8"

# colbert-ai and fastembed skip the first piece of a punctuation mark, which on a SentencePiece vocabulary is its form
# after a space; PyLate and sentence-transformers skip the form without one, from the same checkpoint.
BY_TOKEN = {"skiplist_match": "token"}
CASES = [
    ("bert-pylate", "pylate", {}),
    ("bert-pylate", "st6", {}),
    ("bert-stanford", "pylate", {}),
    ("bert-stanford", "st6", {}),
    ("xlmr-jina", "pylate", BY_TOKEN),
    ("xlmr-jina", "st6", BY_TOKEN),
    ("modernbert-pylate", "pylate", {}),
    (
        "modernbert-pylate",
        "st6",
        {"strip_text": False},
    ),  # PyLate strips a text of blanks, its successor does not
    ("lighton", "pylate", {}),
    ("bert-st6", "st6", {}),
]
IDS = [f"{folder}-{reference}" for folder, reference, _ in CASES]


@dataclass(frozen=True)
class Golden:
    """What one reference made of the texts."""

    rows: dict[str, list[np.ndarray]]
    token_ids: dict[str, list[np.ndarray]]
    scores: np.ndarray


@cache
def load_golden(folder: str, reference: str) -> Golden:
    """Read one reference's arrays."""
    with np.load(GOLDEN / folder / "golden.npz") as arrays:
        rows, token_ids = {}, {}
        for side in ("query", "document"):
            ends = np.cumsum(arrays[f"{reference}_{side}_lengths"])[:-1]
            rows[side] = np.split(arrays[f"{reference}_{side}_rows"], ends)
            token_ids[side] = np.split(arrays[f"{reference}_{side}_ids"], ends)
        return Golden(rows, token_ids, arrays[f"{reference}_scores"])


@cache
def load_encoder(folder: str, settings: tuple[tuple[str, Any], ...]) -> ColbertEncoder:
    """Load one of the tiny models."""
    return ColbertEncoder.from_pretrained(GOLDEN / folder, config=dict(settings) or None, threads=1)


def assert_same_rows(got: list[np.ndarray], expected: list[np.ndarray], texts: list[str]) -> None:
    """Compare text by text, so that a failure names the text."""
    assert len(got) == len(expected) == len(texts)
    for text, ours, theirs in zip(texts, got, expected, strict=True):
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape, text
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5, err_msg=repr(text))


@pytest.mark.parametrize(("folder", "reference", "settings"), CASES, ids=IDS)
def test_query_rows_equal_the_reference(folder: str, reference: str, settings: Mapping[str, Any]) -> None:
    """Every query row is the reference's, expansion rows included."""
    texts, rows = TEXTS["queries"], load_golden(folder, reference).rows["query"]
    assert_same_rows(load_encoder(folder, tuple(settings.items())).encode_queries(texts), rows, texts)


@pytest.mark.parametrize(("folder", "reference", "settings"), CASES, ids=IDS)
def test_document_rows_equal_the_reference(folder: str, reference: str, settings: Mapping[str, Any]) -> None:
    """Every document row is the reference's, and the same rows are left out."""
    texts, rows = TEXTS["documents"], load_golden(folder, reference).rows["document"]
    assert_same_rows(load_encoder(folder, tuple(settings.items())).encode_documents(texts), rows, texts)


@pytest.mark.parametrize(("folder", "reference", "settings"), CASES, ids=IDS)
def test_scores_equal_the_reference(folder: str, reference: str, settings: Mapping[str, Any]) -> None:
    """The sum of maxima over our rows is the reference's sum over its own."""
    encoder = load_encoder(folder, tuple(settings.items()))
    documents = encoder.encode_documents(TEXTS["documents"])
    queries = encoder.encode_queries(TEXTS["queries"])
    scores = np.stack([maxsim(query, documents) for query in queries])
    np.testing.assert_allclose(scores, load_golden(folder, reference).scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("folder", "reference", "settings"), CASES, ids=IDS)
def test_a_text_encoded_alone_equals_the_reference(
    folder: str, reference: str, settings: Mapping[str, Any]
) -> None:
    """Rows do not depend on the texts that share the call."""
    encoder = load_encoder(folder, tuple(settings.items()))
    texts, rows = TEXTS["documents"], load_golden(folder, reference).rows["document"]
    assert_same_rows([encoder.encode_documents([text])[0] for text in texts], rows, texts)


@pytest.mark.parametrize(
    ("reference", "prompts"),
    [
        ("st6text", {"query": "query: ", "document": "passage: "}),
        ("st6both", {"query": "[Q] search_query: ", "document": "[D] search_document: "}),
    ],
)
def test_a_prompt_may_be_text_or_a_marker_or_both(
    reference: str, prompts: dict[str, str], tmp_path: Path
) -> None:
    """The `prompts` of a sentence-transformers 6 save are read as that library reads them."""
    folder = tmp_path / "model"
    shutil.copytree(GOLDEN / "bert-st6", folder)
    file = folder / "config_sentence_transformers.json"
    file.write_text(
        json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"prompts": prompts}), encoding="utf-8"
    )
    encoder, golden = ColbertEncoder.from_pretrained(folder, threads=1), load_golden("bert-st6", reference)
    assert_same_rows(encoder.encode_queries(TEXTS["queries"]), golden.rows["query"], TEXTS["queries"])
    assert_same_rows(
        encoder.encode_documents(TEXTS["documents"]), golden.rows["document"], TEXTS["documents"]
    )


# --- fastembed --------------------------------------------------------------------------------------------------------


def describe(name: str, model_file: str) -> list[DenseModelDescription]:
    """Return fastembed's registry entry of a tiny model; its source is never asked, the folder is given."""
    return [
        DenseModelDescription(
            model=name,
            dim=16,
            description="tiny",
            license="apache-2.0",
            size_in_GB=0.001,
            sources=ModelSource(hf=name),
            model_file=model_file,
        )
    ]


def token_id(folder: str, token: str) -> int:
    """Look a token up in a tiny model's tokenizer."""
    found = Tokenizer.from_file(str(GOLDEN / folder / "tokenizer.json")).token_to_id(token)
    assert found is not None
    return found


class TinyColbert(Colbert):
    """fastembed's class for colbertv2.0, on the tiny model of its shape."""

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
        return describe("tiny/bert-stanford", "model.onnx")


class TinyJinaColbert(JinaColbert):
    """fastembed's class for jina-colbert-v2, on the tiny model of its shape and with that one's marker ids."""

    QUERY_MARKER_TOKEN_ID = token_id("xlmr-jina", "[QueryMarker]")
    DOCUMENT_MARKER_TOKEN_ID = token_id("xlmr-jina", "[DocumentMarker]")

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
        return describe("tiny/xlmr-jina", "onnx/model.onnx")


class TinyLateOn(LateOn):
    """fastembed's class for models without expansion, on a tiny model and with that one's marker ids."""

    QUERY_MARKER_TOKEN_ID = token_id("bert-stanford", "[unused0]")
    DOCUMENT_MARKER_TOKEN_ID = token_id("bert-stanford", "[unused1]")
    RESERVED_MARKER_TOKENS = 1

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
        return describe("tiny/bert-stanford", "model.onnx")


@pytest.fixture(
    params=[TinyColbert, TinyJinaColbert, TinyLateOn], ids=["colbertv2.0", "jina-colbert-v2", "LateOn"]
)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Colbert, ColbertEncoder]:
    """Return fastembed's encoder and ours with the settings that fastembed has built in."""
    kind: type[Colbert] = request.param
    name = kind._list_supported_models()[0].model
    folder = GOLDEN / name.partition("/")[2]
    peer = kind(name, cache_dir=str(tmp_path), specific_model_path=str(folder), threads=1)
    settings: dict[str, Any] = {"query_expansion": "min", "query_length": 32, "document_length": 128}
    if kind is TinyLateOn:
        settings |= {"query_expansion": "none", "query_length": 128}
    encoder = ColbertEncoder.from_pretrained(folder, config=settings, threads=1)
    return peer, encoder


def test_document_rows_equal_those_of_fastembed(pair: tuple[Colbert, ColbertEncoder]) -> None:
    """Documents get fastembed's rows, up to the network's own limit and with its skiplist."""
    peer, encoder = pair
    texts = TEXTS["documents"] + TEXTS["queries"]
    theirs = [rows for text in texts for rows in peer.embed([text])]
    assert_same_rows(encoder.encode_documents(texts), theirs, texts)


def test_query_rows_equal_those_of_fastembed(pair: tuple[Colbert, ColbertEncoder]) -> None:
    """Queries get fastembed's rows: at least 32, more for a long query, whatever the graph normalises."""
    peer, encoder = pair
    texts = TEXTS["queries"] + TEXTS["documents"]
    theirs = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in peer.query_embed(texts)]
    assert min(map(len, theirs)) == (3 if isinstance(peer, LateOn) else 32)
    assert max(map(len, theirs)) == 128
    assert_same_rows(encoder.encode_queries(texts), theirs, texts)


# --- a published model ------------------------------------------------------------------------------------------------

RED_PLANET = "Which planet is known as the Red Planet?"
PLANETS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]
PLANET_SCORES = [30.4966, 31.4088, 31.1645, 31.2191]


@pytest.mark.skipif(not ANSWERAI.is_dir(), reason="needs ../shared/models/answerai-colbert-small-v1-int8")
@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_a_published_model_gives_its_known_scores(together: bool) -> None:
    """The four Red Planet documents get the INT8 model's known scores, alone or all in one call."""
    encoder = ColbertEncoder.from_pretrained(ANSWERAI)
    [query] = encoder.encode_queries([RED_PLANET])
    groups = [PLANETS] if together else [[text] for text in PLANETS]
    scores = np.concatenate([maxsim(query, encoder.encode_documents(group)) for group in groups])
    np.testing.assert_allclose(scores, PLANET_SCORES, rtol=0, atol=0.02)
    assert np.argsort(-scores).tolist() == np.argsort(-np.array(PLANET_SCORES)).tolist()
