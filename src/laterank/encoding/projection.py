"""The Dense chain that turns hidden states into token embeddings, where the graph leaves it out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import erf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laterank.errors import ModelFormatError
from laterank.model.files import ModelFiles
from laterank.model.json_files import read_json
from laterank.model.safetensors import read_tensor, tensor_names

__all__ = ["ACTIVATIONS", "Layer", "Projection", "choose_projection", "load_projection", "read_projection"]

Floats = NDArray[np.float32]

ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "Identity": lambda x: x,
    "ReLU": lambda x: np.maximum(x, 0),
    "Tanh": np.tanh,
    "Sigmoid": lambda x: (1 / (1 + np.exp(-x))).astype(np.float32),
    "SiLU": lambda x: (x / (1 + np.exp(-x))).astype(np.float32),
    "GELU": lambda x: _gelu(x),
}
"""By the last part of the name that ``1_Dense/config.json`` gives, such as ``torch.nn.modules.linear.Identity``."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One Dense layer: ``activation(x W^T + b) + residual``."""

    weight: Floats
    bias: Floats | None
    activation: str
    residual: Floats | bool

    def __call__(self, states: Floats) -> Floats:
        """*Shape:* ``(rows, in_features)`` -> ``(rows, out_features)``."""
        projected = states @ self.weight.T
        if self.bias is not None:
            projected += self.bias
        projected = ACTIVATIONS[self.activation](projected)
        if self.residual is False:
            return projected
        return projected + (states if self.residual is True else states @ self.residual.T)


@dataclass(frozen=True, slots=True)
class Projection:
    """Dense layers in the order in which they are applied."""

    layers: tuple[Layer, ...]

    @property
    def in_features(self) -> int:
        """The hidden size that the first layer takes."""
        return int(self.layers[0].weight.shape[1])

    @property
    def out_features(self) -> int:
        """Numbers in a token embedding."""
        return int(self.layers[-1].weight.shape[0])

    def __call__(self, states: Floats) -> Floats:
        """Project hidden states. *Shape:* ``(rows, in_features)`` -> ``(rows, out_features)``."""
        for layer in self.layers:
            states = layer(states)
        return states

    def digest(self) -> bytes:
        """Return a digest of every number, for the cache's key."""
        digest = hashlib.blake2b(digest_size=16)
        for layer in self.layers:
            digest.update(f"{layer.weight.shape} {layer.activation}".encode())
            for part in (layer.weight, layer.bias, layer.residual):
                digest.update(
                    np.ascontiguousarray(part).tobytes()
                    if isinstance(part, np.ndarray)
                    else repr(part).encode()
                )
        return digest.digest()


def load_projection(files: ModelFiles) -> Projection | None:
    """Read the projection that lies beside a graph.

    Raises:
        ModelFormatError: If a layer is broken, unknown, or does not fit the one before it.
    """
    return read_projection(files.dense, files.linear)


def read_projection(dense: Sequence[Path], linear: Path | None) -> Projection | None:
    """Read Dense folders, in order, or a Stanford checkpoint's ``linear.weight``; None where there is neither.

    Raises:
        ModelFormatError: If a layer is broken, unknown, or does not fit the one before it.
    """
    layers = [_read_layer(folder) for folder in dense]
    if not layers and linear is not None and "linear.weight" in tensor_names(linear):
        layers = [Layer(_matrix(linear, "linear.weight"), None, "Identity", residual=False)]
    if not layers:
        return None
    for number, (one, next_one) in enumerate(pairwise(layers)):
        if next_one.weight.shape[1] != one.weight.shape[0]:
            raise ModelFormatError(
                f"{dense[number + 1]} takes {next_one.weight.shape[1]} features, "
                f"but {dense[number]} gives {one.weight.shape[0]}"
            )
    return Projection(tuple(layers))


