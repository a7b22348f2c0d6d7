"""Text -> token embeddings: what must not change them, and what goes wrong loudly."""

import copy
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx_graphs
import pytest
from conftest import GOLDEN, TINY_MODELS, edit_json
from hypothesis import given, settings
from hypothesis import strategies as st

from laterank import (
    ColbertEncoder,
    EncodingError,
    InputError,
    InputTypeError,
    KnownModel,
    ModelFormatError,
    ModelNotFoundError,
    ProviderError,
)
from laterank.encoding.batching import Batching
from laterank.encoding.session import OnnxSession
from laterank.model.settings import read_config

TEXTS = [
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Venus.",
    "",
    "the planet " * 60,
    "ما هو الكوكب الأحمر؟",
    "rocket 🚀 launch",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]


FORKING = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@FORKING
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_other_threads_work_does_not_hang() -> None:
    """Threads hold the cache's and the session's locks while the process forks; the children work all the same."""
    code = (
        "import os, threading, sys\n"
        "from laterank import Reranker\n"
        f"reranker = Reranker.from_pretrained({str(GOLDEN / 'bert-pylate')!r}, threads=2)\n"
        "reranker.load()\n"
        "stop = threading.Event()\n"
        "def work():\n"
        "    while not stop.is_set(): reranker.rank('red planet', ['mars', 'venus', 'saturn has rings'])\n"
        "threads = [threading.Thread(target=work) for _ in range(3)]\n"
        "[thread.start() for thread in threads]\n"
        "for number in range(12):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0 if len(reranker.rank('red planet', ['mars', f'new {number}'])) == 2 else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "stop.set()\n"
        "[thread.join() for thread in threads]\n"
        "print('done')\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=90, check=False
    )
    assert result.stdout.strip() == "done", result.stderr


@FORKING
def test_a_forked_process_ends_and_loads_its_own_model() -> None:
    """A preloaded worker exits as a process should, and load() in it loads."""
    code = (
        "import os, sys\n"
        "from laterank import Reranker\n"
        f"reranker = Reranker.from_pretrained({str(GOLDEN / 'bert-pylate')!r}, threads=2)\n"
        "reranker.load()\n"
        "assert 'ORT_DISABLE_TELEMETRY' not in os.environ\n"
        "if (child := os.fork()) == 0:\n"
        "    reranker.load()\n"
        "    assert reranker.encoder._embedder.session._loaded is not None\n"
        "    reranker.rank('red planet', ['mars', 'venus'])\n"
        "    sys.exit(0)\n"
        "print(os.waitpid(child, 0)[1])\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.strip() == "0", result.stderr


def test_threads_that_outlive_the_main_thread_still_rank() -> None:
    """While the interpreter shuts down no thread can be started; the work is done right there."""
    code = (
        "import threading, time\n"
        "from laterank import Reranker\n"
        f"reranker = Reranker.from_pretrained({str(GOLDEN / 'bert-pylate')!r}, threads=2)\n"
        "reranker.rank('red', ['a b', 'c d e'])\n"
        "def late():\n"
        "    time.sleep(0.5)\n"
        "    print(len(reranker.rank('red', ['new', 'documents here', 'of other lengths and words'])))\n"
        "threading.Thread(target=late).start()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.strip() == "3", result.stderr


@pytest.mark.parametrize("content", [b"", None])
def test_a_graph_that_is_empty_or_gone_is_named(copy_of: Callable[..., Path], content: bytes | None) -> None:
    """Files may vanish between making an encoder and its first call."""
    folder = copy_of()
    encoder = ColbertEncoder.from_pretrained(folder)
    graph = folder / "onnx" / "model.onnx"
    graph.unlink()
    if content is not None:
        graph.write_bytes(content)
    for use in (lambda: encoder.fingerprint, lambda: encoder.encode_documents(["mars"])):
        with pytest.raises(ModelFormatError, match=r"model\.onnx.*(empty|missing|cannot be read)"):
            use()


def test_a_folder_called_bundled_is_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is never the name of the model in the wheel, nor after pickling."""
    shutil.copytree(GOLDEN / "bert-pylate", tmp_path / "bundled")
    monkeypatch.chdir(tmp_path)
    encoder = pickle.loads(pickle.dumps(ColbertEncoder.from_pretrained(Path("bundled"))))
    assert encoder.files.folder == tmp_path / "bundled"
    assert encoder.dim == 16


@pytest.mark.parametrize("name", TINY_MODELS)
def test_rows_have_unit_length_and_the_models_size(name: str) -> None:
    """Every row of every text is a unit vector of float32."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / name)
    for rows in encoder.encode_documents(TEXTS) + encoder.encode_queries(["red planet"]):
        assert rows.dtype == np.float32
        assert rows.shape[1] == encoder.dim == 16
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", TINY_MODELS)
def test_batch_mates_do_not_change_a_row(name: str) -> None:
    """A text alone and among others has the same rows."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / name)
    together = encoder.encode_documents(TEXTS)
    for text, rows in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode_documents([text])[0], rows, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(len(TEXTS))), st.integers(1, 300), st.floats(0, 0.9))
def test_order_batch_size_and_padding_do_not_change_a_row(
    order: list[int], tokens: int, padding: float
) -> None:
    """Rows come back in the caller's order whatever the batches were."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=2)
    reference = encoder.encode_documents(TEXTS)
    encoder.__dict__["_batching"] = Batching(tokens=tokens, padding=padding)
    for position, rows in zip(
        order, encoder.encode_documents([TEXTS[position] for position in order]), strict=True
    ):
        np.testing.assert_allclose(rows, reference[position], atol=2e-6)


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 2000), st.floats(0, 1), st.integers(1, 40))
def test_a_plan_holds_every_text_once_within_its_bounds(
    lengths: list[int], tokens: int, padding: float, texts: int
) -> None:
    """Batches are a partition, under the token budget unless one text alone is over it."""
    plan = list(Batching(tokens=tokens, padding=padding, texts=texts).plan(lengths))
    assert sorted(position for batch in plan for position in batch) == list(range(len(lengths)))
    for batch in plan:
        longest = max(lengths[position] for position in batch)
        assert len(batch) == 1 or longest * len(batch) <= tokens
        assert len(batch) <= texts
        assert min(lengths[position] for position in batch) >= longest * (1 - padding) - 1e-9


