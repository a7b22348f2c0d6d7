"""Exported graphs against what the reference libraries computed from the same checkpoints, and what export refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import GOLDEN, edit_json, write_tensors
from onnx import numpy_helper

from laterank import ColbertEncoder, InputError, ModelFormatError, Reranker
from laterank.encoding.projection import Layer, Projection
from laterank.export import ExportReport, export_model
from laterank.export.bert import BertNetwork
from laterank.export.network import read_network
from laterank.model.safetensors import read_tensor, tensor_names

TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
CHECKPOINTS = {
    "bert-pylate": ("pylate", {}),
    "bert-stanford": ("pylate", {}),
    "bert-st6": ("st6", {}),
    "xlmr-jina": ("pylate", {"skiplist_match": "token"}),
    "modernbert-pylate": ("pylate", {}),
}
"""Which library's golden rows count, and what its reading of the settings differs in."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ExportReport]:
    """Return a function that exports a tiny model once."""
    folder, done = tmp_path_factory.mktemp("exported"), {}

    def export(name: str) -> ExportReport:
        if name not in done:
            done[name] = export_model(GOLDEN / name, folder / name)
        return done[name]

    return export


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_an_exported_graph_gives_the_rows_of_the_torch_model(
    name: str, exported: Callable[[str], ExportReport]
) -> None:
    """PyLate's and sentence-transformers' own rows of the same weights, queries with their expansion and documents."""
    reference, config = CHECKPOINTS[name]
    golden = np.load(GOLDEN / name / "golden.npz")
    encoder = ColbertEncoder.from_pretrained(exported(name).folder, config=config, quantized=False)
    for side, encode in (("query", encoder.encode_queries), ("document", encoder.encode_documents)):
        texts = TEXTS["queries" if side == "query" else "documents"]
        expected = golden[f"{reference}_{side}_rows"]
        np.testing.assert_allclose(np.concatenate(encode(texts)), expected, atol=1e-5)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_an_int8_graph_keeps_the_rows_near_and_independent_of_batch_mates(
    name: str, exported: Callable[[str], ExportReport]
) -> None:
    """On texts that no range was fitted on, each alone and all together."""
    folder = exported(name).folder
    exact, rounded = (ColbertEncoder.from_pretrained(folder, quantized=int8) for int8 in (False, True))
    together = rounded.encode_documents(TEXTS["documents"])
    for rows, text in zip(together, TEXTS["documents"], strict=True):
        np.testing.assert_array_equal(rows, rounded.encode_documents([text])[0])
    expected = np.concatenate(exact.encode_documents(TEXTS["documents"]))
    assert np.einsum("ij,ij->i", np.concatenate(together), expected).mean() > 0.99


def test_a_report_says_what_was_measured(exported: Callable[[str], ExportReport]) -> None:
    """The numbers are those of the files, and stand beside them as JSON."""
    report = exported("bert-pylate")
    assert (report.architecture, report.dim) == ("bert", 16)
    assert report.parity > 0.99999
    assert report.batch_difference < 1e-5
    assert report.graph_bytes == (report.folder / "onnx" / "model.onnx").stat().st_size
    assert report.int8_bytes == (report.folder / "onnx" / "model_int8.onnx").stat().st_size
    assert report.fidelity is not None
    assert 0.995 <= report.fidelity.cosine_mean <= 1.0001
    written = json.loads((report.folder / "export.json").read_text(encoding="utf-8"))
    assert written["fidelity"]["cosine_mean"] == report.fidelity.cosine_mean


def test_an_exported_model_ranks(exported: Callable[[str], ExportReport]) -> None:
    """The folder alone is a model: no setting has to be passed."""
    report = exported("bert-stanford")
    assert report.config == {}
    ranking = Reranker.from_pretrained(report.folder).rank(TEXTS["queries"][0], TEXTS["documents"][:4])
    original = Reranker.from_pretrained(GOLDEN / "bert-stanford").rank(
        TEXTS["queries"][0], TEXTS["documents"][:4]
    )
    assert [place.index for place in ranking] == [place.index for place in original]
    assert [place.score for place in ranking] == pytest.approx([place.score for place in original], abs=0.01)


