"""From a checkpoint to a network: which architectures laterank writes by itself, and under which names each keeps its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from laterank.encoding.projection import Projection
from laterank.errors import ModelFormatError
from laterank.export.arithmetic import activation_function
from laterank.export.bert import BertNetwork
from laterank.export.checkpoint import Checkpoint, open_checkpoint
from laterank.export.graph import Floats
from laterank.export.modernbert import ModernBertNetwork
from laterank.model.json_files import read_json

__all__ = ["ARCHITECTURES", "Network", "read_network"]

ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "camembert", "modernbert")
"""By ``model_type`` in ``config.json``."""

BERT_PARTS = {
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "output_norm": "output.LayerNorm",
}
MODERNBERT_PARTS = {
    "attention_norm": "attn_norm",
    "qkv": "attn.Wqkv",
    "attention_out": "attn.Wo",
    "output_norm": "mlp_norm",
    "up": "mlp.Wi",
    "down": "mlp.Wo",
}


class Network(Protocol):
    """An encoder that can be written as a graph and computed by its definition."""

    @property
    def hidden(self) -> int:
        """Numbers in a hidden state."""

    def graph(self, projection: Projection | None) -> onnx.ModelProto:
        """Write the graph from ``input_ids`` and ``attention_mask`` to unit-length ``token_embeddings``."""

    def states(self, ids: NDArray[np.int64], attention: NDArray[np.bool_]) -> Floats:
        """Compute one text's hidden states. *Shape:* ``(tokens,)`` twice -> ``(tokens, hidden)``"""


def read_network(folder: Path) -> Network | None:
    """Read a folder's network; None where its architecture is none of ``ARCHITECTURES``.

    Raises:
        ModelFormatError: If the settings or weights are missing, broken, or of a variant that is not known.
    """
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in ARCHITECTURES or "auto_map" in config:  # code of its own: not what its name says
        return None
    checkpoint = open_checkpoint(folder)
    try:
        return _modernbert(checkpoint, config) if kind == "modernbert" else _bert(checkpoint, config)
    except KeyError as error:
        raise ModelFormatError(
            f"{folder / 'config.json'} lacks {error}, which a {kind} needs; download it again"
        ) from error


def _bert(checkpoint: Checkpoint, config: Mapping[str, Any]) -> BertNetwork:
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise ModelFormatError(
            f'{checkpoint.folder}: "position_embedding_type" is {positions!r}, expected "absolute"'
        )
    read = checkpoint.below("embeddings.word_embeddings.weight")
    first = (
        0 if config["model_type"] == "bert" else int(config["pad_token_id"]) + 1
    )  # RoBERTa's padding offset
    weights = {
        "words.weight": read("embeddings.word_embeddings.weight"),
        "positions.weight": read("embeddings.position_embeddings.weight")[first:],
    }
    if "embeddings.token_type_embeddings.weight" in read:  # what is encoded here is of type 0
        weights["positions.weight"] = (
            weights["positions.weight"] + read("embeddings.token_type_embeddings.weight")[0]
        )
    for part in ("weight", "bias"):
        weights[f"norm.{part}"] = read(f"embeddings.LayerNorm.{part}")
        for number in range(config["num_hidden_layers"]):
            source, target = f"encoder.layer.{number}", f"layers.{number}"
            packed = [read(f"{source}.attention.self.{name}.{part}") for name in ("query", "key", "value")]
            weights[f"{target}.qkv.{part}"] = np.concatenate(packed)
            for ours, theirs in BERT_PARTS.items():
                weights[f"{target}.{ours}.{part}"] = read(f"{source}.{theirs}.{part}")
    activation = str(config.get("hidden_act", "gelu"))
    activation_function(activation)  # refuses what is unknown before anything is written
    return BertNetwork(
        weights, config["num_attention_heads"], float(config.get("layer_norm_eps", 1e-12)), activation
    )


def _modernbert(checkpoint: Checkpoint, config: Mapping[str, Any]) -> ModernBertNetwork:
    read = checkpoint.below("embeddings.tok_embeddings.weight")
    layers = int(config["num_hidden_layers"])
    names = {"words": "embeddings.tok_embeddings", "norm": "embeddings.norm", "final_norm": "final_norm"}
    for number in range(layers):
        parts = {
            ours: theirs for ours, theirs in MODERNBERT_PARTS.items() if number or ours != "attention_norm"
        }
        names |= {f"layers.{number}.{ours}": f"layers.{number}.{theirs}" for ours, theirs in parts.items()}
    weights = {f"{ours}.weight": read(f"{theirs}.weight") for ours, theirs in names.items()}
    weights |= {
        f"{ours}.bias": read(f"{theirs}.bias") for ours, theirs in names.items() if f"{theirs}.bias" in read
    }
    local = _local_layers(config, layers)
    activation = str(config.get("hidden_activation", "gelu"))
    activation_function(activation)
    return ModernBertNetwork(
        weights,
        heads=config["num_attention_heads"],
        local=local,
        window=int(config.get("local_attention", 128)) // 2,
        thetas=tuple(_theta(config, local=near) for near in local),
        positions=int(config["max_position_embeddings"]),
        epsilon=float(config.get("norm_eps", 1e-5)),
        activation=activation,
    )


def _local_layers(config: Mapping[str, Any], layers: int) -> tuple[bool, ...]:
    if kinds := config.get("layer_types"):  # transformers 5
        return tuple(kind == "sliding_attention" for kind in kinds)
    every = int(config.get("global_attn_every_n_layers", 3))
    return tuple(number % every != 0 for number in range(layers))


def _theta(config: Mapping[str, Any], *, local: bool) -> float:
    kind, old_name, default = (
        ("sliding_attention", "local_rope_theta", 10_000.0)
        if local
        else ("full_attention", "global_rope_theta", 160_000.0)
    )
    parameters = (config.get("rope_parameters") or {}).get(kind) or {}  # transformers 5
    if parameters.get("rope_type", "default") != "default":
        raise ModelFormatError(
            f'config.json: "rope_type" is {parameters["rope_type"]!r}, expected "default"; other scalings are not known'
        )
    return float(parameters.get("rope_theta") or config.get(old_name) or default)