def test_a_graph_that_quantises_over_the_batch_gets_one_text_a_run(copy_of: Callable[..., Path]) -> None:
    """Dynamic INT8 would let batch mates change a row by several percent."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "lighton", onnx_file="model_int8.onnx")
    assert list(encoder._embedder.batching.plan([5, 5, 5])) == [[0], [1], [2]]
    together = encoder.encode_documents(TEXTS)
    for text, rows in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(encoder.encode_documents([text])[0], rows)


def test_threads_share_one_encoder(tiny_encoder: ColbertEncoder) -> None:
    """Many threads at once get what one gets."""
    reference = tiny_encoder.encode_documents(TEXTS)
    with ThreadPoolExecutor(8) as executor:
        for result in executor.map(lambda _: tiny_encoder.encode_documents(TEXTS), range(24)):
            for rows, expected in zip(result, reference, strict=True):
                np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_one_session_is_built_however_many_threads_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is loaded once, under a lock."""
    built = []
    load = OnnxSession._load
    monkeypatch.setattr(OnnxSession, "_load", lambda self: built.append(1) or load(self))
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate")
    barrier = threading.Barrier(8)

    def first_call(_: int) -> None:
        barrier.wait()
        encoder.encode_queries(["mars"])

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(first_call, range(8)))
    assert len(built) == 1


def test_making_an_encoder_loads_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is built at the first use."""
    monkeypatch.setattr(OnnxSession, "_load", lambda self: pytest.fail("the session was built too early"))
    ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate")


@FORKING
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_builds_its_own_session(tiny_encoder: ColbertEncoder) -> None:
    """gunicorn's preload forks after the model was used; the child must neither hang nor crash."""
    expected = tiny_encoder.encode_documents(TEXTS)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=lambda: queue.put(tiny_encoder.encode_documents(TEXTS)))
    child.start()
    try:
        for rows, reference in zip(queue.get(timeout=60), expected, strict=True):
            np.testing.assert_allclose(rows, reference, atol=1e-6)
    finally:
        child.join(10)
        child.kill()
    assert child.exitcode == 0


