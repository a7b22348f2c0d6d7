"""The options of both adapters: those of the reranker, the same in both, and as good after a dump as before."""

import json
from inspect import signature
from pathlib import Path

import pytest
from conftest import GOLDEN

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from llama_index.core.postprocessor.types import BaseNodePostprocessor

from laterank import ColbertConfig, ColbertEncoder, Reranker
from laterank.adapter import _LOADING_OPTIONS, RerankOptions
from laterank.langchain import ColbertRerank as ForLangChain
from laterank.llama_index import ColbertRerank as ForLlamaIndex

TINY = GOLDEN / "bert-pylate"
ADAPTERS = (ForLangChain, ForLlamaIndex)
SECRET = {"token"}
"""What a dump must not hold."""
OF_A_CALL = {"query", "documents", "first_stage_scores"}
"""What the frameworks pass."""
GIVEN = {
    "cache": False,
    "cache_dir": "models",
    "config": {"document_length": 32},
    "device_ids": [0],
    "local_files_only": True,
    "long_documents": "windows",
    "model": str(TINY),
    "onnx_file": "onnx/model.onnx",
    "pool_factor": 2,
    "providers": ["cpu"],
    "quantized": False,
    "revision": "main",
    "score": "sum",
    "threads": 1,
    "tokens_per_batch": 64,
    "truncate_dim": 8,
    "window_overlap": 0.5,
    "worker_timeout_seconds": 5.0,
    "workers": 0,
}


def after_a_dump(adapter: RerankOptions) -> RerankOptions:
    """Return what each framework makes of its JSON."""
    if isinstance(adapter, ForLlamaIndex):
        return ForLlamaIndex.from_json(adapter.to_json())
    return ForLangChain(**json.loads(adapter.model_dump_json()))


def test_an_adapter_has_every_option_that_loads_a_reranker() -> None:
    """With the reranker's defaults, but for a secret."""
    parameters = signature(Reranker.from_pretrained).parameters
    assert set(_LOADING_OPTIONS) == set(parameters) - SECRET
    for name in _LOADING_OPTIONS:
        assert RerankOptions.model_fields[name].default == parameters[name].default, name
        assert RerankOptions.model_fields[name].frozen, name


def test_an_adapter_has_every_option_of_a_ranking() -> None:
    """What is no option that loads a reranker is one of ``rank``, or the reranker itself."""
    of_rank = set(signature(Reranker.rank).parameters) - {"self"} - OF_A_CALL
    for adapter in ADAPTERS:
        assert of_rank <= set(adapter.model_fields)
    assert set(RerankOptions.model_fields) - set(_LOADING_OPTIONS) == of_rank - {"top_n"} | {"reranker"}


def test_the_adapters_differ_in_what_their_frameworks_have() -> None:
    """The rest is the same class."""
    own = [set(adapter.model_fields) - set(RerankOptions.model_fields) for adapter in ADAPTERS]
    assert own[0] == {"top_n", "retrieval_score_key"}
    assert own[1] - set(BaseNodePostprocessor.model_fields) == {
        "top_n",
        "keep_retrieval_score",
        "metadata_mode",
    }


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_option_reaches_the_reranker(
    adapter: type[RerankOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was given, also after a dump."""
    given: list[dict[str, object]] = []
    load = Reranker.from_pretrained

    def told(**options: object) -> Reranker:
        given.append(options)
        return load(TINY)

    monkeypatch.setattr(Reranker, "from_pretrained", told)
    found = adapter(**GIVEN)
    after_a_dump(found)
    assert given == [GIVEN, GIVEN]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_config_is_the_same_after_a_dump(adapter: type[RerankOptions], whole: bool) -> None:
    """One with a single setting, and one in place of the files, with what is a tuple in Python and a list in JSON."""
    config: object = {"document_length": 20, "skiplist_words": (".", "!")}
    if whole:
        config = ColbertConfig(
            **ColbertEncoder.from_pretrained(TINY).config.to_dict() | config | {"max_length": None}
        )
    found = adapter(model=TINY, config=config, threads=1)
    again = after_a_dump(found)
    expected = ColbertEncoder.from_pretrained(TINY, config=config).config
    assert found.reranker.encoder.config == again.reranker.encoder.config == expected
    assert expected.document_length == 20


def test_a_path_is_absolute_in_a_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is found from another folder; a text stays as it is."""
    monkeypatch.chdir(tmp_path)
    assert ForLangChain(cache_dir=Path("models")).cache_dir == str(tmp_path / "models")
    assert ForLangChain(cache_dir="models").cache_dir == "models"
