"""The ColBERT teacher in torch, its INT8 weights read back to floats so that no rounding of activations is taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from model import ColbertModel, Shape
from onnx import numpy_helper
from preflight import COLBERT, check_teacher
from safetensors.torch import load_file

TEACHER_LAYERS = 12
PARTS = {
    "attention_out": "attention/output/dense",
    "up": "intermediate/dense",
    "down": "output/dense",
}
NORMS = {"attention_norm": "attention.output.LayerNorm", "output_norm": "output.LayerNorm"}


def tensors(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Read every stored tensor of a graph."""
    return {stored.name: numpy_helper.to_array(stored) for stored in graph.initializer}


def dequantised(stored: dict[str, np.ndarray], name: str) -> torch.Tensor:
    """Return ``name`` as floats: ``(integer - zero point) * scale``."""
    zero = stored[f"{name}_zero_point"].astype(np.float32)
    return torch.tensor((stored[f"{name}_quantized"].astype(np.float32) - zero) * stored[f"{name}_scale"])


def matrices(graph: onnx.GraphProto, stored: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return the weights of each integer product by the path of its layer. *Shape:* ``(out, in)`` each."""
    found = {}
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            path = node.name.removeprefix("/").removesuffix("/MatMul_quant")
            found[path] = dequantised(stored, node.input[1].removesuffix("_quantized")).T.contiguous()
    return found


def layer_state(
    number: int, weights: dict[str, torch.Tensor], stored: dict[str, np.ndarray]
) -> dict[str, torch.Tensor]:
    """Return the state of one layer under this folder's names."""
    path, dotted = f"encoder/layer.{number}", f"encoder.layer.{number}"
    projections = ("query", "key", "value")
    biases = [torch.tensor(stored[f"{dotted}.attention.self.{name}.bias"]) for name in projections]
    state = {
        "qkv.weight": torch.cat([weights[f"{path}/attention/self/{name}"] for name in projections]),
        "qkv.bias": torch.cat(biases),
    }
    for ours, theirs in PARTS.items():
        state[f"{ours}.weight"] = weights[f"{path}/{theirs}"]
        state[f"{ours}.bias"] = torch.tensor(stored[f"{dotted}.{theirs.replace('/', '.')}.bias"])
    for ours, theirs in NORMS.items():
        for part in ("weight", "bias"):
            state[f"{ours}.{part}"] = torch.tensor(stored[f"{dotted}.{theirs}.{part}"])
    return {f"layers.{number}.{name}": value for name, value in state.items()}


def load_teacher(folder: Path) -> ColbertModel:
    """Load answerai-colbert-small-v1 from its INT8 graph and its own projection.

    Raises:
        ValueError: If one of its files is another, or damaged.
    """
    check_teacher(folder, COLBERT)
    graph = onnx.load(folder / "onnx" / "model_int8.onnx").graph
    stored = tensors(graph)
    weights = matrices(graph, stored)
    head = load_file(folder / "1_Dense" / "model.safetensors")["linear.weight"]
    model = ColbertModel(len(head), [Shape()] * TEACHER_LAYERS)
    table = {name: dequantised(stored, f"embeddings.{name}.weight") for name in EMBEDDINGS}
    state = {
        "words.weight": table["word_embeddings"],
        "positions.weight": table["position_embeddings"] + table["token_type_embeddings"][0],
        "norm.weight": torch.tensor(stored["embeddings.LayerNorm.weight"]),
        "norm.bias": torch.tensor(stored["embeddings.LayerNorm.bias"]),
        "head.weight": head.float(),
        "head.bias": torch.zeros(len(head)),
    }
    for number in range(TEACHER_LAYERS):
        state |= layer_state(number, weights, stored)
    model.load_state_dict(state)
    return model.eval().requires_grad_(requires_grad=False)


EMBEDDINGS = ("word_embeddings", "position_embeddings", "token_type_embeddings")