def test_pickling_and_copying_leave_the_session_behind(tiny_encoder: ColbertEncoder) -> None:
    """A pickled encoder is small and works; a copied one is the same one."""
    tiny_encoder.encode_queries(["mars"])
    pickled = pickle.dumps(tiny_encoder)
    assert len(pickled) < 10_000
    restored = pickle.loads(pickled)
    assert restored.fingerprint == tiny_encoder.fingerprint
    np.testing.assert_allclose(
        restored.encode_queries(["mars"])[0], tiny_encoder.encode_queries(["mars"])[0], atol=1e-6
    )
    assert copy.deepcopy(tiny_encoder) is tiny_encoder


def test_int32_inputs_and_float16_outputs_work(copy_of: Callable[..., Path]) -> None:
    """Both come out of common exporters."""
    folder = copy_of()
    expected = ColbertEncoder.from_pretrained(folder).encode_documents(TEXTS)
    onnx_graphs.with_int32_inputs(folder / "onnx" / "model.onnx")
    onnx_graphs.with_float16_output(folder / "onnx" / "model.onnx")
    for rows, reference in zip(
        ColbertEncoder.from_pretrained(folder).encode_documents(TEXTS), expected, strict=True
    ):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, reference, atol=5e-3)


def test_external_data_beside_the_graph_is_loaded_and_part_of_the_fingerprint(
    copy_of: Callable[..., Path],
) -> None:
    """A graph over 2 GB keeps its weights in a second file."""
    folder = copy_of()
    graph = folder / "onnx" / "model.onnx"
    expected = ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])[0]
    onnx_graphs.with_external_data(graph)
    encoder = ColbertEncoder.from_pretrained(folder)
    np.testing.assert_allclose(encoder.encode_documents(["mars"])[0], expected, atol=1e-6)
    data, fingerprint = graph.with_name("model.onnx_data"), encoder.fingerprint
    assert encoder.files.onnx_data == (data,)
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(bytes(content))
    assert ColbertEncoder.from_pretrained(folder).fingerprint != fingerprint


def test_the_fingerprint_follows_everything_that_decides_a_row(copy_of: Callable[..., Path]) -> None:
    """Graph, tokenizer, projection and settings all change it; the folder's place does not."""
    folder = copy_of()
    fingerprint = ColbertEncoder.from_pretrained(folder).fingerprint
    assert fingerprint == ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate").fingerprint
    seen = {fingerprint, ColbertEncoder.from_pretrained(folder, config={"document_length": 40}).fingerprint}
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    seen.add(ColbertEncoder.from_pretrained(folder).fingerprint)
    weights = folder / "1_Dense" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    seen.add(ColbertEncoder.from_pretrained(folder).fingerprint)
    assert len(seen) == 4


def test_token_counts_are_those_that_the_model_reads(tiny_encoder: ColbertEncoder) -> None:
    """Special tokens and marker count; cut text does not."""
    assert tiny_encoder.count_tokens(["", "the planet " * 60]) == [3, 48]


def test_ten_thousand_texts_come_back_in_order(tiny_encoder: ColbertEncoder) -> None:
    """Rounds and batches are joined again in the caller's order."""
    texts = [f"planet {number % 97} {'mars ' * (number % 7)}" for number in range(10_000)]
    rows = tiny_encoder.encode_documents(texts)
    assert len(rows) == len(texts)
    for position in (0, 1, 1023, 1024, 5000, 9999):
        np.testing.assert_allclose(
            rows[position], tiny_encoder.encode_documents([texts[position]])[0], atol=1e-6
        )


