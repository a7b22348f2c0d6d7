"""Finding a model: which files, the registry's word, the licence's."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import GOLDEN

from laterank import (
    InputError,
    InputTypeError,
    KnownModel,
    ModelFormatError,
    ModelNotFoundError,
    register_model,
)
from laterank.model import registry
from laterank.model.files import find_model
from laterank.model.layout import choose_onnx, external_data, needed_files
from laterank.model.registry import known_model


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    """Forget what a test registers."""
    before = dict(registry._KNOWN)
    yield
    registry._KNOWN.clear()
    registry._KNOWN.update(before)


COLBERT_V2 = [
    "README.md",
    "artifact.metadata",
    "config.json",
    "model.onnx",
    "model.safetensors",
    "tokenizer.json",
]
JINA = [
    "artifact.metadata",
    "config.json",
    "model.safetensors",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "tokenizer.json",
]
ANSWERAI = [
    "1_Dense/config.json",
    "1_Dense/model.safetensors",
    "artifact.metadata",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "onnx/model.onnx",
    "onnx/model_int8.onnx",
    "tokenizer.json",
    "vespa_colbert.onnx",
]


@pytest.mark.parametrize(
    ("name", "names", "quantized", "graph"),
    [
        ("colbert-ir/colbertv2.0", COLBERT_V2, None, "model.onnx"),
        ("jinaai/jina-colbert-v2", JINA, None, "onnx/model.onnx"),
        ("answerdotai/answerai-colbert-small-v1", ANSWERAI, None, "vespa_colbert.onnx"),
        ("answerdotai/answerai-colbert-small-v1", ANSWERAI, True, "onnx/model_int8.onnx"),
        ("someone/unknown", ANSWERAI, False, "onnx/model.onnx"),
    ],
)
def test_the_graph_of_a_published_repository_is_found(
    name: str, names: list[str], quantized: bool | None, graph: str
) -> None:
    """The registry's word comes first, then the documented order."""
    chosen = choose_onnx(names, name=name, known=known_model(name), onnx_file=None, quantized=quantized)
    assert chosen == graph


def test_a_graph_s_name_is_a_string() -> None:
    """Rather than an error from within."""
    with pytest.raises(InputTypeError, match="onnx_file is 3, expected a name relative to the model"):
        choose_onnx(["model.onnx"], name="tiny", known=None, onnx_file=3, quantized=None)  # type: ignore[arg-type]


def test_only_the_files_that_are_needed_are_fetched() -> None:
    """Weights for torch stay on the hub; external data and Dense layers come along."""
    jina = needed_files(JINA, "onnx/model.onnx", known=known_model("jinaai/jina-colbert-v2"))
    assert set(jina) == {
        "tokenizer.json",
        "config.json",
        "artifact.metadata",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
    }
    answerai = needed_files(ANSWERAI, "onnx/model_int8.onnx")
    assert {"1_Dense/config.json", "1_Dense/model.safetensors", "modules.json"} <= set(answerai)
    assert "model.safetensors" not in answerai
    assert "vespa_colbert.onnx" not in answerai


def test_an_unknown_stanford_checkpoint_comes_with_its_weights() -> None:
    """Its projection may lie there, and nothing else tells."""
    assert "model.safetensors" in needed_files(COLBERT_V2, "model.onnx")


def test_external_data_is_known_by_its_name() -> None:
    """Both spellings of exporters, and no other graph's."""
    names = ["m.onnx", "m.onnx_data", "m.onnx.data", "m_int8.onnx", "m_int8.onnx_data"]
    assert external_data(names, "m.onnx") == ["m.onnx_data", "m.onnx.data"]


def test_the_registry_corrects_a_models_files(copy_of: Callable[..., Path]) -> None:
    """A known model's settings beat its files, and the caller's beat both."""
    folder = copy_of()
    known = KnownModel(
        name=str(folder),
        licence="MIT",
        embedding_size=16,
        parameters_millions=1,
        settings={"query_expansion": "none", "document_length": 40},
    )
    register_model(known)
    config = find_model(folder, config={"document_length": 20}).config
    assert (config.query_expansion, config.document_length) == ("none", 20)


def test_a_licence_without_commercial_use_is_said_once(
    copy_of: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and does not repeat itself."""
    folder = copy_of()
    register_model(
        KnownModel(
            name=str(folder),
            licence="CC-BY-NC-4.0",
            commercial_use=False,
            embedding_size=16,
            parameters_millions=1,
        )
    )
    with caplog.at_level(logging.WARNING):
        find_model(folder)
        find_model(folder)
    assert [record.message for record in caplog.records] == [
        f"{folder} is licensed under CC-BY-NC-4.0: no commercial use"
    ]


@pytest.mark.parametrize("model", [None, 3, b"bytes", ["bundled"]])
def test_a_model_that_is_no_name_is_refused(model: object) -> None:
    """The error says what is expected."""
    with pytest.raises(InputTypeError, match="expected a hub id, a folder's path or 'bundled'"):
        find_model(model)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("bundeld", "bundled"),
        ("Bundled", "bundled"),
        ("answerdotai/answerai-colbert-smal-v1", "answerdotai/answerai-colbert-small-v1"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_right_one(tmp_path: Path, typo: str, meant: str) -> None:
    """The hub cannot know what was meant; the registry may."""
    with pytest.raises(ModelNotFoundError, match=f"Did you mean '{meant}'"):
        find_model(typo, cache_dir=tmp_path, local_files_only=True)


def test_a_config_that_is_no_config_is_refused() -> None:
    """A path to a config, say."""
    with pytest.raises(InputTypeError, match="config is str"):
        find_model(GOLDEN / "bert-pylate", config="config.json")  # type: ignore[arg-type]


def test_a_revision_of_a_folder_is_refused() -> None:
    """A folder has no history to choose from."""
    with pytest.raises(InputError, match="revision"):
        find_model(GOLDEN / "bert-pylate", revision="main")


def test_broken_modules_are_named(copy_of: Callable[..., Path]) -> None:
    """modules.json must be a list of modules."""
    folder = copy_of()
    (folder / "modules.json").write_text("{}")
    with pytest.raises(ModelFormatError, match=r"modules\.json holds a JSON dict, expected a list"):
        find_model(folder)
    for module in ({"name": "0"}, {"type": 5, "path": ""}, {"type": "Dense", "path": "../elsewhere"}):
        (folder / "modules.json").write_text(json.dumps([module]))
        with pytest.raises(ModelFormatError, match="no list of modules"):
            find_model(folder)