def test_settings_that_the_files_do_not_tell_are_reported(tmp_path: Path) -> None:
    """What the caller corrected has to be passed at loading, too, and the report says so."""
    report = export_model(
        GOLDEN / "bert-pylate", tmp_path / "model", config={"document_length": 20}, quantize=False
    )
    assert report.config == {"document_length": 20}
    assert ColbertEncoder.from_pretrained(report.folder, config=report.config).config.document_length == 20
    assert not (report.folder / "onnx" / "model_int8.onnx").exists()


def test_shards_are_one_checkpoint(tmp_path: Path, copy_of: Callable[..., Path]) -> None:
    """A checkpoint cut into several files gives the same graph."""
    source = copy_of()
    weights, places = source / "model.safetensors", {}
    names = tensor_names(weights)
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), start=1):
        shard = f"model-0000{number}-of-00002.safetensors"
        write_tensors(source / shard, {name: read_tensor(weights, name) for name in part})
        places |= dict.fromkeys(part, shard)
    weights.unlink()
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    one, other = (
        export_model(folder, tmp_path / "out" / name, quantize=False)
        for name, folder in (("shards", source), ("whole", GOLDEN / "bert-pylate"))
    )
    assert (one.folder / "onnx" / "model.onnx").read_bytes() == (
        other.folder / "onnx" / "model.onnx"
    ).read_bytes()


@pytest.mark.parametrize("has_torch", [False, True])
def test_the_head_of_bge_m3_lies_in_a_file_of_its_own(
    tmp_path: Path, copy_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, *, has_torch: bool
) -> None:
    """It is part of the graph; without torch, whose pickle the file is, another reader stands in."""
    source, head = copy_of("bert-stanford"), tmp_path / "head.safetensors"
    weights = source / "model.safetensors"
    stored = {name: read_tensor(weights, name) for name in tensor_names(weights)}
    matrix = stored.pop("linear.weight")
    write_tensors(weights, stored)
    write_tensors(head, {"weight": matrix})
    if has_torch:
        torch = pytest.importorskip("torch")
        torch.save({"weight": torch.from_numpy(matrix)}, source / "colbert_linear.pt")
    else:
        (source / "colbert_linear.pt").write_bytes(b"a pickle")
        with pytest.raises(ModelFormatError, match=r"colbert_linear\.pt can"):
            export_model(source, tmp_path / "refused")
        monkeypatch.setattr(
            "laterank.export.source.read_pickled",
            lambda path: {"weight": lambda: read_tensor(path.with_name("head"), "weight")},
        )
        shutil.copyfile(head, source / "head")
    found, wanted = (
        export_model(folder, tmp_path / "out" / name, quantize=False)
        for name, folder in (("own", source), ("beside", GOLDEN / "bert-stanford"))
    )
    assert (found.folder / "onnx" / "model.onnx").read_bytes() == (
        wanted.folder / "onnx" / "model.onnx"
    ).read_bytes()
    assert not (found.folder / "colbert_linear.pt").exists()


@pytest.mark.parametrize("activation", ["Identity", "ReLU", "Tanh", "Sigmoid", "SiLU", "GELU"])
@pytest.mark.parametrize("residual", [False, True, "matrix"])
def test_every_projection_has_the_same_meaning_in_the_graph(
    activation: str, residual: bool | str, tmp_path: Path
) -> None:
    """The Dense chain in the graph gives what the one in numpy gives, which the goldens pin."""
    random = np.random.default_rng(5)
    network = read_network(GOLDEN / "bert-pylate")
    assert network is not None
    wide = residual is True
    weight = random.standard_normal((32 if wide else 8, 32)).astype(np.float32)
    branch = random.standard_normal((8, 32)).astype(np.float32) if residual == "matrix" else residual
    bias = random.standard_normal(len(weight)).astype(np.float32)
    last = Layer(
        random.standard_normal((6, len(weight))).astype(np.float32), None, "Identity", residual=False
    )
    projection = Projection((Layer(weight, bias, activation, branch), last))
    ids, attention = np.arange(5, 17), np.arange(12) < 10
    expected = projection(network.states(ids, attention))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    graph = tmp_path / "model.onnx"
    onnx.save(network.graph(projection), graph)
    [rows] = run(graph, ids[None], attention[None])
    np.testing.assert_allclose(rows[attention], expected[attention], atol=1e-5)