def test_the_log_says_once_that_texts_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    """What the model does not read is no secret, and no flood."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate")
    with caplog.at_level(logging.INFO, logger="laterank"):
        encoder.encode_documents(["mars", "the planet " * 60])
        encoder.encode_documents(["the planet " * 60])
    assert len(caplog.records) == 1
    assert "cuts documents at 48 tokens: the end of 1 of 2 is not read" in caplog.records[0].message


def test_no_texts_give_no_rows(tiny_encoder: ColbertEncoder) -> None:
    """An empty list is no error."""
    assert tiny_encoder.encode_documents([]) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["mars", None], r"documents\[1\] is NoneType"),
        (["mars", 3], r"documents\[1\] is int"),
        ([b"mars"], r"documents\[0\] is bytes"),
        ("mars", "documents is str, expected a sequence"),
        (None, "documents is NoneType"),
        ((text for text in ["mars"]), "documents is generator"),
    ],
)
def test_what_is_no_text_is_named_with_its_position(
    tiny_encoder: ColbertEncoder, texts: object, message: str
) -> None:
    """A None in the middle of ten thousand candidates can be found."""
    with pytest.raises(InputTypeError, match=message):
        tiny_encoder.encode_documents(texts)  # type: ignore[arg-type]


# --- models that cannot work ------------------------------------------------------------------------------------------


def test_a_missing_model_is_named() -> None:
    """A path that is not there is no hub id to be asked for."""
    with pytest.raises(ModelNotFoundError, match="no-such-folder"):
        ColbertEncoder.from_pretrained("./no-such-folder")


def test_a_folder_without_a_graph_names_what_was_looked_for(copy_of: Callable[..., Path]) -> None:
    """The error lists the names tried."""
    folder = copy_of()
    (folder / "onnx" / "model.onnx").unlink()
    with pytest.raises(ModelFormatError, match=r"none of onnx/model.onnx.*no .onnx file at all"):
        ColbertEncoder.from_pretrained(folder)


def test_an_unknown_graph_names_those_that_are_there() -> None:
    """A wrong onnx_file= is answered with the right ones."""
    with pytest.raises(ModelFormatError, match=r"none of wrong\.onnx.*model\.onnx, model_int8\.onnx"):
        ColbertEncoder.from_pretrained(GOLDEN / "lighton", onnx_file="wrong.onnx")


def test_the_graph_is_chosen_by_precision() -> None:
    """quantized=True takes INT8, False full precision, None full precision where there is one."""
    chosen = {
        quantized: ColbertEncoder.from_pretrained(GOLDEN / "lighton", quantized=quantized).files.onnx.name
        for quantized in (True, False, None)
    }
    assert chosen == {True: "model_int8.onnx", False: "model.onnx", None: "model.onnx"}
    with pytest.raises(ModelFormatError, match="quantized=True"):
        ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", quantized=True)


def test_a_folder_without_a_tokenizer_says_how_to_get_one(copy_of: Callable[..., Path]) -> None:
    """A vocab.txt alone is not enough."""
    folder = copy_of()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFormatError, match=r"no tokenizer\.json.*save_pretrained"):
        ColbertEncoder.from_pretrained(folder)


def test_a_corrupt_graph_is_named(copy_of: Callable[..., Path]) -> None:
    """Half a download is no crash in native code."""
    folder = copy_of()
    graph = folder / "onnx" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(ModelFormatError, match=r"model\.onnx cannot be loaded"):
        ColbertEncoder.from_pretrained(folder).encode_queries(["mars"])


def test_nan_from_a_model_is_an_error(copy_of: Callable[..., Path]) -> None:
    """NaN would sort anywhere; peers return it."""
    folder = copy_of()
    onnx_graphs.with_nan_output(folder / "onnx" / "model.onnx")
    with pytest.raises(EncodingError, match="NaN"):
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])


def test_an_unknown_input_is_named(copy_of: Callable[..., Path]) -> None:
    """A graph that wants pixels is no text encoder."""
    folder = copy_of()
    onnx_graphs.with_another_input(folder / "onnx" / "model.onnx", "pixel_values")
    with pytest.raises(ModelFormatError, match="pixel_values"):
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])


def test_a_dense_embedding_model_is_no_token_encoder(copy_of: Callable[..., Path]) -> None:
    """One vector a text cannot be scored by MaxSim."""
    folder = copy_of()
    onnx_graphs.with_pooled_output_only(folder / "onnx" / "model.onnx")
    with pytest.raises(ModelFormatError, match="no token encoder"):
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("1_Dense/config.json", {"out_features": 99}, r"holds a \(16, 32\) matrix.*says \(99, 32\)"),
        ("1_Dense/config.json", {"activation_function": "torch.nn.Maxout"}, "'Maxout', expected one of"),
        ("1_Dense/config.json", {"bias": True}, 'no tensor "linear.bias"'),
        ("modules.json", None, "names the layer"),
    ],
)
def test_a_projection_that_does_not_fit_is_named(
    copy_of: Callable[..., Path], file: str, changes: dict[str, object] | None, message: str
) -> None:
    """Shape, activation, bias and place of every layer are checked."""
    folder = copy_of()
    if changes is None:
        (folder / "1_Dense" / "config.json").unlink()
    else:
        edit_json(folder / file, **changes)
    with pytest.raises(ModelFormatError, match=message):
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])


def test_a_graph_of_another_size_than_the_projection_is_refused(copy_of: Callable[..., Path]) -> None:
    """Hidden states of one model under the projection of another rank at random."""
    folder = copy_of()
    edit_json(folder / "1_Dense" / "config.json", in_features=32, out_features=16)
    with pytest.raises(ModelFormatError, match=r'config=\{"embedding_size"'):
        ColbertEncoder.from_pretrained(folder, config={"embedding_size": 24}).encode_documents(["mars"])


def test_a_dropped_projection_is_never_silent(copy_of: Callable[..., Path]) -> None:
    """Hidden states without their projection are as long as hidden states: nothing tells, so nothing is guessed."""
    folder = copy_of()
    shutil.rmtree(folder / "1_Dense")
    (folder / "modules.json").unlink()
    with pytest.raises(
        ModelFormatError, match=r"32 numbers a token, which its hidden states have, too.*projected"
    ):
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])
    known = KnownModel(name=str(folder), licence="MIT", embedding_size=16, parameters_millions=1)
    assert read_config(folder, registered=known.all_settings()).embedding_size == 16
    assert ColbertEncoder.from_pretrained(folder, config={"projected": True}).dim == 32


def test_an_unprojected_graph_without_its_projection_is_refused(copy_of: Callable[..., Path]) -> None:
    """The dropped projection is the classic silent fault; a size that is known makes it loud."""
    folder = copy_of()
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    with pytest.raises(ModelFormatError, match=r"gives 32 numbers a token, expected 16 \(projected\)"):
        ColbertEncoder.from_pretrained(folder, config={"embedding_size": 16}).encode_documents(["mars"])


def test_a_stanford_checkpoints_projection_is_applied_to_an_unprojected_graph(
    copy_of: Callable[..., Path],
) -> None:
    """linear.weight of the checkpoint does what the Dense folder does."""
    folder = copy_of()
    expected = ColbertEncoder.from_pretrained(folder).encode_documents(TEXTS)
    weight = (folder / "1_Dense" / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weight)  # its one tensor is called linear.weight, too
    shutil.rmtree(folder / "1_Dense")
    (folder / "modules.json").unlink()
    for rows, reference in zip(
        ColbertEncoder.from_pretrained(folder).encode_documents(TEXTS), expected, strict=True
    ):
        np.testing.assert_array_equal(rows, reference)


def test_numpy_numbers_are_counts() -> None:
    """They make the same encoder: its fingerprint and what is pickled of it know no numpy."""
    given = {"threads": 2, "workers": 0, "tokens_per_batch": 300, "truncate_dim": 8, "pool_factor": 2}
    encoder, same = (
        ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", **options)  # type: ignore[arg-type]
        for options in (given, {name: np.int64(value) for name, value in given.items()})
    )
    assert pickle.dumps(same) == pickle.dumps(encoder)
    assert same.fingerprint == encoder.fingerprint
    for rows, expected in zip(same.encode_documents(TEXTS), encoder.encode_documents(TEXTS), strict=True):
        np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("argument", ["threads", "tokens_per_batch", "truncate_dim"])
@pytest.mark.parametrize("value", [0, -1, True, np.True_, 1.5, np.float64(2), "2"])
def test_numbers_that_are_no_counts_are_refused(argument: str, value: object) -> None:
    """Zero threads or half a token is a mistake of the caller."""
    with pytest.raises(InputError, match=argument):
        ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", **{argument: value})  # type: ignore[arg-type]


def test_a_provider_that_is_not_there_is_an_error() -> None:
    """Asking for CUDA must never end on the CPU in silence."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers=["NoSuchExecutionProvider"])
    with pytest.raises(ProviderError, match=r"has no NoSuchExecutionProvider, only .*CPUExecutionProvider"):
        encoder.encode_queries(["mars"])


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_provider_that_did_not_come_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime lists CUDA, fails to start it and goes on with the CPU: that is a fallback, and refused."""
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers=["cuda"])
    with pytest.raises(ProviderError, match="CUDAExecutionProvider was asked for and did not come up"):
        encoder.encode_queries(["mars"])


def test_what_is_no_provider_is_refused() -> None:
    """An empty list or a number is found when the encoder is made; one name needs no list."""
    for providers in ([], [3], [("cuda",)]):
        with pytest.raises(InputError, match="providers is"):
            ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers=providers)  # type: ignore[arg-type]
    assert ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers="cpu").encode_queries(["mars"])


def test_a_gpu_gets_few_large_batches_and_a_cpu_small_ones() -> None:
    """On a GPU similar lengths share a run; on a CPU only equal ones do."""
    gpu = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers=["cuda", "cpu"])._embedder.batching
    cpu = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate")._embedder.batching
    assert list(gpu.plan([100, 90, 90, 20])) == [[0, 1, 2], [3]]
    assert list(cpu.plan([100, 90, 90, 20])) == [[0], [1, 2], [3]]


def test_runs_stay_under_the_token_budget(
    tiny_encoder: ColbertEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is encoded, no run of the network is larger than 512 tokens: memory is bounded."""
    shapes: list[tuple[int, ...]] = []
    run = OnnxSession.run
    monkeypatch.setattr(
        OnnxSession, "run", lambda self, ids, mask: shapes.append(ids.shape) or run(self, ids, mask)
    )
    tiny_encoder.encode_documents(["mars " * (number % 60) for number in range(3000)])
    assert sum(batch for batch, _ in shapes) == 3000
    assert max(batch * tokens for batch, tokens in shapes) <= 512


