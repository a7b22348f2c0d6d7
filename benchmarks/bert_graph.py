"""A BERT encoder as an fp32 ONNX graph, in the shape that a plain export from torch has: no torch is needed to run one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["BertShape", "Floats", "Graph", "add_encoder", "make_model"]

Floats = NDArray[np.float32]
Weights = Callable[[str, tuple[int, ...]], Floats]
"""From a weight's Hugging Face name and shape to its numbers."""


@dataclass(frozen=True, slots=True)
class BertShape:
    """The sizes of a network."""

    layers: int = 6
    hidden: int = 384
    heads: int = 12
    inner: int = 1536
    words: int = 30_522
    positions: int = 512
    epsilon: float = 1e-12


class Graph:
    """Collects nodes and weights; each method adds one operation and returns its output's name."""

    def __init__(self, shape: BertShape, weights: Weights) -> None:
        self.shape = shape
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, operation: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        output = output or f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def constant(self, value: NDArray[np.generic]) -> str:
        """Store a tensor and return its name."""
        name = f"weight_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        """Store a weight of the network and return its name in the graph."""
        return self.constant(self.weights(name, shape))

    def integers(self, *values: int) -> str:
        """Store a list of whole numbers and return its name."""
        return self.constant(np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        """Store one float and return its name."""
        return self.constant(np.array(value, dtype=np.float32))

    def linear(self, source: str, name: str, inputs: int, outputs: int) -> str:
        """Add ``x W^T + b``."""
        matrix = self.constant(self.weights(f"{name}.weight", (outputs, inputs)).T)
        return self.add("Add", self.add("MatMul", source, matrix), self.weight(f"{name}.bias", outputs))

    def norm(self, source: str, name: str) -> str:
        """Add a layer normalisation."""
        scale, shift = (self.weight(f"{name}.{part}", self.shape.hidden) for part in ("weight", "bias"))
        return self.add("LayerNormalization", source, scale, shift, axis=-1, epsilon=self.shape.epsilon)


def add_encoder(graph: Graph) -> str:
    """Add embeddings and layers (Devlin et al. 2018, arXiv 1810.04805), and return the last hidden states' name.

    Token types are left out: what is not of type 0 needs no encoder here, and type 0 is a constant that the weights of
    ``embeddings.position_embeddings`` may hold.
    """
    shape, mask = graph.shape, _attention_bias(graph)
    words = graph.weight("embeddings.word_embeddings.weight", shape.words, shape.hidden)
    words = graph.add("Gather", words, "input_ids")
    length = graph.add("Shape", "input_ids", start=1, end=2)
    places = graph.weight("embeddings.position_embeddings.weight", shape.positions, shape.hidden)
    places = graph.add("Slice", places, graph.integers(0), length, graph.integers(0))
    states = graph.norm(graph.add("Add", words, places), "embeddings.LayerNorm")
    for number in range(shape.layers):
        states = _layer(graph, states, mask, f"encoder.layer.{number}")
    return states


def make_model(graph: Graph, output: str, size: int) -> onnx.ModelProto:
    """Declare inputs, the output and the operators. *Shape of the output:* ``(batch, tokens, size)``"""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "tokens", size])]
    body = helper.make_graph(graph.nodes, "bert", inputs, outputs, graph.initializers)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _attention_bias(graph: Graph) -> str:
    """Turn the mask of ones and zeros into zeros and huge negative numbers. *Shape:* ``(batch, 1, 1, tokens)``"""
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = graph.add("Unsqueeze", mask, graph.integers(1, 2))
    hidden = graph.add("Sub", graph.number(1), mask)
    return graph.add("Mul", hidden, graph.number(float(np.finfo(np.float32).min)))


def _layer(graph: Graph, states: str, mask: str, name: str) -> str:
    hidden, inner = graph.shape.hidden, graph.shape.inner
    query, key, value = (
        _heads(graph, graph.linear(states, f"{name}.attention.self.{part}", hidden, hidden))
        for part in ("query", "key", "value")
    )
    turned = graph.add("Transpose", key, perm=[0, 1, 3, 2])
    scores = graph.add("MatMul", query, turned)
    scores = graph.add("Div", scores, graph.number((hidden // graph.shape.heads) ** 0.5))
    weights = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    mixed = graph.add("Reshape", mixed, graph.integers(0, 0, hidden))
    attended = graph.linear(mixed, f"{name}.attention.output.dense", hidden, hidden)
    states = graph.norm(graph.add("Add", attended, states), f"{name}.attention.output.LayerNorm")
    raised = _gelu(graph, graph.linear(states, f"{name}.intermediate.dense", hidden, inner))
    lowered = graph.linear(raised, f"{name}.output.dense", inner, hidden)
    return graph.norm(graph.add("Add", lowered, states), f"{name}.output.LayerNorm")


def _heads(graph: Graph, states: str) -> str:
    """*Shape:* ``(batch, tokens, hidden)`` -> ``(batch, heads, tokens, hidden / heads)``."""
    heads = graph.shape.heads
    split = graph.add("Reshape", states, graph.integers(0, 0, heads, graph.shape.hidden // heads))
    return graph.add("Transpose", split, perm=[0, 2, 1, 3])


def _gelu(graph: Graph, states: str) -> str:
    """``x (1 + erf(x / sqrt 2)) / 2`` (Hendrycks & Gimpel 2016, arXiv 1606.08415)."""
    curve = graph.add("Erf", graph.add("Div", states, graph.number(2**0.5)))
    product = graph.add("Mul", states, graph.add("Add", curve, graph.number(1)))
    return graph.add("Mul", product, graph.number(0.5))