def test_a_layer_may_have_fewer_heads_and_neurons_than_another(tmp_path: Path) -> None:
    """Left out or without effect is the same: by the definition, and in the graph."""
    network = read_network(GOLDEN / "bert-pylate")
    assert isinstance(network, BertNetwork)
    size = network.hidden // network.heads
    kept = np.delete(np.arange(network.hidden), np.arange(size, 2 * size))  # all heads but the second
    silent, narrow = dict(network.weights), dict(network.weights)
    packed = np.concatenate([kept + network.hidden * part for part in range(3)])
    for part in ("weight", "bias"):
        narrow[f"layers.0.qkv.{part}"] = network.weights[f"layers.0.qkv.{part}"][packed]
        narrow[f"layers.0.up.{part}"] = network.weights[f"layers.0.up.{part}"][5:]
    for name, places in (("attention_out", kept), ("down", np.arange(5, 64))):
        whole = network.weights[f"layers.0.{name}.weight"]
        narrow[f"layers.0.{name}.weight"] = whole[:, places]
        silent[f"layers.0.{name}.weight"] = np.zeros_like(whole)
        silent[f"layers.0.{name}.weight"][:, places] = whole[:, places]
    ids, attention = np.arange(5, 17), np.arange(12) < 10
    expected = replace(network, weights=silent).states(ids, attention)
    found = replace(network, weights=narrow)
    np.testing.assert_allclose(found.states(ids, attention), expected, atol=1e-5)
    graph = tmp_path / "model.onnx"
    onnx.save(found.graph(None), graph)
    [rows] = run(graph, ids[None], attention[None])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(rows[attention], expected[attention], atol=1e-5)


def run(path: Path, ids: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Run a graph as the package does."""
    from laterank.encoding.session import OnnxSession

    return OnnxSession(path).run(ids, attention)


@pytest.mark.parametrize("name", ["bert-pylate", "xlmr-jina", "modernbert-pylate"])
@pytest.mark.parametrize("tokens", [1, 2, 9, 10, 60])
def test_padding_changes_no_row(name: str, tokens: int, tmp_path: Path) -> None:
    """A text beside a longer one, whose attention mask hides the padding, has the rows that it has alone."""
    network = read_network(GOLDEN / name)
    assert network is not None
    graph = tmp_path / "model.onnx"
    onnx.save(network.graph(None), graph)
    ids = np.random.default_rng(6).integers(5, 300, (2, 64))
    attention = np.ones_like(ids, dtype=bool)
    attention[0, tokens:] = False
    alone = run(graph, ids[:1, :tokens], attention[:1, :tokens])[0]
    np.testing.assert_allclose(run(graph, ids, attention)[0, :tokens], alone, atol=1e-5)


# --- what is refused ------------------------------------------------------------------------------------------------


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """Neither a folder of the user's nor, without being asked to, an earlier export; and never the model itself."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="no earlier export"):
        export_model(GOLDEN / "bert-pylate", mine, overwrite=True)
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="the model itself"):
        export_model(GOLDEN / "bert-pylate", GOLDEN / "bert-pylate", overwrite=True)


def test_an_earlier_export_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Only when asked to; nothing of the old one stays, and nothing lies about."""
    target = tmp_path / "model"
    export_model(GOLDEN / "bert-pylate", target, quantize=False)
    with pytest.raises(InputError, match="overwrite=True"):
        export_model(GOLDEN / "bert-stanford", target)
    export_model(GOLDEN / "bert-stanford", target, quantize=False, overwrite=True)
    assert (target / "artifact.metadata").is_file()
    assert not (target / "1_Dense").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_appears_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export takes minutes; what somebody else puts in its place is not moved away."""
    target = tmp_path / "model"

    def somebody_else(*_: object) -> ExportReport:
        (target / "theirs").mkdir(parents=True)
        return ExportReport(target, "bert", 16, 1.0, 0.0, 1, None, None, (), {})

    monkeypatch.setattr("laterank.export.export._checked", somebody_else)
    for overwrite in (False, True):
        with pytest.raises(InputError, match="is no earlier export"):
            export_model(GOLDEN / "bert-pylate", target, overwrite=overwrite)
        shutil.rmtree(target)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_checkpoint_leaves_nothing_behind(tmp_path: Path, copy_of: Callable[..., Path]) -> None:
    """A weight that is missing is named, and no half export stays."""
    source = copy_of()
    edit_json(source / "config.json", num_hidden_layers=3)
    with pytest.raises(ModelFormatError, match=r'no weight "encoder\.layer\.2\.attention'):
        export_model(source, tmp_path / "out" / "model")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "xielu"}, "activation 'xielu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"num_attention_heads": None}, "num_attention_heads"),
    ],
)
def test_a_network_of_another_kind_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path, copy_of: Callable[..., Path]
) -> None:
    """What is not known to be written right is not written."""
    source = copy_of()
    gone = tuple(name for name, value in changes.items() if value is None)
    edit_json(source / "config.json", remove=gone, **{k: v for k, v in changes.items() if v is not None})
    with pytest.raises(ModelFormatError, match=message):
        export_model(source, tmp_path / "model")