def test_texts_are_tokenised_in_rounds(tiny_encoder: ColbertEncoder) -> None:
    """A corpus is never held as tokens all at once."""
    rounds: list[int] = []
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate")
    real = encoder._tokenizer

    class Watching:
        def documents(self, texts: list[str]) -> object:
            rounds.append(len(texts))
            return real.documents(texts)

    encoder.__dict__["_tokenizer"] = Watching()
    encoder.encode_documents(["mars"] * 2500)
    assert sum(rounds) == 2500
    assert max(rounds) <= 1024


def test_the_session_neither_spins_nor_takes_more_threads_than_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Idle threads that spin cost more than the work."""
    import onnxruntime

    seen = []
    real = onnxruntime.InferenceSession

    def watching(path: object, options: onnxruntime.SessionOptions, **arguments: object) -> object:
        seen.append(
            (
                options.get_session_config_entry("session.intra_op.allow_spinning"),
                options.intra_op_num_threads,
            )
        )
        return real(path, options, **arguments)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watching)
    ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=2).encode_queries(["mars"])
    assert seen == [("0", 1)]


def test_several_outputs_with_rows_are_told_apart_by_name(copy_of: Callable[..., Path]) -> None:
    """A graph with sparse weights and ColBERT rows: known names win, others must be named."""
    folder = copy_of("bert-stanford")
    expected = ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])[0]
    onnx_graphs.with_outputs_renamed(folder / "model.onnx", rows="colbert_vecs", other="sparse_vecs")
    with pytest.raises(ModelFormatError, match=r"several outputs.*sparse_vecs.*config=\{\"output\""):
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])
    chosen = ColbertEncoder.from_pretrained(folder, config={"output": "colbert_vecs"})
    np.testing.assert_allclose(chosen.encode_documents(["mars"])[0], expected, atol=1e-6)
    onnx_graphs.with_outputs_renamed(folder / "model.onnx", rows="token_embeddings", other="sparse_vecs")
    np.testing.assert_allclose(
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])[0], expected, atol=1e-6
    )


def test_position_ids_are_counted_from_zero(copy_of: Callable[..., Path]) -> None:
    """Some exporters make them an input."""
    folder = copy_of("bert-stanford")
    onnx_graphs.with_position_ids_added_to_the_output(folder / "model.onnx")
    session = OnnxSession(folder / "model.onnx")
    ids, mask = np.array([[4, 9, 9, 5]]), np.ones((1, 4), dtype=bool)
    plain = OnnxSession(GOLDEN / "bert-stanford" / "model.onnx").run(ids, mask)
    np.testing.assert_allclose(session.run(ids, mask)[0, :, 0] - plain[0, :, 0], [0, 1, 2, 3], atol=1e-5)


def test_the_cpu_provider_can_be_named_with_options() -> None:
    """Short names and (name, options) pairs both work."""
    for providers in (["cpu"], ["CPUExecutionProvider"], [("cpu", {})]):
        assert ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers=providers).encode_queries(
            ["mars"]
        )


def test_a_missing_onnxruntime_says_what_to_install() -> None:
    """Without onnxruntime the error names both builds."""
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "import laterank\n"
        f"encoder = laterank.ColbertEncoder.from_pretrained({str(GOLDEN / 'bert-pylate')!r})\n"
        "try: encoder.encode_queries(['mars'])\n"
        "except laterank.ProviderError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install onnxruntime" in result.stdout
    assert "onnxruntime-gpu" in result.stdout


def test_a_doubled_onnxruntime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two builds in one environment overwrite each other's files."""
    monkeypatch.setattr(
        "laterank.runtime._installed", lambda name: name in ("onnxruntime", "onnxruntime-gpu")
    )
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", providers=["NoSuchExecutionProvider"])
    with pytest.raises(ProviderError, match="onnxruntime and onnxruntime-gpu are both installed"):
        encoder.encode_queries(["mars"])


