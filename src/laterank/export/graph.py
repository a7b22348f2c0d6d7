"""Writing an ONNX graph node by node: faster on a CPU than what a tracer exports, and small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from laterank.encoding.projection import Layer
from laterank.errors import ModelFormatError

__all__ = ["INPUTS", "MICROSOFT", "OUTPUT", "Floats", "GraphWriter"]

Floats = NDArray[np.float32]

MICROSOFT = "com.microsoft"
"""The domain of the operators that onnxruntime adds."""
OUTPUT = "token_embeddings"
INPUTS = ("input_ids", "attention_mask")

GRAPH_ACTIVATIONS = {
    "relu": ("Relu", ""),
    "tanh": ("Tanh", ""),
    "sigmoid": ("Sigmoid", ""),
    "gelu": ("Gelu", MICROSOFT),
}
"""By the name in ``config.json`` or, in small letters, of the torch class: operator and domain; SiLU has none."""


class GraphWriter:
    """Collects nodes and initializers; each method adds one operation and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Store a tensor."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(
        self, operation: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node with one output, which also names it."""
        self.nodes.append(
            helper.make_node(operation, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    def split(self, source: str, outputs: Sequence[str], name: str) -> None:
        """Cut the last axis into equal parts."""
        self.nodes.append(
            helper.make_node("Split", [source], outputs, axis=-1, num_outputs=len(outputs), name=name)
        )

    def product(self, source: str, name: str, weight: Floats, bias: Floats | None) -> str:
        """Add ``x W^T + b``. *Shape of the weight:* ``(out, in)``, stored as ``(in, out)``"""
        added = None if bias is None else self.constant(f"{name}.bias", bias)
        inputs = [source, self.constant(f"{name}.weight", weight.T)]
        if added is None:
            return self.add("MatMul", inputs, f"{name}.output")
        return self.add("Add", [self.add("MatMul", inputs, f"{name}.product"), added], f"{name}.output")

    def norm(
        self, source: str, name: str, weight: Floats, bias: Floats | None, epsilon: float, output: str
    ) -> str:
        """Add a layer normalisation (Ba et al. 2016, arXiv 1607.06450)."""
        inputs = [source, self.constant(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.constant(f"{name}.bias", bias))
        return self.add("LayerNormalization", inputs, output, epsilon=epsilon, axis=-1)

    def activation(self, source: str, kind: str, output: str) -> str:
        """Add an activation by its name in ``config.json``.

        Raises:
            ModelFormatError: If it has no operator here.
        """
        kind = kind.lower()
        if kind == "silu":
            return self.add("Mul", [source, self.add("Sigmoid", [source], f"{output}.gate")], output)
        if kind not in GRAPH_ACTIVATIONS:
            known = ", ".join(sorted([*GRAPH_ACTIVATIONS, "silu"]))
            raise ModelFormatError(f"the network has the activation {kind!r}, expected one of {known}")
        operation, domain = GRAPH_ACTIVATIONS[kind]
        return self.add(operation, [source], output, domain)

    def mask(self) -> None:
        """Add ``mask32``, the attention mask as MultiHeadAttention takes it, and ``unmasked``: whether it hides nothing."""
        self.add("Cast", ["attention_mask"], "mask32", to=TensorProto.INT32)
        self.add("ReduceMin", ["mask32"], "mask_min", keepdims=0)
        self.add("Cast", ["mask_min"], "unmasked", to=TensorProto.BOOL)

    def attention(
        self, layer: int, inputs: Sequence[str], heads: int, wide: int, *, bias: str | None = None
    ) -> str:
        """Add attention (Vaswani et al. 2017, arXiv 1706.03762), which takes the flash path where nothing is hidden.

        Args:
            layer: Its number, for names.
            inputs: Queries, keys and values.
            heads: Attention heads.
            wide: Numbers in a row of each of them.
            bias: What is added to similarities unless ``all_near`` holds; None for nothing.
        """
        masked = [*inputs, "", "mask32", *([bias] if bias else [])]
        branches = {
            "then_branch": _attention(f"l{layer}.unmasked", [*inputs], heads, wide),
            "else_branch": _attention(f"l{layer}.masked", masked, heads, wide),
        }
        return self.add("If", ["all_near" if bias else "unmasked"], f"l{layer}.mixed", **branches)

    def head(self, states: str, layers: Sequence[Layer]) -> str:
        """Add the Dense chain from hidden states to token embeddings, then their scaling to unit length."""
        for number, layer in enumerate(layers):
            name = f"head{number or ''}"
            projected = self.product(states, name, layer.weight, layer.bias)
            if layer.activation != "Identity":
                projected = self.activation(projected, layer.activation, f"{name}.activated")
            if layer.residual is not False:
                if layer.residual is not True:
                    states = self.product(states, f"{name}.residual", layer.residual, None)
                projected = self.add("Add", [projected, states], f"{name}.sum")
            states = projected
        return self.add("LpNormalization", [states], OUTPUT, axis=-1, p=2)

    def model(self, dim: int) -> onnx.ModelProto:
        """Declare inputs, output and operator sets. *Shape of the output:* ``(batch, tokens, dim)``"""
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in INPUTS
        ]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "tokens", dim])]
        body = helper.make_graph(self.nodes, "laterank", inputs, outputs, self.initializers)
        operators = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(body, opset_imports=operators, ir_version=9, producer_name="laterank")


def _attention(output: str, inputs: list[str], heads: int, wide: int) -> onnx.GraphProto:
    """Return one branch of the choice between unmasked attention and masked."""
    node = helper.make_node(
        "MultiHeadAttention", inputs, [output], domain=MICROSOFT, num_heads=heads, name=output
    )
    shape = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "tokens", wide])
    return helper.make_graph([node], output, [], [shape])
