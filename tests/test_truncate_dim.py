"""Truncated embeddings: the rows, what is refused, what is warned of, and the cache's key."""

import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN, edit_json
from pydantic import ValidationError
from support_frameworks import TINY_MODEL

from laterank import ColbertEncoder, InputError, MemoryCache, ModelFormatError, Reranker
from laterank.langchain import ColbertRerank as LangChainRerank
from laterank.llama_index import ColbertRerank as LlamaIndexRerank

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = ["Venus is close to the Sun.", "Mars is called the Red Planet.", "Saturn has rings."]
SETTINGS = "config_sentence_transformers.json"


@pytest.fixture
def matryoshka(copy_of: Callable[..., Path]) -> Path:
    """Return a tiny model of 16 numbers whose files say that 12 and 8 work."""
    folder = copy_of()
    edit_json(folder / SETTINGS, matryoshka_dims=[12, 8])
    return folder


@pytest.mark.parametrize("name", ["bert-pylate", "xlmr-jina", "lighton"])
@pytest.mark.parametrize("truncate_dim", [1, 8, 15])
def test_a_truncated_row_is_the_unit_length_head_of_the_whole_row(name: str, truncate_dim: int) -> None:
    """By its definition (arXiv 2205.13147), on both sides, with the projection in the graph or beside it."""
    whole = ColbertEncoder.from_pretrained(GOLDEN / name)
    truncated = ColbertEncoder.from_pretrained(GOLDEN / name, truncate_dim=truncate_dim)
    assert truncated.dim == truncated.truncate_dim == truncate_dim
    for side in ("encode_queries", "encode_documents"):
        for rows, reference in zip(
            getattr(truncated, side)(DOCUMENTS), getattr(whole, side)(DOCUMENTS), strict=True
        ):
            head = reference[:, :truncate_dim]
            expected = head / np.linalg.norm(head, axis=1, keepdims=True)
            np.testing.assert_allclose(rows, expected, atol=2e-5)


@pytest.mark.parametrize("name", ["bert-pylate", "bert-st6"])
def test_the_trained_sizes_are_read_from_the_models_files(name: str, copy_of: Callable[..., Path]) -> None:
    """Both dialects of config_sentence_transformers.json may name them."""
    folder = copy_of(name)
    assert ColbertEncoder.from_pretrained(folder).config.matryoshka_dims == ()
    edit_json(folder / SETTINGS, matryoshka_dims=[12, 8])
    assert ColbertEncoder.from_pretrained(folder).config.matryoshka_dims == (12, 8)


@pytest.mark.parametrize("wrong", ["96", [0], [8.5], 8])
def test_sizes_that_are_none_are_named_with_their_file(matryoshka: Path, wrong: object) -> None:
    """A list of whole numbers of at least 1, or an error that names the file and the field."""
    edit_json(matryoshka / SETTINGS, matryoshka_dims=wrong)
    with pytest.raises(ModelFormatError, match=f"{SETTINGS}.*matryoshka_dims"):
        ColbertEncoder.from_pretrained(matryoshka)


def test_a_trained_size_and_the_whole_are_not_warned_of(
    matryoshka: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said where nothing is to be said."""
    with caplog.at_level(logging.WARNING):
        for truncate_dim in (8, 12, 16, None):
            ColbertEncoder.from_pretrained(matryoshka, truncate_dim=truncate_dim).encode_queries([QUERY])
    assert caplog.records == []


def test_a_size_that_was_not_trained_is_warned_of_once(
    matryoshka: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It works, and the log names the sizes that work better."""
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            encoder = ColbertEncoder.from_pretrained(matryoshka, truncate_dim=10)
            pickle.loads(pickle.dumps(encoder)).encode_queries([QUERY])
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "truncate_dim is 10" in record.message
    assert "trained for 12 or 8" in record.message


def test_truncating_a_model_that_was_never_trained_for_it_is_warned_of(
    copy_of: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """There are no better sizes to name."""
    with caplog.at_level(logging.WARNING):
        ColbertEncoder.from_pretrained(copy_of(), truncate_dim=8)
    assert ["not trained to be truncated" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("name", ["bert-pylate", "bert-stanford", "lighton"])
def test_more_numbers_than_a_model_has_are_refused_at_once(name: str) -> None:
    """Where the files tell the size, no network is needed to know."""
    with pytest.raises(
        InputError, match=r"truncate_dim is 200, but .* gives 16 numbers a token; pass at most 16"
    ):
        ColbertEncoder.from_pretrained(GOLDEN / name, truncate_dim=200)


def test_more_numbers_than_a_model_has_are_refused_by_its_trained_sizes(matryoshka: Path) -> None:
    """The error names what to pass."""
    with pytest.raises(InputError, match="pass 12 or 8, or None for all"):
        ColbertEncoder.from_pretrained(matryoshka, truncate_dim=17)


def test_more_numbers_than_a_graph_has_are_refused_at_the_first_call(
    copy_of: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Where only the graph knows the size, it is asked when it is loaded, and the warning waits as well."""
    folder = copy_of("xlmr-jina")
    edit_json(folder / "artifact.metadata", remove=("dim",))
    (folder / "model.safetensors").unlink()
    options = {"config": {"projected": True}}
    encoder = ColbertEncoder.from_pretrained(folder, truncate_dim=200, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"truncate_dim is 200, but .* gives 16 numbers"):
        encoder.encode_documents(["mars"])
    encoder = ColbertEncoder.from_pretrained(folder, truncate_dim=8, **options)  # type: ignore[arg-type]
    assert caplog.records == []
    assert encoder.encode_documents(["mars"])[0].shape[1] == 8
    assert len(caplog.records) == 1


def test_rows_of_different_sizes_never_meet_in_a_cache(matryoshka: Path) -> None:
    """The size is part of the key, so one cache serves the whole and every truncation."""
    cache, scores = MemoryCache(), {}
    for truncate_dim in (None, 12, 8):
        encoder = ColbertEncoder.from_pretrained(matryoshka, truncate_dim=truncate_dim)
        shared = Reranker(encoder, cache=cache).rank(QUERY, DOCUMENTS)
        assert shared == Reranker(encoder, cache=False).rank(QUERY, DOCUMENTS)
        scores[encoder.fingerprint] = shared
    assert len(scores) == 3
    assert cache.stats().documents == 9


@pytest.mark.parametrize("adapter", [LangChainRerank, LlamaIndexRerank])
def test_the_adapters_truncate_too(
    adapter: type[LangChainRerank | LlamaIndexRerank], matryoshka: Path
) -> None:
    """The option reaches the model, survives a dump, and refuses what no size can be."""
    reranker = adapter(model=matryoshka, truncate_dim=8)
    assert reranker.reranker.encoder.dim == 8
    assert reranker.model_dump()["truncate_dim"] == 8
    assert reranker.model_copy().reranker is reranker.reranker
    for wrong in (0, -1, True, "8", 17):
        with pytest.raises(ValidationError, match="truncate_dim"):
            adapter(model=TINY_MODEL, truncate_dim=wrong)


def test_a_pickled_encoder_truncates_alike(matryoshka: Path) -> None:
    """The size travels with it."""
    encoder = ColbertEncoder.from_pretrained(matryoshka, truncate_dim=8)
    restored = pickle.loads(pickle.dumps(encoder))
    assert (restored.dim, restored.fingerprint) == (8, encoder.fingerprint)
