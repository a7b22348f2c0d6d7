"""A model of MiniLM-L6's shape with random weights: speed depends on the shapes, not on what the weights know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx

from laterank.encoding.projection import Layer, Projection
from laterank.export.bert import BertNetwork
from laterank.export.graph import Floats
from laterank.export.saving import save_graph

__all__ = ["build_model"]

LAYERS, HIDDEN, HEADS, WORDS, POSITIONS, DIM = 6, 384, 12, 30_522, 512, 128


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
    save_graph(_encoder(), partial)
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
    """Draw normally distributed weights of a trained network's size."""
    random = np.random.default_rng(0)

    def drawn(scale: float, *shape: int) -> Floats:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    weights = {"words.weight": drawn(0.05, WORDS, HIDDEN), "positions.weight": drawn(0.05, POSITIONS, HIDDEN)}
    norms = ["norm"]
    for number in range(LAYERS):
        name = f"layers.{number}"
        norms += [f"{name}.attention_norm", f"{name}.output_norm"]
        shapes = {"qkv": (3, 1), "attention_out": (1, 1), "up": (4, 1), "down": (1, 4)}
        for part, (outputs, inputs) in shapes.items():
            weights[f"{name}.{part}.weight"] = drawn(
                (inputs * HIDDEN) ** -0.5, outputs * HIDDEN, inputs * HIDDEN
            )
            weights[f"{name}.{part}.bias"] = drawn(0.02, outputs * HIDDEN)
    for name in norms:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(HIDDEN, np.float32), drawn(0.02, HIDDEN)
    head = Layer(drawn(HIDDEN**-0.5, DIM, HIDDEN), None, "Identity", residual=False)
    return BertNetwork(weights, HEADS).graph(Projection((head,)))
