"""The models that speed is measured with, written so that laterank, fastembed and PyLate all load the same weights."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from minilm import NETWORK, minilm_checkpoint
from numpy.typing import NDArray
from onnx import numpy_helper

import laterank
from laterank.encoding.projection import Layer, Projection
from laterank.export import quantize_model
from laterank.export.bert import BertNetwork
from laterank.export.checkpoint import open_checkpoint
from laterank.export.graph import Floats
from laterank.export.network import read_network
from laterank.export.saving import load_graph, save_graph
from laterank.model.safetensors import read_tensor, tensor_names

__all__ = ["DIM", "answerai_folder", "minilm_colbert_folder"]

DIM = 128
POSITIONS = 512
BUNDLED = Path(laterank.__file__).parent / "model" / "bundled"
SPECIAL = {
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}
ATTENTION = ("query", "key", "value")
PARTS = {"attention_out": "attention/output/dense", "up": "intermediate/dense", "down": "output/dense"}
NORMS = {"attention_norm": "attention.output.LayerNorm", "output_norm": "output.LayerNorm"}


def minilm_colbert_folder(build: Path) -> Path:
    """Write MiniLM-L6 with 128 numbers a token once: ``model.onnx``, ``model_int8.onnx``, and ``pylate/`` for torch.

    The encoder's weights are all-MiniLM-L6-v2's; the projection is orthonormal and drawn, because nobody has trained one.
    The INT8 graph is what ``laterank quantize`` makes of it.
    """
    folder = build / f"minilm-colbert-{_writers_digest()}"
    if (folder / "model_int8.onnx").is_file():
        return folder
    checkpoint = minilm_checkpoint(build)
    network = read_network(checkpoint)
    if not isinstance(network, BertNetwork):
        raise SystemExit(f"{checkpoint} holds no BERT")
    drawn = np.random.default_rng(0).standard_normal((network.hidden, DIM))
    head = np.linalg.qr(drawn)[0].T.astype(np.float32)
    _write_folder(folder, network, head, BUNDLED / "tokenizer.json")
    _write_stanford(folder / "pylate", checkpoint, folder, head)
    quantize_model(folder, overwrite=True)
    return folder


def answerai_folder(build: Path, source: Path) -> Path:
    """Write answerai-colbert-small-v1 in full precision once, from the INT8 weights of a folder that has them.

    The numbers are rounded to INT8's steps; the work is that of the published fp32 model: 12 layers, 384 wide, 96 numbers a
    token.
    """
    folder = build / f"answerai-fp32-{_writers_digest()}"
    if (folder / "model.onnx").is_file():
        return folder
    graph = load_graph(source / "onnx" / "model_int8.onnx").graph
    settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    network = BertNetwork(_dequantised_weights(graph), settings["num_attention_heads"])
    head = read_tensor(source / "1_Dense" / "model.safetensors", "linear.weight")
    _write_folder(folder, network, head, source / "tokenizer.json")
    return folder


@cache
def _writers_digest() -> str:
    """Return what tells one state of the code that writes graphs from another: a model of an older one is not measured."""
    files = [Path(__file__), *sorted((Path(laterank.__file__).parent / "export").glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def _write_folder(folder: Path, network: BertNetwork, head: Floats, tokenizer: Path) -> None:
    """Write the graph and the small files: laterank reads PyLate's settings, fastembed the tokenizer's."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    marked = {"query_prefix": "[unused0]", "document_prefix": "[unused1]"}
    lengths = {"query_length": 32, "document_length": POSITIONS}
    punctuation = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    shape = {"hidden_size": network.hidden, "num_hidden_layers": network.layers}
    for name, content in {
        "config.json": {**NETWORK, **shape},
        "config_sentence_transformers.json": {**marked, **lengths, "skiplist_words": punctuation},
        "special_tokens_map.json": dict(SPECIAL),
        "tokenizer_config.json": {**SPECIAL, "model_max_length": POSITIONS},
    }.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    partial = folder / "model.onnx.partial"
    save_graph(network.graph(Projection((Layer(head, None, "Identity", residual=False),))), partial)
    partial.rename(folder / "model.onnx")


def _write_stanford(folder: Path, weights: Path, model: Path, head: Floats) -> None:
    """Write the checkpoint as Stanford's library has it, which PyLate loads."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model / "tokenizer.json", folder / "tokenizer.json")
    settings = {**NETWORK, "architectures": ["HF_ColBERT"], "intermediate_size": 4 * NETWORK["hidden_size"]}
    settings |= {"vocab_size": 30_522, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    tokens = {**SPECIAL, "tokenizer_class": "BertTokenizer", "model_max_length": POSITIONS}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(SPECIAL), encoding="utf-8")
    read = open_checkpoint(weights).below("embeddings.word_embeddings.weight")
    names = [
        name for name in tensor_names(weights / "model.safetensors") if not name.endswith("position_ids")
    ]
    _write_safetensors(
        folder / "model.safetensors",
        {"linear.weight": head, **{f"bert.{name}": read(name) for name in names}},
    )


def _write_safetensors(path: Path, tensors: Mapping[str, Floats]) -> None:
    """Write float32 tensors in the format's three parts: header length, JSON header, raw numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    written = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(written)) + written)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())


def _dequantised_weights(graph: onnx.GraphProto) -> dict[str, Floats]:
    """Read a dynamically quantised BERT's weights as floats: ``(integer - zero point) * scale``, under our names."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def floats(name: str) -> NDArray[np.float32]:
        zero = stored[f"{name}_zero_point"].astype(np.float32)
        return (stored[f"{name}_quantized"].astype(np.float32) - zero) * stored[f"{name}_scale"]

    products = {
        node.name.removeprefix("/").removesuffix("/MatMul_quant"): floats(
            node.input[1].removesuffix("_quantized")
        ).T
        for node in graph.node
        if node.op_type == "MatMulInteger"
    }
    table = {
        name: floats(f"embeddings.{name}_embeddings.weight") for name in ("word", "position", "token_type")
    }
    weights = {
        "words.weight": table["word"],
        "positions.weight": table["position"] + table["token_type"][0],
        "norm.weight": stored["embeddings.LayerNorm.weight"],
        "norm.bias": stored["embeddings.LayerNorm.bias"],
    }
    layers = 1 + max(int(path.split("layer.")[1].split("/")[0]) for path in products if "layer." in path)
    for number in range(layers):
        ours, path, dotted = f"layers.{number}", f"encoder/layer.{number}", f"encoder.layer.{number}"
        packed = [products[f"{path}/attention/self/{part}"] for part in ATTENTION]
        biases = [stored[f"{dotted}.attention.self.{part}.bias"] for part in ATTENTION]
        weights |= {f"{ours}.qkv.weight": np.concatenate(packed), f"{ours}.qkv.bias": np.concatenate(biases)}
        for name, theirs in PARTS.items():
            weights[f"{ours}.{name}.weight"] = products[f"{path}/{theirs}"]
            weights[f"{ours}.{name}.bias"] = stored[f"{dotted}.{theirs.replace('/', '.')}.bias"]
        for name, theirs in NORMS.items():
            for part in ("weight", "bias"):
                weights[f"{ours}.{name}.{part}"] = stored[f"{dotted}.{theirs}.{part}"]
    return weights
