"""A model of MiniLM-L6's shape with random weights: speed depends on the shapes, not on what the weights know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from bert_graph import BertShape, Floats, Graph, add_encoder, make_model

__all__ = ["build_model"]

SHAPE, DIM = BertShape(), 128


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
    lengths = {"query_length": 32, "document_length": SHAPE.positions}
    network = {"model_type": "bert", "pad_token_id": 0, "max_position_embeddings": SHAPE.positions}
    punctuation = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return {
        "config.json": {**network, "hidden_size": SHAPE.hidden, "num_hidden_layers": SHAPE.layers},
        "config_sentence_transformers.json": {**marked, **lengths, "skiplist_words": punctuation},
        "special_tokens_map.json": dict(special),
        "tokenizer_config.json": {**special, "model_max_length": SHAPE.positions},
    }


def _encoder() -> onnx.ModelProto:
    random = np.random.default_rng(0)

    def weights(name: str, shape: tuple[int, ...]) -> Floats:
        """Draw normally distributed numbers of a trained network's size."""
        if name.endswith("LayerNorm.weight"):
            return np.ones(shape, dtype=np.float32)
        scale = 0.02 if name.endswith("bias") else 0.05 if "embeddings" in name else shape[1] ** -0.5
        return (random.standard_normal(shape) * scale).astype(np.float32)

    graph = Graph(SHAPE, weights)
    states = add_encoder(graph)
    projection = graph.constant(weights("projection", (DIM, SHAPE.hidden)).T)
    projected = graph.add("MatMul", states, projection)
    size = graph.add("ReduceL2", projected, graph.integers(-1), keepdims=1)
    return make_model(graph, graph.add("Div", projected, size, output="contextual"), DIM)