def choose_projection(projection: Projection | None, files: ModelFiles, size: int) -> Projection | None:
    """Decide from the graph's last dimension whether the projection is still to be applied.

    Args:
        projection: What lies beside the graph, if anything does.
        files: The model, for its settings.
        size: Numbers that the graph gives for each token.

    Returns:
        The projection, or None where the graph's output is the embedding already.

    Raises:
        ModelFormatError: If that size is neither the projection's input nor the embedding's own.
    """
    settings = files.config
    wanted = settings.embedding_size or (projection.out_features if projection else size)
    if projection is not None and projection.out_features != wanted:
        raise ModelFormatError(
            f"{files.folder}: the projection gives {projection.out_features} numbers a token, the settings say "
            f'{wanted}; pass config={{"embedding_size": ...}} or correct the files'
        )
    fits = projection is not None and projection.in_features == size
    if (
        settings.projected is None
        and size == wanted
        and (fits or (projection is None and size == files.hidden_size))
    ):
        raise ModelFormatError(
            f"{files.onnx} gives {size} numbers a token, which its hidden states have, too: nothing tells whether the "
            'projection is missing; add it (1_Dense/), or pass config={"projected": True} if the graph ends with it'
        )
    if fits and not settings.projected:
        return projection
    if size == wanted:
        return None
    unprojected = f" or {projection.in_features} (before the projection)" if projection else ""
    raise ModelFormatError(
        f"{files.onnx} gives {size} numbers a token, expected {wanted} (projected){unprojected}; "
        "add the projection (1_Dense/model.safetensors) to the folder or choose another onnx_file"
    )


def _read_layer(folder: Path) -> Layer:
    config = read_json(folder / "config.json")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        old = (
            " (a pytorch_model.bin is not read: save the layer as safetensors)"
            if (folder / "pytorch_model.bin").is_file()
            else ""
        )
        raise ModelFormatError(f"{weights} is missing{old}")
    weight = _matrix(weights, "linear.weight")
    said = (config.get("out_features"), config.get("in_features"))
    if None not in said and weight.shape != said:
        raise ModelFormatError(
            f"{weights} holds a {weight.shape} matrix, but {folder / 'config.json'} says {said}"
        )
    return Layer(
        weight,
        _bias(weights, config, len(weight)),
        _activation(folder, config),
        _residual(weights, config, weight),
    )


def _matrix(path: Path, name: str) -> Floats:
    matrix = read_tensor(path, name)
    if matrix.ndim != 2:
        raise ModelFormatError(
            f'{path}: "{name}" has shape {matrix.shape}, expected (out_features, in_features)'
        )
    return matrix


def _bias(path: Path, config: dict[str, Any], size: int) -> Floats | None:
    if not config.get("bias", True):
        return None
    bias = read_tensor(path, "linear.bias")
    if bias.shape != (size,):
        raise ModelFormatError(f'{path}: "linear.bias" has shape {bias.shape}, expected ({size},)')
    return bias


def _activation(folder: Path, config: dict[str, Any]) -> str:
    if "activation_function" not in config:
        raise ModelFormatError(
            f'{folder / "config.json"} lacks "activation_function"; libraries differ in what they take'
        )
    name = str(config["activation_function"] or "Identity").rsplit(".", 1)[-1]
    if name not in ACTIVATIONS:
        raise ModelFormatError(
            f'{folder / "config.json"} has the "activation_function" {name!r}, expected one of {", ".join(ACTIVATIONS)}'
        )
    return name


def _residual(path: Path, config: dict[str, Any], weight: Floats) -> Floats | bool:
    """Return the residual branch: none, the input itself, or its own matrix where the sizes differ."""
    if not config.get("use_residual", False):
        return False
    return True if weight.shape[0] == weight.shape[1] else _matrix(path, "residual.weight")


def _gelu(x: Floats) -> Floats:
    """``x Phi(x)``, exact as in torch (Hendrycks & Gimpel 2016, arXiv 1606.08415)."""
    phi = 0.5 * (1 + np.vectorize(erf, otypes=[np.float32])(x / np.sqrt(2)))
    return np.asarray(x * phi, dtype=np.float32)