def test_unknown_modules_are_not_skipped_over(copy_of: Callable[..., Path]) -> None:
    """A LayerNorm after the projection changes every row; leaving it out would be silent."""
    folder = copy_of()
    modules = json.loads((folder / "modules.json").read_text())
    modules.append(
        {"idx": 2, "name": "2", "path": "2_LayerNorm", "type": "sentence_transformers.models.LayerNorm"}
    )
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelFormatError, match=r"module .*LayerNorm.*expected only Transformer, Dense"):
        ColbertEncoder.from_pretrained(folder)


def test_a_pickle_of_the_bundled_model_holds_no_path() -> None:
    """Where it is read, the wheel may lie elsewhere."""
    encoder = pickle.loads(pickle.dumps(ColbertEncoder.from_pretrained()))
    assert encoder.files == ColbertEncoder.from_pretrained().files
    assert copy.copy(encoder) is encoder


def test_a_square_projection_is_not_guessed(copy_of: Callable[..., Path]) -> None:
    """A graph whose size the projection keeps may end with it or not; the caller must say."""
    folder = copy_of("bert-stanford")
    layer = folder / "1_Dense"
    layer.mkdir()
    weight = np.eye(16, dtype="<f4")[::-1].tobytes()
    header = json.dumps(
        {"linear.weight": {"dtype": "F32", "shape": [16, 16], "data_offsets": [0, len(weight)]}}
    ).encode()
    (layer / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + weight)
    (layer / "config.json").write_text(json.dumps({"bias": False, "activation_function": "Identity"}))
    with pytest.raises(ModelFormatError, match=r"nothing tells.*projected"):
        ColbertEncoder.from_pretrained(folder).encode_documents(["mars"])
    inside = ColbertEncoder.from_pretrained(folder, config={"projected": True}).encode_documents(["mars"])[0]
    outside = ColbertEncoder.from_pretrained(folder, config={"projected": False}).encode_documents(["mars"])[
        0
    ]
    np.testing.assert_allclose(outside, inside[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("own", [None, "0", "1"])
def test_the_callers_environment_is_left_as_it_was(own: str | None) -> None:
    """Importing onnxruntime sets its telemetry switch for a moment, and never touches the caller's own."""
    code = (
        "import os\n"
        "from laterank import ColbertEncoder\n"
        f"ColbertEncoder.from_pretrained({str(GOLDEN / 'bert-pylate')!r}).encode_queries(['mars'])\n"
        "print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"ORT_DISABLE_TELEMETRY": own} if own is not None else {}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.strip() == str(own)
