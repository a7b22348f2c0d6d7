"""The shipped model read back as weights to train on from: what an INT8 file still knows is nearly all."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import onnx
import torch
from bundle import INT8_FILE
from model import ColbertModel, shapes_of
from onnx import numpy_helper
from starts import Start

SHIPPED = Path(__file__).parent.parent / "src" / "laterank" / "model" / "bundled"


def read_weight(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return a product's matrix, with rounding and smoothing undone. *Shape:* ``(out, in)``."""
    weight = stored[f"{name}.weight"].T.astype(np.float32)
    if f"{name}.scale" in stored:
        weight = weight * stored[f"{name}.scale"][:, None]
    smooth = stored.get(f"{name}.smooth")
    return weight if smooth is None else weight * smooth


def check_start(folder: Path, start: Start) -> None:
    """Compare the model of a bundle with the start that a run which goes on from it names.

    Raises:
        ValueError: If its layers or its words are of another kind: the card would tell of a model that it is not.
    """
    stored = read_graph(folder)
    shapes = shapes_of({name: len(value) for name, value in stored.items() if value.ndim})
    six_bit_words = stored["words"].dtype == np.uint8
    same_layers = not start.shapes or [*map(astuple, shapes)] == [*map(astuple, start.shapes)]
    if six_bit_words != start.six_bit_words or not same_layers:
        heads, neurons = sum(shape.heads for shape in shapes), sum(shape.neurons for shape in shapes)
        raise ValueError(
            f"the shipped model has {heads} heads, {neurons:,} neurons and words of {6 if six_bit_words else 8} bits: "
            "--go-on needs the --start that it was made from"
        )


def read_graph(folder: Path) -> dict[str, np.ndarray]:
    """Return a bundle's tensors as they are stored."""
    graph = onnx.load(folder / INT8_FILE).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def load_shipped(folder: Path, words: torch.Tensor) -> ColbertModel:
    """Load the INT8 file of a bundle; the vocabulary embeddings were never trained and come from their source."""
    stored = read_graph(folder)
    sizes = {name: len(value) for name, value in stored.items() if value.ndim}
    model = ColbertModel(sizes["head.bias"], shapes_of(sizes))
    state = {}
    for name, value in model.state_dict().items():
        owner, part = name.rsplit(".", 1)
        if name == "words.weight":
            state[name] = words
        elif name == "positions.weight":
            state[name] = torch.tensor(stored["positions"].astype(np.float32) * stored["positions_scale"])
        elif part == "weight" and value.ndim == 2:
            state[name] = torch.tensor(read_weight(stored, owner))
        else:
            state[name] = torch.tensor(stored[name])
    model.load_state_dict(state)
    return model