def test_an_unknown_architecture_says_what_it_needs(tmp_path: Path, copy_of: Callable[..., Path]) -> None:
    """Without torch the error names the extra; with it, transformers has no such network either."""
    source = copy_of()
    edit_json(source / "config.json", model_type="perceiver-of-tomorrow")
    with pytest.raises(ModelFormatError, match="perceiver-of-tomorrow"):
        export_model(source, tmp_path / "model")


def test_a_folder_without_weights_is_told_from_one_with_a_graph(
    tmp_path: Path, copy_of: Callable[..., Path]
) -> None:
    """The cure differs: a graph needs no export."""
    source = copy_of("lighton")
    (source / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelFormatError, match="laterank quantize"):
        export_model(source, tmp_path / "model")


def test_a_pickled_checkpoint_needs_torch(tmp_path: Path, copy_of: Callable[..., Path]) -> None:
    """It says so where torch is missing; where it is there, a file that is no checkpoint is named."""
    source = copy_of()
    shutil.move(source / "model.safetensors", source / "pytorch_model.bin")
    with pytest.raises(ModelFormatError, match=r"pytorch_model\.bin"):
        export_model(source, tmp_path / "model")


def test_a_distilbert_goes_through_torch(tmp_path: Path, copy_of: Callable[..., Path]) -> None:
    """An architecture that laterank does not write: traced, given its head, quantised, checked against torch."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    source = copy_of()
    (source / "model.safetensors").unlink()
    config = transformers.DistilBertConfig(
        vocab_size=385, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=128
    )
    transformers.DistilBertModel(config).save_pretrained(source)
    report = export_model(source, tmp_path / "model")
    assert report.architecture == "distilbert"
    assert report.parity > 0.99999


# --- the bundled model ----------------------------------------------------------------------------------------------


def test_the_bundled_graph_is_what_this_writer_writes() -> None:
    """Its nodes come out again from weights of its shape: what ships and what users export are of one kind."""
    from laterank.export.bert import BertNetwork
    from laterank.export.quantization import quantize_graph
    from laterank.export.six_bits import unpack

    shipped = onnx.load(Reranker.from_pretrained().encoder.files.onnx)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in shipped.graph.initializer}
    weights = {
        name: (value.T if value.ndim == 2 else value).astype(np.float32)
        for name, value in stored.items()
        if name.startswith(("norm.", "layers."))
    }
    weights |= {f"{name}.weight": stored[name].astype(np.float32) for name in ("words", "positions")}
    head = Layer(stored["head.weight"].T.astype(np.float32), stored["head.bias"], "Identity", residual=False)
    smoothing = {
        name.removesuffix(".smooth"): np.ones(len(value), np.float32)
        for name, value in stored.items()
        if name.endswith(".smooth")
    }
    half = stored["words_scale"].dtype == np.float16
    packed = stored["words"].dtype == np.uint8
    if packed:
        weights["words.weight"] = unpack(stored["words"]).astype(np.float32)
    gap = range(104, 104 + stored["gap"].item()) if "gap" in stored else range(0)
    if gap:  # what quantising leaves out has to be there first
        weights["words.weight"] = np.insert(weights["words.weight"], [gap.start] * len(gap), 0, axis=0)
    full = BertNetwork(weights, heads=12).graph(Projection((head,)))
    again = quantize_graph(
        full, smoothing=smoothing, half_precision=half, unused_ids=gap, six_bit_words=packed
    )
    assert [kind(node, stored) for node in again.graph.node] == [
        kind(node, stored) for node in shipped.graph.node
    ]
    ours = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in again.graph.initializer}
    assert ours == {
        tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in shipped.graph.initializer
    }


def kind(node: onnx.NodeProto, stored: dict[str, np.ndarray]) -> tuple[str, list[str], list[bytes]]:
    """Return a node's operator, the stored tensors that it reads, and its attributes, branches among them."""
    attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    return node.op_type, [name for name in node.input if name in stored], attributes
