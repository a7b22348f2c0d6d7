"""The ONNX graph, written node by node: faster on a CPU than what a tracer exports, and small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from model import EPSILON, HEADS, HIDDEN
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
UNUSED = range(104, 999)  # [unused99] to [unused993]: names in the vocabulary that no text ever becomes
Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Precision:
    """Whether products run in INT8, and what divides their inputs first (SmoothQuant) so that outliers fit."""

    int8: bool = False
    smoothing: Mapping[str, np.ndarray] = field(default_factory=dict)


class GraphWriter:
    """Collects nodes and initializers; each method adds one operation and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store a tensor."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operation: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one used output."""
        self.nodes.append(
            helper.make_node(operation, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output


def quantize_rows(table: np.ndarray, scale_type: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Round each row to INT8 with a scale of its own. *Shape:* ``(rows, n)`` to the same and ``(rows, 1)``."""
    scale = (np.abs(table).max(axis=1, keepdims=True) / 127 + 1e-7).astype(scale_type)
    return np.clip(np.round(table / scale.astype(np.float32)), -127, 127).astype(np.int8), scale


def pick_rows(
    graph: GraphWriter, name: str, weights: Weights, precision: Precision, pick: Sequence[str]
) -> str:
    """Pick rows of an embedding table (``pick``: operation and its inputs); INT8 rows travel with their scales."""
    operation, *inputs = pick
    table = weights[f"{name}.weight"]
    if not precision.int8:
        return graph.add(operation, [graph.constant(name, table), *inputs], f"{name}_rows")
    if name == "words":
        table, inputs = np.delete(table, UNUSED, axis=0), [used_ids(graph, *inputs)]
    rows, scale = quantize_rows(table, np.float16)
    picked = graph.add(operation, [graph.constant(name, rows), *inputs], f"{name}_rows_int8")
    scales = graph.add(operation, [graph.constant(f"{name}_scale", scale), *inputs], f"{name}_rows_scale")
    return graph.add("Mul", [as_float(graph, picked), as_float(graph, scales)], f"{name}_rows")


def as_float(graph: GraphWriter, source: str) -> str:
    """Read a tensor of fewer bits as float32."""
    return graph.add("Cast", [source], f"{source}_float", to=TensorProto.FLOAT)


def used_ids(graph: GraphWriter, ids: str) -> str:
    """Close the gap that the rows of ``UNUSED`` leave: ids below stay, those above move down."""
    below = graph.add("Min", [ids, graph.constant("last_below", np.array(UNUSED.start - 1))], "ids_below")
    moved = graph.add("Sub", [ids, graph.constant("gap", np.array(len(UNUSED)))], "ids_moved")
    return graph.add("Max", [below, moved], "ids_used")


def product(graph: GraphWriter, source: str, name: str, weights: Weights, precision: Precision) -> str:
    """Multiply by a weight matrix and add its bias, in INT8 (a scale per output column) where wanted."""
    weight, bias = weights[f"{name}.weight"], graph.constant(f"{name}.bias", weights[f"{name}.bias"])
    if not precision.int8 or name == "head":  # the head is small and decides every row
        stored = weight.T.astype(np.float16) if precision.int8 else weight.T
        matrix = graph.constant(f"{name}.weight", stored)
        matrix = as_float(graph, matrix) if precision.int8 else matrix
        return graph.add(
            "Add", [graph.add("MatMul", [source, matrix], f"{name}.product"), bias], f"{name}.output"
        )
    if name in precision.smoothing:
        factor = precision.smoothing[name].astype(np.float32)
        source = graph.add("Mul", [source, graph.constant(f"{name}.smooth", 1 / factor)], f"{name}.smoothed")
        weight = weight * factor
    rows, scale = quantize_rows(weight)
    stored = graph.constant(f"{name}.weight", rows.T)
    inputs = [source, stored, graph.constant(f"{name}.scale", scale[:, 0]), "", bias]
    return graph.add("DynamicQuantizeMatMul", inputs, f"{name}.output", MICROSOFT)


def attention_branch(layer: int, name: str, mask: list[str]) -> onnx.GraphProto:
    """Return one branch of the choice between unmasked attention, which takes the flash path, and masked."""
    inputs = [f"l{layer}.query", f"l{layer}.key", f"l{layer}.value", *mask]
    output = f"l{layer}.{name}"
    node = helper.make_node(
        "MultiHeadAttention", inputs, [output], domain=MICROSOFT, num_heads=HEADS, name=output
    )
    shape = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "tokens", HIDDEN])
    return helper.make_graph([node], output, [], [shape])


def norm(graph: GraphWriter, source: str, skip: str, name: str, weights: Weights, output: str) -> str:
    """Add the residual and normalise: two nodes, because the fused one runs four times slower on a CPU."""
    scale, shift = (
        graph.constant(f"{name}.weight", weights[f"{name}.weight"]),
        graph.constant(f"{name}.bias", weights[f"{name}.bias"]),
    )
    summed = graph.add("Add", [source, skip], f"{name}.sum")
    return graph.add("LayerNormalization", [summed, scale, shift], output, epsilon=EPSILON, axis=-1)


def layer_nodes(graph: GraphWriter, states: str, number: int, weights: Weights, precision: Precision) -> str:
    """Add one BERT layer and return the name of its output."""
    name = f"layers.{number}"
    packed = product(graph, states, f"{name}.qkv", weights, precision)
    parts = [f"l{number}.query", f"l{number}.key", f"l{number}.value"]
    graph.nodes.append(
        helper.make_node("Split", [packed], parts, axis=-1, num_outputs=3, name=f"l{number}.split")
    )
    branches = {
        "then_branch": attention_branch(number, "unmasked", []),
        "else_branch": attention_branch(number, "masked", ["", "mask32"]),
    }
    mixed = graph.add("If", ["unmasked"], f"l{number}.mixed", **branches)
    attended = product(graph, mixed, f"{name}.attention_out", weights, precision)
    states = norm(graph, attended, states, f"{name}.attention_norm", weights, f"l{number}.attended")
    raised = graph.add(
        "Gelu", [product(graph, states, f"{name}.up", weights, precision)], f"l{number}.gelu", MICROSOFT
    )
    lowered = product(graph, raised, f"{name}.down", weights, precision)
    return norm(graph, lowered, states, f"{name}.output_norm", weights, f"l{number}.states")


def layer_count(names: Iterable[str]) -> int:
    """Count the layers that weights or tensors named ``layers.N.part`` belong to."""
    return 1 + max(int(name.split(".")[1]) for name in names if name.startswith("layers."))


def build_graph(weights: Weights, precision: Precision, dim: int) -> onnx.ModelProto:
    """Write the whole model: ``input_ids`` and ``attention_mask`` to unit-length ``token_embeddings``."""
    graph = GraphWriter()
    graph.add("Cast", ["attention_mask"], "mask32", to=TensorProto.INT32)
    graph.add("ReduceMin", ["mask32"], "mask_min", keepdims=0)
    graph.add("Cast", ["mask_min"], "unmasked", to=TensorProto.BOOL)
    graph.add("Shape", ["input_ids"], "tokens", start=1, end=2)
    window = [graph.constant("zero", np.array([0])), "tokens", graph.constant("rows_axis", np.array([0]))]
    words = pick_rows(graph, "words", weights, precision, ["Gather", "input_ids"])
    places = pick_rows(graph, "positions", weights, precision, ["Slice", *window])
    summed = graph.add("Add", [words, places], "summed")
    scale, shift = (
        graph.constant("norm.weight", weights["norm.weight"]),
        graph.constant("norm.bias", weights["norm.bias"]),
    )
    states = graph.add("LayerNormalization", [summed, scale, shift], "embedded", epsilon=EPSILON, axis=-1)
    for number in range(layer_count(weights)):
        states = layer_nodes(graph, states, number, weights, precision)
    graph.add(
        "LpNormalization",
        [product(graph, states, "head", weights, precision)],
        "token_embeddings",
        axis=-1,
        p=2,
    )
    return wrap(graph, dim)


def wrap(graph: GraphWriter, dim: int) -> onnx.ModelProto:
    """Declare inputs, output and operator sets."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("token_embeddings", TensorProto.FLOAT, ["batch", "tokens", dim])]
    body = helper.make_graph(graph.nodes, "laterank", inputs, outputs, graph.initializers)
    operators = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(body, opset_imports=operators, ir_version=9, producer_name="laterank")
