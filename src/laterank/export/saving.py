"""A graph to a file, with its weights beside it where one file cannot hold them."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from laterank.errors import ModelFormatError

__all__ = ["load_graph", "save_graph"]

MOST_BYTES = 1_900_000_000
"""A protocol buffer ends at 2 GB."""


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph; a second time with the same graph gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= MOST_BYTES:
        path.write_bytes(model.SerializeToString(deterministic=True))
        return
    data = f"{path.name}_data"
    copy = onnx.ModelProto()
    copy.CopyFrom(model)  # saving empties the tensors
    onnx.save(copy, os.fspath(path), save_as_external_data=True, location=data, size_threshold=1024)


def load_graph(path: Path) -> onnx.ModelProto:
    """Read a graph with all its weights.

    Raises:
        ModelFormatError: If it is missing or broken.
    """
    try:
        return onnx.load(os.fspath(path))
    except Exception as error:  # protobuf's, onnx's and the file system's share no narrower base
        raise ModelFormatError(f"{path} cannot be read as an ONNX graph: {error}") from error
