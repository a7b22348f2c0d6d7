"""A model of MiniLM-L6's shape with random weights: speed depends on the shapes, not on what the weights know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["build_model"]

LAYERS, HIDDEN, HEADS, INNER, DIM = 6, 384, 12, 1536, 128
WORDS, POSITIONS = 30_522, 512
EPSILON = 1e-12

Floats = NDArray[np.float32]


class Graph:
    """Collects nodes and weights in the shape that a plain export from torch has."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        output = f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def constant(self, value: NDArray[np.generic]) -> str:
        """Store a tensor and return its name."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def random(self, *shape: int, scale: float) -> str:
        """Store normally distributed weights and return their name."""
        return self.constant((self._random.standard_normal(shape) * scale).astype(np.float32))

    def integers(self, *values: int) -> str:
        """Store a list of whole numbers and return its name."""
        return self.constant(np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        """Store one float and return its name."""
        return self.constant(np.array(value, dtype=np.float32))

    def linear(self, source: str, inputs: int, outputs: int) -> str:
        """Add ``x W + b``."""
        weight = self.random(inputs, outputs, scale=inputs**-0.5)
        return self.add("Add", self.add("MatMul", source, weight), self.random(outputs, scale=0.02))

    def norm(self, source: str) -> str:
        """Add a layer normalisation."""
        scale = self.constant(np.ones(HIDDEN, dtype=np.float32))
        shift = self.random(HIDDEN, scale=0.02)
        return self.add("LayerNormalization", source, scale, shift, axis=-1, epsilon=EPSILON)


def build_model(folder: Path, tokenizer: Path) -> Path:
    """Write a model folder that laterank and fastembed both load, and return it.

    Args:
        folder: Where to; nothing is written anew if it is complete.
        tokenizer: A ``tokenizer.json`` of BERT's uncased vocabulary with the markers ``[unused0]`` and ``[unused1]``.
    """
    if (folder / "model.onnx").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    for name, content in _settings().items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    partial = folder / "model.onnx.partial"
    onnx.save(_encoder(), partial)
    partial.rename(folder / "model.onnx")
    return folder


def _settings() -> dict[str, dict[str, object]]:
    """Return the small files: laterank reads PyLate's settings, fastembed the tokenizer's."""
    special = {"pad_token": "[PAD]", "mask_token": "[MASK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    special |= {"unk_token": "[UNK]"}
    marked = {"query_prefix": "[unused0]", "document_prefix": "[unused1]"}
    lengths = {"query_length": 32, "document_length": POSITIONS}
    network = {"model_type": "bert", "pad_token_id": 0, "max_position_embeddings": POSITIONS}
    punctuation = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return {
        "config.json": {**network, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS},
        "config_sentence_transformers.json": {**marked, **lengths, "skiplist_words": punctuation},
        "special_tokens_map.json": dict(special),
        "tokenizer_config.json": {**special, "model_max_length": POSITIONS},
    }


def _encoder() -> onnx.ModelProto:
    graph = Graph()
    mask = _attention_bias(graph)
    words = graph.add("Gather", graph.random(WORDS, HIDDEN, scale=0.05), "input_ids")
    length = graph.add("Shape", "input_ids", start=1, end=2)
    places = graph.random(POSITIONS, HIDDEN, scale=0.05)
    places = graph.add("Slice", places, graph.integers(0), length, graph.integers(0))
    states = graph.norm(graph.add("Add", words, places))
    for _ in range(LAYERS):
        states = _layer(graph, states, mask)
    projected = graph.add("MatMul", states, graph.random(HIDDEN, DIM, scale=HIDDEN**-0.5))
    size = graph.add("ReduceL2", projected, graph.integers(-1), keepdims=1)
    graph.nodes.append(helper.make_node("Div", [projected, size], ["contextual"]))
    return _model(graph)


def _attention_bias(graph: Graph) -> str:
    """Turn the mask of ones and zeros into zeros and huge negative numbers. *Shape:* ``(batch, 1, 1, tokens)``"""
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = graph.add("Unsqueeze", mask, graph.integers(1, 2))
    hidden = graph.add("Sub", graph.number(1), mask)
    return graph.add("Mul", hidden, graph.number(float(np.finfo(np.float32).min)))


def _layer(graph: Graph, states: str, mask: str) -> str:
    """Add one BERT layer (Devlin et al. 2018, arXiv 1810.04805)."""
    query, key, value = (_heads(graph, graph.linear(states, HIDDEN, HIDDEN)) for _ in range(3))
    turned = graph.add("Transpose", key, perm=[0, 1, 3, 2])
    scores = graph.add("MatMul", query, turned)
    scores = graph.add("Div", scores, graph.number((HIDDEN // HEADS) ** 0.5))
    weights = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    mixed = graph.add("Reshape", mixed, graph.integers(0, 0, HIDDEN))
    states = graph.norm(graph.add("Add", graph.linear(mixed, HIDDEN, HIDDEN), states))
    raised = _gelu(graph, graph.linear(states, HIDDEN, INNER))
    return graph.norm(graph.add("Add", graph.linear(raised, INNER, HIDDEN), states))


def _heads(graph: Graph, states: str) -> str:
    """*Shape:* ``(batch, tokens, hidden)`` -> ``(batch, heads, tokens, hidden / heads)``."""
    split = graph.add("Reshape", states, graph.integers(0, 0, HEADS, HIDDEN // HEADS))
    return graph.add("Transpose", split, perm=[0, 2, 1, 3])


def _gelu(graph: Graph, states: str) -> str:
    """``x (1 + erf(x / sqrt 2)) / 2`` (Hendrycks & Gimpel 2016, arXiv 1606.08415)."""
    curve = graph.add("Erf", graph.add("Div", states, graph.number(2**0.5)))
    product = graph.add("Mul", states, graph.add("Add", curve, graph.number(1)))
    return graph.add("Mul", product, graph.number(0.5))


def _model(graph: Graph) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("contextual", TensorProto.FLOAT, ["batch", "tokens", DIM])
    body = helper.make_graph(graph.nodes, "minilm_shape", inputs, [output], graph.weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
