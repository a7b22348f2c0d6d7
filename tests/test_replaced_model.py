"""A model's files that change after it was found: an error, never rows of two models under one name."""

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from laterank import ColbertEncoder, ModelFormatError, Reranker

SAID = r"was changed or replaced .* after .* was found"
USES: dict[str, Callable[[ColbertEncoder], object]] = {
    "onnx/model.onnx": lambda encoder: encoder.encode_queries(["mars"]),
    "tokenizer.json": lambda encoder: encoder.count_tokens(["mars"]),
    "1_Dense/model.safetensors": lambda encoder: encoder.dim,
    "1_Dense/config.json": lambda encoder: encoder.dim,
    "config_sentence_transformers.json": lambda encoder: encoder.encode_documents(["mars"]),
}


def replace_with_a_copy(path: Path) -> None:
    """Put another file in its place with the same bytes, a second later: only its time tells it apart."""
    new = path.with_name("new")
    shutil.copyfile(path, new)
    later = path.stat().st_mtime_ns + 10**9
    os.utime(new, ns=(later, later))
    new.replace(path)


@pytest.mark.parametrize("file", USES)
def test_a_file_that_was_replaced_before_it_was_read_is_refused(
    file: str, copy_of: Callable[..., Path]
) -> None:
    """The settings are the earlier model's: a new encoder is needed, and works."""
    folder = copy_of()
    encoder = ColbertEncoder.from_pretrained(folder)
    replace_with_a_copy(folder / file)
    for _ in range(2):
        with pytest.raises(ModelFormatError, match=SAID):
            USES[file](encoder)
    with pytest.raises(ModelFormatError, match=SAID):
        _ = encoder.fingerprint
    USES[file](ColbertEncoder.from_pretrained(folder))


def test_what_was_read_before_goes_on(copy_of: Callable[..., Path]) -> None:
    """Nothing is read again, so that nothing mixes: a service outlives a new model beside it."""
    folder = copy_of()
    reranker = Reranker.from_pretrained(folder)
    reranker.load()
    before = reranker.rank("mars", ["mars is red", "venus"])
    replace_with_a_copy(folder / "onnx" / "model.onnx")
    assert reranker.rank("mars", ["mars is red", "venus"]) == before
    assert reranker.rank("red", ["the red planet"])


def test_a_worker_that_starts_later_refuses_it(copy_of: Callable[..., Path]) -> None:
    """It would encode with another model than its parent asks with."""
    folder = copy_of()
    with ColbertEncoder.from_pretrained(folder, workers=1) as encoder:
        encoder.encode_queries(["mars"])
        replace_with_a_copy(folder / "onnx" / "model.onnx")
        encoder.start_workers()
        with pytest.raises(ModelFormatError, match=SAID):
            encoder.encode_documents(["mars is red " * 9] * 2000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_refuses_it(copy_of: Callable[..., Path]) -> None:
    """It loads the network anew, and has the parent's name for what comes out of it."""
    folder = copy_of()
    encoder = ColbertEncoder.from_pretrained(folder)
    encoder.encode_queries(["mars"])
    replace_with_a_copy(folder / "onnx" / "model.onnx")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def ask() -> None:
        try:
            queue.put(encoder.encode_queries(["mars"]))
        except ModelFormatError as error:
            queue.put(str(error))

    child = context.Process(target=ask)
    child.start()
    try:
        assert "changed or replaced" in queue.get(timeout=60)
    finally:
        child.join(10)
        child.kill()
    assert len(encoder.encode_queries(["mars"])) == 1


def test_a_pickled_encoder_takes_the_files_where_it_is_unpickled(copy_of: Callable[..., Path]) -> None:
    """On another machine the same files have other numbers and times; and from there on they must stay."""
    folder = copy_of()
    encoder = ColbertEncoder.from_pretrained(folder)
    rows = encoder.encode_queries(["mars"])[0]
    pickled = pickle.dumps(encoder)
    replace_with_a_copy(folder / "onnx" / "model.onnx")
    restored, later = pickle.loads(pickled), pickle.loads(pickled)
    np.testing.assert_allclose(restored.encode_queries(["mars"])[0], rows, atol=1e-6)
    replace_with_a_copy(folder / "onnx" / "model.onnx")
    with pytest.raises(ModelFormatError, match=SAID):
        later.encode_queries(["mars"])


def test_a_file_with_another_number_is_the_same_file(copy_of: Callable[..., Path]) -> None:
    """Numbers may change on network file systems, and where several processes place a copy at once."""
    folder = copy_of()
    encoder = ColbertEncoder.from_pretrained(folder)
    graph = folder / "onnx" / "model.onnx"
    shutil.copy2(graph, graph.with_name("new"))
    graph.with_name("new").replace(graph)
    assert len(encoder.encode_queries(["mars"])) == 1
